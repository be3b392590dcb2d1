import json
import re
import struct

import pytest
import torch
from concept_attention.concept_core.maps.maps import Maps
from concept_attention.concept_core.storage.files import MAPS as FORMAT
from concept_attention.concept_core.storage.files import load_maps, save_maps
from safetensors import safe_open
from safetensors.torch import save_file

MAPS = Maps(torch.randn(2, 3, 4, 6), ("dragon", "rock, wet", "空"), 2, False, (64, 88), 16)


def test_maps_come_back_bit_for_bit(tmp_path):
    save_maps(MAPS, tmp_path / "maps.safetensors")
    loaded = load_maps(tmp_path / "maps.safetensors")
    assert torch.equal(loaded.values, MAPS.values)
    assert [getattr(loaded, f) == getattr(MAPS, f) for f in ("names", "num_shown", "softmaxed", "image_size", "pixels_per_token")] == [
        True
    ] * 5


def test_the_tensor_is_named_maps(tmp_path):
    save_maps(MAPS, tmp_path / "maps.safetensors")
    with safe_open(tmp_path / "maps.safetensors", framework="pt") as file:
        assert list(file.keys()) == ["maps"] and file.get_tensor("maps").dtype == torch.float32


def test_files_that_hold_no_maps(tmp_path):
    whole = tmp_path / "maps.safetensors"
    save_maps(MAPS, whole)
    for broken in (b"", b"hello", whole.read_bytes()[:-40], whole.read_bytes()[:20]):
        path = tmp_path / "broken.safetensors"
        path.write_bytes(broken)
        with pytest.raises(ValueError, match="broken.safetensors cannot be read"):
            load_maps(path)
    for metadata in (None, {"format": "pt"}):
        save_file({"maps": torch.zeros(1)}, tmp_path / "other.safetensors", metadata=metadata)
        with pytest.raises(ValueError, match="other.safetensors holds no concept maps"):
            load_maps(tmp_path / "other.safetensors")


def test_a_later_version_may_say_more(tmp_path):
    save_maps(MAPS, tmp_path / "maps.safetensors")
    with safe_open(tmp_path / "maps.safetensors", framework="pt") as file:
        about = json.loads(file.metadata()[FORMAT]) | {"more": 1}
    save_file({"maps": MAPS.values, "other": torch.zeros(1)}, tmp_path / "maps.safetensors", metadata={FORMAT: json.dumps(about)})
    assert load_maps(tmp_path / "maps.safetensors").names == MAPS.names


def written(path, values=None, dropped=(), text=None, **changed):
    """A file of MAPS in which some fields are others, or missing."""
    about = {"names": MAPS.names, "shown": 2, "shares": False, "image_size": MAPS.image_size, "pixels_per_token": 16} | changed
    about = {field: value for field, value in about.items() if field not in dropped}
    save_file({"maps": MAPS.values if values is None else values}, path, metadata={FORMAT: text or json.dumps(about)})
    return path


