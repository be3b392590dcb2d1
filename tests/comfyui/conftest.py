import pytest
from kinds import KINDS, KINDS_OF_PICTURES, made


@pytest.fixture(params=["flux", "sd3"])
def kind(request):
    """A tiny model of each of the two families that the heavy tests sample with."""
    return made(request.param)


@pytest.fixture
def flux():
    return made("flux")


@pytest.fixture(params=KINDS)
def each_kind(request):
    """A tiny model of every family."""
    return made(request.param)


@pytest.fixture(params=KINDS_OF_PICTURES)
def picture_kind(request):
    """Of every family that does not make clips."""
    return made(request.param)


@pytest.fixture(params=[name for name, about in KINDS.items() if about.get("has_vectors", True)])
def kind_with_vectors(request):
    return made(request.param)


@pytest.fixture(params=[name for name, about in KINDS.items() if about.get("has_references")])
def kind_with_references(request):
    return made(request.param)
