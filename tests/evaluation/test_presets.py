"""Every protocol and ablation of presets.toml is one."""

import pytest
from concept_attention.evaluation.presets import names_of, protocol_named, swept, variants_of


@pytest.mark.parametrize("name", names_of("protocols"))
def test_every_protocol_goes_with_every_ablation(name):
    protocol = protocol_named(name, {})
    assert variants_of(protocol, None, 19) == {"": protocol}
    for ablation in names_of("ablations"):
        variants = variants_of(protocol, ablation, 19)
        assert len(variants) > 1 and len(set(variants.values())) == len(variants)


def test_the_papers_protocol():
    protocol = protocol_named("imagenet", {})
    assert (protocol.noise, protocol.samples, protocol.labels, protocol.cut) == (0.5, 5, 224, "mean")
    assert len(protocol_named("voc-multi", {}).names) == 20


def test_ablations():
    protocol = protocol_named("scenes", {})
    assert list(variants_of(protocol, "blocks", 3)) == ["0", "1", "2"] and swept("blocks") == "blocks" and swept("spaces") is None
    spaces = variants_of(protocol, "spaces", 19)
    assert len({variant.recorded() for variant in spaces.values()}) == 1  # decoded from one recording
    attention = variants_of(protocol, "attention", 19)
    assert {variant.attends_to for variant in attention.values()} == {(), ("image",), ("concepts",), ("concepts", "image")}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"noize": 1}, "no knob noize"),
        ({"background": "grass"}, "background: 'grass' is not of the kind of"),
        ({"samples": True}, "samples: True is not of the kind of 1"),
        ({"cut": "best"}, "cut: 'best' is none of"),
        ({"cut": "mean"}, 'set classes to "single"'),
    ],
)
def test_knobs_that_are_not_there(changes, message):
    with pytest.raises(ValueError, match=message):
        protocol_named("scenes", changes)


def test_names_that_are_not_there():
    with pytest.raises(ValueError, match="no coco among the protocols: imagenet"):
        protocol_named("coco", {})
