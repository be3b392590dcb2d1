import pytest
from kinds import kinds


@pytest.fixture(scope="session")
def all_kinds():
    return kinds()


@pytest.fixture(params=["flux", "sd3"])
def kind(request, all_kinds):
    """A tiny model of each family."""
    return all_kinds[request.param]


@pytest.fixture
def flux(all_kinds):
    return all_kinds["flux"]
