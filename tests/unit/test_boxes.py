import json

import pytest
import torch
from concept_attention.concept_core.maps.maps import Maps
from concept_attention.concept_core.masks.boxes import boxes, detections, points, report
from drawn_maps import maps, painted


def test_boxes_and_points():
    made = maps(batch=2)
    found = detections(made, "left, absent, top", painted(made))
    (left, absent, top), (left_2, _, top_2) = found
    assert left.box == pytest.approx((0, 32, 32, 64), abs=1) and top.box == pytest.approx((64, 0, 64, 16), abs=1)
    assert left_2.box == pytest.approx((0, 32, 48, 64), abs=1) and top_2.box == pytest.approx((64, 0, 64, 32), abs=1)
    assert absent.box is None and absent.point is None and absent.presence < 0.01 < 0.9 < left.presence
    assert left.point == pytest.approx((16, 64), abs=18) and 64 <= top.point[0] < 128 and top.point[1] == pytest.approx(8, abs=2)
    assert [[box["label"] for box in row] for row in boxes(found)] == [["left", "top"]] * 2
    x, y, width, height = left.box
    assert boxes(found)[0][0] == {"x": x, "y": y, "width": width, "height": height, "label": "left", "score": left.presence}
    assert [json.loads(text) for text in points(found)][:3] == [[dict(zip("xy", left.point))], [], [dict(zip("xy", top.point))]]
    assert report(found[:1]).splitlines() == ["left 0.95, 32 x 64 at 0, 32", "absent 0.00, not found", "top 0.45, 64 x 16 at 64, 0"]
    assert report(found).splitlines()[3].startswith("picture 2: left 0.95")


def test_they_are_in_the_images_pixels():
    made = maps()
    (small,), (large,) = detections(made, "left", painted(made)), detections(made, "left", painted(made, (192, 256)))
    assert large[0].box == pytest.approx([2 * n for n in small[0].box], abs=2)


def test_the_point_lies_inside_a_ring_and_in_the_largest_part():
    values = torch.full((1, 2, 12, 12), 0.02)
    values[0, 0, 1:9, 1:9] = 0.98
    values[0, 0, 3:7, 3:7] = 0.02
    values[0, 0, 10:12, 10:12] = 0.98
    values[0, 1] = 1 - values[0, 0]
    ring = detections(Maps(values, ("ring", "rest"), 2, True, (192, 192), 16), "ring")[0][0]
    x, y = ring.point
    assert values[0, 0, y // 16, x // 16] > 0.5 and x < 144 and y < 144
    assert ring.box[0] + ring.box[2] > 180


def test_raw_scores_are_refused():
    with pytest.raises(ValueError, match="Raw scores have no presence"):
        detections(maps(softmaxed=False), "left")
