"""A lab on the embedded broker, for tests of workers."""

from collections.abc import Iterator

import pytest

from orchestrator.local.embedded import EmbeddedCluster
from orchestrator.messages.catalogue import TOPICS
from tests.support.workers import Lab, lab_settings

PARTITIONS = 2


@pytest.fixture
def lab() -> Iterator[Lab]:
    with EmbeddedCluster({f"t.{spec.topic}": spec.partitions or PARTITIONS for spec in TOPICS}) as cluster:
        # The embedded broker answers a fetch after the full wait, even if records arrive earlier.
        yield Lab(lab_settings(cluster.bootstrap_servers, "t.", PARTITIONS, fetch_wait_max_ms="5"))
