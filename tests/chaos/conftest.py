from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from orchestrator.local import StackAddress
from tests.chaos.topics import Reader
from tests.chaos.trial import installed, readers
from tests.support.installation import Installation

Installing = Callable[[StackAddress], Installation]


@pytest.fixture
def installing(tmp_path: Path) -> Installing:
    """Creates a new installation with the agents of the workload."""

    def install(address: StackAddress) -> Installation:
        return installed(address, f"chaos-{uuid4().hex[:8]}.", tmp_path)

    return install


@pytest.fixture
def installation(kafka_stack: StackAddress, installing: Installing) -> Installation:
    return installing(kafka_stack)


@pytest.fixture
def reading() -> Iterator[Callable[[Installation], Reader]]:
    with readers() as read:
        yield read
