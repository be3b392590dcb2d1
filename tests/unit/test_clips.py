"""Maps of a clip: one row for each frame of its latent, and what is made of them for each frame of the clip."""

from dataclasses import replace

import pytest
import torch
from concept_attention.concept_core.draw.explorer import explorable, with_edges
from concept_attention.concept_core.draw.heatmaps import heatmaps
from concept_attention.concept_core.draw.segmentation import segment
from concept_attention.concept_core.maps.decode import decode
from concept_attention.concept_core.maps.maps import between_frames
from concept_attention.concept_core.masks.boxes import detections
from concept_attention.concept_core.masks.masks import METHODS, empty_mask, masks
from concept_attention.concept_core.storage.files import load_maps, load_recording, save_maps, save_recording
from drawn_maps import maps, painted
from drawn_recording import made

NAMED = "left, top"


def clip(latent_frames=3, frames_per_latent=4, **options):
    return replace(maps(batch=latent_frames, **options), frames_per_latent=frames_per_latent)


def one_by_one(of_clip):
    """Each frame's maps as a picture's."""
    frames = of_clip.at_pictures()
    return [frames.of_picture(number) for number in range(frames.num_pictures)]


def test_each_latent_frame_lies_in_the_middle_of_its_own():
    values = torch.tensor([0.0, 1.0, 3.0])
    # pixel frame 0 is latent frame 0, 1 to 4 are latent frame 1, 5 to 8 latent frame 2
    expected = [0, 0.4, 0.8, 1 + 2 * 0.125, 1 + 2 * 0.375, 1 + 2 * 0.625, 1 + 2 * 0.875, 3, 3]
    torch.testing.assert_close(between_frames(values, 4), torch.tensor(expected))
    assert torch.equal(between_frames(values, 1), values)
    assert between_frames(values[:1], 8).tolist() == [0]
    assert len(between_frames(torch.zeros(21, 2, 3), 4)) == 81


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("size", [None, (48, 64)])
def test_masks_of_one_selection_are_a_clip(method, size):
    made = clip()
    image = painted(made.at_pictures(), size)
    of_clip = masks(made, NAMED, method, image=image, edge_radius=32, min_area=0.001)
    assert of_clip.shape == (2 * 9, *image.shape[1:3])
    if method in ("threshold", "winner"):  # which need no threshold of their own
        alone = [masks(one, NAMED, method, image=picture[None], min_area=0.001) for one, picture in zip(one_by_one(made), image)]
        assert torch.equal(of_clip, torch.stack(alone, 1).flatten(0, 1))


@pytest.mark.parametrize("method", ["soft", "otsu", "mean"])
def test_all_frames_share_a_threshold(method):
    """What is only faintly there in one frame is not in its mask, though it stands out from the rest of that frame."""
    made = clip(4, 1)
    made.values[0, 0] = 0.01 + 0.2 * made.values[0, 0]
    of_clip = masks(made, "left", method)
    alone = masks(made.of_picture(0), "left", "mean")
    assert alone.any() and not of_clip[0].any()
    assert all(mask.any() for mask in of_clip[1:])
    shuffled = replace(made, values=made.values[[2, 0, 3, 1]])
    assert torch.equal(masks(shuffled, "left", method), of_clip[[2, 0, 3, 1]])


def test_what_is_missing_is_said_once_of_a_clip():
    told = []
    made = clip()
    mask = masks(made, "absent, left", "soft", tell=told.append)
    assert told == ["nothing is found of absent in the clip."] and not mask[:9].any() and mask[9:].any()
    told.clear()
    masks(made, "left", "soft", min_area=1.0, tell=told.append)
    assert told == ["min_area or shrinking leaves nothing of left in the clip."]
    told.clear()
    one = replace(made, frames_per_latent=0)
    masks(one, "absent", "soft", tell=told.append)
    assert told == [f"nothing is found of absent in picture {number}." for number in (1, 2, 3)]


