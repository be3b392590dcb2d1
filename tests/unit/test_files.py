"""Names and places of files: nothing is overwritten, half a file is none, and what has changed is seen."""

import math
import os
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import folder_paths
import pytest
import torch
from concept_attention.concept_core.maps.decode import decode
from concept_attention.concept_core.maps.maps import Maps
from concept_attention.concept_core.storage.files import load_maps, save_maps, save_recording
from concept_attention.nodes import explorer, files
from concept_attention.nodes.maps_files import LoadMaps, SaveMaps
from concept_attention.nodes.recording_files import LoadRecording
from drawn_recording import made

MAPS = Maps(torch.rand(1, 2, 40, 60), ("dragon", "rock"), 2, False, (640, 960), 16)
OTHER = Maps(1 - MAPS.values, MAPS.names, 2, False, (640, 960), 16)


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    """ComfyUI's input, output and temp folders."""
    for name in ("input", "output", "temp"):
        (tmp_path / name).mkdir()
        monkeypatch.setattr(folder_paths, f"{name}_directory", str(tmp_path / name))
    return tmp_path


@contextmanager
def full_disk():
    """A file takes 4,096 bytes and no more, as a disk does that is full: then an error comes. The tests' own log is a file too."""
    resource = pytest.importorskip("resource")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def save(maps, prefix):
    return SaveMaps.execute(maps, prefix).ui.as_dict()["text"][0].replace(os.sep, "/")


