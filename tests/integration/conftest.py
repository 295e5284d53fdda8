from collections.abc import Iterator

import pytest

from orchestrator.local import StackAddress
from tests.support.kafka_stack import provide_stack


@pytest.fixture(scope="session")
def kafka_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackAddress]:
    """One Kafka node and one registry for the whole run: use topics and subjects of your own."""
    with provide_stack(tmp_path_factory.mktemp("stack")) as address:
        yield address