def test_heatmaps_of_one_concept_are_a_clip_on_one_scale():
    made = clip()
    made.values[0] *= 0.5
    drawn = heatmaps(made, colormap="gray", scale="each concept alone", labels=False).unflatten(0, (3, 9))
    assert drawn[0, 0].max() < 0.6 and drawn[0, -1].max() > 0.95
    alone = heatmaps(one_by_one(made)[5], colormap="gray", scale="absolute", labels=False)
    assert torch.equal(heatmaps(made, colormap="gray", scale="absolute", labels=False).unflatten(0, (3, 9))[:, 5], alone)


def test_segmentation():
    made, told = clip(), []
    image = painted(made.at_pictures())
    drawn, parts = segment(made, image, tell=told.append)
    assert drawn.shape == (9, 96, 128, 3) and parts.shape == (3 * 9, 96, 128)
    assert told == ["nothing is found of absent in the clip."]
    for number, (one, picture) in enumerate(zip(one_by_one(made), image)):
        alone, parts_alone = segment(one, picture[None], tell=told.append)
        assert torch.equal(drawn[number], alone[0]) and torch.equal(parts.unflatten(0, (3, 9))[:, number], parts_alone)


def test_places_of_each_frame():
    found = detections(clip(), "left")
    assert len(found) == 9
    widths = [row[0].box[2] for row in found]
    assert widths == sorted(widths) and widths[-1] > widths[0] + 16  # left becomes wider


def test_the_image_has_a_picture_for_each_frame():
    made = clip()
    with pytest.raises(ValueError, match="8 pictures do not fit a clip of 9 frames"):
        masks(made, "left", image=torch.rand(8, 96, 128, 3))
    assert masks(made, "left", image=torch.rand(1, 96, 128, 3)).shape == (9, 96, 128)
    assert empty_mask(made, None).shape == (9, 96, 128)


def test_the_explorer_has_each_frame():
    made = clip()
    shown = explorable(made)
    assert shown["shape"] == [9, 4, 6, 8] and shown["is_clip"] and len(shown["presence"]) == 9
    assert not explorable(maps())["is_clip"]
    assert [levels.shape[0] for levels in with_edges(made, painted(made.at_pictures()))] == [4] * 9


def test_maps_files(tmp_path):
    save_maps(clip(), tmp_path / "clip.safetensors")
    loaded = load_maps(tmp_path / "clip.safetensors")
    assert loaded.frames_per_latent == 4 and torch.equal(loaded.values, clip().values)


@pytest.mark.parametrize(("frames", "patch_frames", "rows"), [(3, 1, [0, 1, 2]), (4, 2, [0, 0, 1, 1]), (3, 2, [0, 0, 1])])
def test_a_recording_of_a_clip(tmp_path, frames, patch_frames, rows):
    recording, samples = made(1, frames, patch_frames)
    decoded = decode(recording, samples)
    assert decoded.values.shape == (frames, 3, 2, 3) and decoded.num_pictures == 4 * (frames - 1) + 1
    (run,) = recording.runs
    by_token = sum(step["output"][3:].div(0.1).softmax(2).mean(0) for step in run.steps.values()) / 4
    recording.recipe = replace(recording.recipe, temperature=0.1)
    by_token = by_token.unflatten(2, run.grid)[0, :, rows].movedim(1, 0)
    torch.testing.assert_close(decode(recording, samples).values, by_token)
    save_recording(recording, samples, tmp_path / "clip.safetensors")
    loaded, again = load_recording(tmp_path / "clip.safetensors")
    assert loaded.runs[0].size == (frames, 4, 6) and loaded.runs[0].grid == run.grid and loaded.frames_per_latent == 4
    assert torch.equal(decode(loaded, again).values, decode(recording, samples).values)


def test_a_clip_of_one_frame_is_a_picture():
    recording, samples = made(2, 1)
    assert decode(recording, samples).values.shape == (2, 3, 2, 3) and not decode(recording, samples).is_clip


def test_one_clip_at_a_time():
    recording, samples = made(2, 3)
    with pytest.raises(ValueError, match="These are 2 clips, and maps are made of one at a time"):
        decode(recording, samples)
    both = [decode(recording, samples[number : number + 1]).values for number in range(2)]
    assert not torch.equal(*both)
