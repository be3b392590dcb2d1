import json

import pytest
import torch
from concept_attention.concept_core.maps import Maps
from concept_attention.concept_core.storage import MAPS as FORMAT
from concept_attention.concept_core.storage import load_maps, save_maps
from safetensors import safe_open
from safetensors.torch import save_file

MAPS = Maps(torch.randn(2, 3, 4, 6), ("dragon", "rock, wet", "空"), 2, False, (64, 88), 16)


def test_maps_come_back_bit_for_bit(tmp_path):
    save_maps(MAPS, tmp_path / "maps.safetensors")
    loaded = load_maps(tmp_path / "maps.safetensors")
    assert torch.equal(loaded.values, MAPS.values)
    assert [getattr(loaded, f) == getattr(MAPS, f) for f in ("names", "shown", "shares", "image_size", "pixels_per_token")] == [True] * 5


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
    for metadata in (None, {"format": "pt"}, {FORMAT: "{"}, {FORMAT: "{}"}, {FORMAT: "[]"}):
        save_file({"maps": torch.zeros(1)}, tmp_path / "other.safetensors", metadata=metadata)
        with pytest.raises(ValueError, match="other.safetensors holds no concept maps"):
            load_maps(tmp_path / "other.safetensors")


def test_a_later_version_may_say_more(tmp_path):
    save_maps(MAPS, tmp_path / "maps.safetensors")
    with safe_open(tmp_path / "maps.safetensors", framework="pt") as file:
        about = json.loads(file.metadata()[FORMAT]) | {"more": 1}
    save_file({"maps": MAPS.values, "other": torch.zeros(1)}, tmp_path / "maps.safetensors", metadata={FORMAT: json.dumps(about)})
    assert load_maps(tmp_path / "maps.safetensors").names == MAPS.names