def in_folder(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


PREFIXES = {
    "concept_maps/maps": "concept_maps/maps",
    "concept_maps/": "concept_maps/maps",
    "concept_maps//": "concept_maps/maps",
    "concept_maps/.": "concept_maps/maps",
    "concept_maps/x/..": "concept_maps/maps",
    "concept_maps/../b": "b",
    "": "maps",
    " ": "maps",
    ".": "maps",
    "/": None,
    "..": None,
    "../b": None,
    "a/../../b": None,
    "a\0b": None,
    "a" * 300: None,
}


@pytest.mark.parametrize(("prefix", "name"), PREFIXES.items())
def test_each_prefix_makes_a_new_file_or_says_why_not(folders, prefix, name):
    if name is None:
        with pytest.raises(ValueError, match="^filename_prefix: "):
            save(MAPS, prefix)
        assert in_folder(folders) == []
        return
    shown = [save(maps, prefix) for maps in (MAPS, OTHER, MAPS)]
    names = [f"{name}_{number:05}_.safetensors" for number in (1, 2, 3)]
    assert [Path(os.path.normpath(one)).as_posix() for one in shown] == names and in_folder(folders / "output") == names
    assert torch.equal(load_maps(folders / "output" / names[1]).values, OTHER.values)


def test_a_file_where_a_folder_is_meant(folders):
    (folders / "output" / "concept_maps").write_bytes(b"mine")
    with pytest.raises(ValueError, match="filename_prefix: no file can be made at 'concept_maps/maps'"):
        save(MAPS, "concept_maps/maps")
    assert (folders / "output" / "concept_maps").read_bytes() == b"mine"


def test_two_that_save_at_once_take_two_names(folders):
    """Both have looked into the folder before either has written."""
    with files.new_file("maps", "maps") as (first, _), files.new_file("maps", "maps") as (second, shown):
        save_maps(MAPS, first)
        save_maps(OTHER, second)
    assert shown == "maps_00002_.safetensors"
    assert torch.equal(load_maps(folders / "output" / "maps_00001_.safetensors").values, MAPS.values)
    assert torch.equal(load_maps(folders / "output" / "maps_00002_.safetensors").values, OTHER.values)


def test_many_that_save_at_once(folders):
    def save_some(maps):
        for _ in range(10):
            save(maps, "maps")

    threads = [threading.Thread(target=save_some, args=[maps]) for maps in (MAPS, OTHER, MAPS, OTHER)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert in_folder(folders / "output") == [f"maps_{number:05}_.safetensors" for number in range(1, 41)]
    saved = [load_maps(path).values for path in (folders / "output").iterdir()]
    assert sum(torch.equal(values, MAPS.values) for values in saved) == sum(torch.equal(values, OTHER.values) for values in saved) == 20


def test_a_full_disk_leaves_no_half_file(folders):
    with pytest.raises(ValueError, match="The file could not be written .*: make room"), full_disk():
        save(MAPS, "maps")
    assert in_folder(folders) == []


def test_a_full_disk_leaves_no_half_file_to_the_explorer(folders):
    content = os.urandom(10_000)
    with pytest.raises(OSError), full_disk():
        explorer.saved(content, ".json")
    assert in_folder(folders) == []


def test_the_explorer_saves_once_what_it_is_given(folders):
    content = os.urandom(10_000)
    name = explorer.saved(content, ".json")
    written = (folders / "temp" / name).stat()
    assert (folders / "temp" / name).read_bytes() == content
    assert explorer.saved(content, ".json") == name and (folders / "temp" / name).stat() == written and len(in_folder(folders)) == 1


def test_links_are_listed_and_loaded(folders):
    (folders / "elsewhere").mkdir()
    save_maps(MAPS, folders / "elsewhere" / "m.safetensors")
    try:
        (folders / "input" / "link.safetensors").symlink_to(folders / "elsewhere" / "m.safetensors")
        (folders / "output" / "linked").symlink_to(folders / "elsewhere", target_is_directory=True)
        (folders / "input" / "dangling.safetensors").symlink_to(folders / "nothing")
    except OSError:
        pytest.skip("links need rights that this user has not")
    (folders / "input" / "folder.safetensors").mkdir()
    assert files.listed() == ["link.safetensors", "linked/m.safetensors [output]"]
    for file in files.listed():
        assert LoadMaps.validate_inputs(file) is True
        assert torch.equal(LoadMaps.execute(file).result[0].values, MAPS.values)


@pytest.mark.parametrize("file", ["../m.safetensors", "a/../../m.safetensors", "/etc/passwd", "../input_2/m.safetensors"])
def test_what_lies_outside(folders, file):
    save_maps(MAPS, folders / "m.safetensors")
    assert "lies outside the input folder" in LoadMaps.validate_inputs(file)


def test_a_name_that_is_connected_is_checked_when_the_node_runs(folders):
    for node in (LoadMaps, LoadRecording):
        assert node.validate_inputs(None) is True and math.isnan(node.fingerprint_inputs(None))
        with pytest.raises(ValueError, match="There is no m.safetensors"):
            node.execute("m.safetensors")
        with pytest.raises(ValueError, match="the name of a file is needed, and 5 is connected"):
            node.execute(5)
    save_maps(MAPS, folders / "input" / "m.safetensors")
    assert torch.equal(LoadMaps.execute("m.safetensors").result[0].values, MAPS.values)


def test_other_numbers_of_the_same_size_and_time_are_seen(folders):
    path = folders / "input" / "m.safetensors"
    save_maps(MAPS, path)
    os.utime(path, ns=(10**18, 10**18))
    before = path.stat(), LoadMaps.fingerprint_inputs("m.safetensors")
    assert LoadMaps.fingerprint_inputs("m.safetensors") == before[1]
    save_maps(OTHER, path)
    os.utime(path, ns=(10**18, 10**18))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (before[0].st_size, before[0].st_mtime_ns)
    assert LoadMaps.fingerprint_inputs("m.safetensors") != before[1]
    save_maps(MAPS, path)
    assert LoadMaps.fingerprint_inputs("m.safetensors") == before[1]


def test_large_files_are_read_once_for_each_state(folders, monkeypatch):
    path = folders / "input" / "m.safetensors"
    save_maps(MAPS, path)
    read, digest_of = [], files.digest_of
    monkeypatch.setattr(files, "digest_of", lambda path: read.append(path) or digest_of(path))
    monkeypatch.setattr(files, "HASHED_ALWAYS", 1000)
    assert len({LoadMaps.fingerprint_inputs("m.safetensors") for _ in range(3)}) == 1 and len(read) == 3  # it has just been written
    monkeypatch.setattr(files, "SETTLED", 0)
    before = {LoadMaps.fingerprint_inputs("m.safetensors") for _ in range(3)}
    assert len(before) == 1 and len(read) == 4
    save_maps(OTHER, path)
    assert LoadMaps.fingerprint_inputs("m.safetensors") not in before and len(read) == 5


USED_AFTER = """
import sys
from pathlib import Path

sys.path[:0] = [sys.argv[1]]
import in_comfyui
import torch
from concept_attention.concept_core.maps.decode import decode
from concept_attention.concept_core.storage.files import load_maps, load_recording

maps_file, recording_file = (Path(name) for name in sys.argv[2:4])
for overwrite in (lambda content: bytes(len(content)), lambda content: content[:100], lambda content: b""):
    for path in (maps_file, recording_file):
        content = path.read_bytes()
        if path == maps_file:
            maps = load_maps(path)
            path.write_bytes(overwrite(content))
            numbers = maps.values.clone()
        else:
            recording, samples = load_recording(path)
            path.write_bytes(overwrite(content))
            numbers = torch.cat([samples.flatten(), decode(recording, samples).values.flatten()])
        path.write_bytes(content)
        print(path.stem, float(numbers.double().abs().sum()))
"""


def test_a_file_may_be_overwritten_while_its_numbers_are_in_use(folders):
    """By zeros of its size, by a shorter one, by nothing: in a process of its own, which a bus error would end."""
    recording, samples = made()
    save_maps(MAPS, folders / "maps.safetensors")
    save_recording(recording, samples, folders / "recording.safetensors")
    command = [sys.executable, "-c", USED_AFTER, Path(__file__).parents[2] / "dev"]
    command += [folders / "maps.safetensors", folders / "recording.safetensors"]
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True)
    assert done.returncode == 0, (done.returncode, done.stderr[-2000:])
    sums = [line.split() for line in done.stdout.splitlines() if line.split()[:1] in (["maps"], ["recording"])]
    whole = float(MAPS.values.double().abs().sum())
    decoded = float(torch.cat([samples.flatten(), decode(recording, samples).values.flatten()]).double().abs().sum())
    assert [float(total) for _, total in sums] == pytest.approx([whole, decoded] * 3)
