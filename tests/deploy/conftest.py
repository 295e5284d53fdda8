"""Helm 3 and 4, found or built once in a run."""

from pathlib import Path

import pytest

from tests.deploy.charts import Helm
from tools import go_tools


@pytest.fixture(scope="session", params=["helm3", "helm4"])
def helm(request: pytest.FixtureRequest) -> Helm:
    """Each version in turn."""
    return Helm(go_tools.TOOLS[request.param]())


@pytest.fixture(scope="session")
def helm4() -> Helm:
    """One version, where both need no comparison: `test_rendering.py` compares them."""
    return Helm(go_tools.helm4())


@pytest.fixture(scope="session")
def helm3() -> Helm:
    return Helm(go_tools.helm3())


@pytest.fixture(scope="session")
def unittest_program() -> Path:
    return go_tools.helm_unittest()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """All tests here need the tools, and run by `make test-deploy`; those with an API server by `make test-cluster`."""
    for item in items:
        if Path(__file__).parent in item.path.parents and not item.get_closest_marker("cluster"):
            item.add_marker(pytest.mark.deploy)
