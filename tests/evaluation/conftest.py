import drawn_data
import pytest
from concept_attention.evaluation.datasets import open_data
from concept_attention.evaluation.presets import protocol_named


@pytest.fixture(scope="session")
def sources(tmp_path_factory):
    """Kind → what open_data reads it from."""
    root = tmp_path_factory.mktemp("data")
    drawn_data.write_gtsegs(root / "gtsegs_ijcv.mat", drawn_data.write_wordnet(root))
    drawn_data.write_voc(root / "VOCdevkit")
    drawn_data.write_folder(root / "folder")
    (root / "simpler.json").write_text('{"categories": {"foursquare": "square"}}')
    return {
        "imagenet": {"data": str(root / "gtsegs_ijcv.mat"), "wordnet": str(root), "renamed": str(root / "simpler.json")},
        "voc": {"data": str(root / "VOCdevkit")},
        "folder": {"data": str(root / "folder")},
        "scenes": {"data": "5"},
    }


@pytest.fixture(scope="session")
def opened(sources):
    """Protocol's name → (protocol, data set); changes to the protocol can be given."""

    def open_for(name, **changes):
        protocol = protocol_named(name, changes)
        return protocol, open_data(protocol.data, names=protocol.names, single=protocol.classes == "single", **sources[protocol.data])

    return open_for
