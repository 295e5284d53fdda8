from pathlib import Path

import pytest

from tests.support import incident_example
from tests.support.incident_figures import Findings, Request, expected_findings, read_log


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the data of the default seed."""
    folder = tmp_path_factory.mktemp("incident")
    incident_example.load("generate").generate(folder)
    return folder


@pytest.fixture(scope="session")
def requests(data: Path) -> list[Request]:
    return read_log(data / "access.log")


@pytest.fixture(scope="session")
def findings(data: Path) -> Findings:
    """What a correct report says about the data."""
    return expected_findings(data)