SHARES = MAPS.values.softmax(1)
WRONG = [
    ({"text": "{"}, "Invalid JSON"),
    ({"text": "[]"}, "should be an object"),
    ({"text": "{}"}, "names is missing"),
    ({"dropped": ["shares"]}, "shares is missing"),
    ({"names": ["dragon", "rock"]}, "maps has 3 concepts, where 2 fits the rest"),
    ({"names": ["dragon", "rock", "rock"]}, "none twice, it is ['dragon', 'rock', 'rock']"),
    ({"names": ["dragon", "rock", " "]}, "none empty"),
    ({"names": []}, "at least one"),
    ({"names": "abc"}, "names should be a valid array, it is 'abc'"),
    ({"names": ["dragon", "rock", 3]}, "names 2 should be a valid string, it is 3"),
    ({"shown": 5}, "shown is 5, of 3 names"),
    ({"shown": 0}, "shown should be greater than 0, it is 0"),
    ({"shown": True}, "shown should be a valid integer"),
    ({"shown": 2.0}, "shown should be a valid integer"),
    ({"shown": "2"}, "shown should be a valid integer"),
    ({"shares": 1}, "shares should be a valid boolean"),
    ({"image_size": [0, 88]}, "image_size 0 should be greater than 0, it is 0"),
    ({"image_size": [64, -88]}, "image_size 1 should be greater than 0, it is -88"),
    ({"image_size": [64]}, "image_size 1 is missing"),
    ({"image_size": [64, 88, 3]}, "image_size tuple should have at most 2 items"),
    ({"image_size": [64, "88"]}, "image_size 1 should be a valid integer"),
    ({"image_size": None}, "image_size should be a valid array, it is None"),
    ({"image_size": [88, 64]}, "maps has 4 rows, where 6 fits the rest"),
    ({"image_size": [64, 97]}, "maps has 6 columns, where 7 fits the rest"),
    ({"pixels_per_token": 0}, "pixels_per_token should be greater than 0"),
    ({"pixels_per_token": 8}, "maps has 4 rows, where 8 fits the rest"),
    ({"values": torch.zeros(3, 4, 6)}, "maps is [3, 4, 6], where [pictures, concepts, rows, columns] belongs"),
    ({"values": torch.zeros(0, 3, 4, 6)}, "maps is [0, 3, 4, 6]"),
    ({"values": torch.zeros(2, 3, 6, 4)}, "maps has 6 rows, where 4 fits the rest"),
    ({"values": torch.zeros(2, 3, 4, 6, dtype=torch.int32)}, "maps holds I32, no floats"),
    ({"values": torch.full((2, 3, 4, 6), float("nan"))}, "maps holds NaN or infinity"),
    ({"values": MAPS.values / 0}, "maps holds NaN or infinity"),
    ({"shares": True}, "and shares lie in 0..1"),
    ({"values": SHARES * 0.9, "shares": True}, "shares of maps do not sum to 1, but differ by 0.1"),
]


@pytest.mark.parametrize(("changes", "message"), WRONG, ids=[f"{list(changes)[0]}-{i}" for i, (changes, _) in enumerate(WRONG)])
def test_one_wrong_field(tmp_path, changes, message):
    path = written(tmp_path / "m.safetensors", **changes)
    with pytest.raises(ValueError, match=rf"^m\.safetensors: [^\n]*{re.escape(message)}[^\n]*: save it again\.$"):
        load_maps(path)


@pytest.mark.parametrize("changes", [{}, {"values": SHARES, "shares": True}, {"values": MAPS.values.half()}, {"image_size": [49, 96]}])
def test_what_is_right_loads(tmp_path, changes):
    values = changes.get("values", MAPS.values)
    loaded = load_maps(written(tmp_path / "m.safetensors", **changes))
    assert torch.equal(loaded.values, values.float()) and loaded.image_size == tuple(changes.get("image_size", (64, 88)))


def test_one_concept_alone_may_be_a_share_that_does_not_sum_to_1(tmp_path):
    path = written(tmp_path / "m.safetensors", SHARES[:, :1].contiguous(), names=["dragon"], shown=1, shares=True)
    assert torch.equal(load_maps(path).values, SHARES[:, :1])


def entry(shape, first, last):
    return {"dtype": "F32", "shape": shape, "data_offsets": [first, last]}


HEADERS = [
    ("{", "its header is none"),
    ("[" * 5000, "its header is none"),
    ('{"maps": {"dtype": "F32"}}', "its header is none"),
    ({"__metadata__": entry([2], 0, 8)}, "its header is none"),
    ({"maps": entry([-1], 0, 8)}, "its header is none"),
    ({"maps": entry([2], 0, 9)}, "9 bytes of numbers belong in it, and there are 8"),
    ({"maps": entry([3], 0, 8)}, "maps has 8 bytes, which is not F32 [3]"),
    ({"maps": entry([1], 4, 8)}, "gaps"),
    ({"maps": entry([1], 0, 4), "more": entry([1], 0, 4)}, "overlap"),
]


@pytest.mark.parametrize(("header", "message"), HEADERS)
def test_broken_headers(tmp_path, header, message):
    path = tmp_path / "m.safetensors"
    header = (header if isinstance(header, str) else json.dumps(header)).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + bytes(8))
    with pytest.raises(ValueError, match=rf"m.safetensors cannot be read as .safetensors \([^\n]*{re.escape(message)}"):
        load_maps(path)
