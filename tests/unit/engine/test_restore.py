"""Whatever happened, a partition is restored as it was: after every transaction, from all that is kept, and
from no more than what has to be kept."""

import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.engine.state import partition as live
from orchestrator.engine.state import snapshots
from orchestrator.messages.catalogue import Topic
from tests.support.saga_partition import SagaPartition
from tests.support.simulation import Choices, some_profile

long_stories = st.integers(0, 1_000_000).map(
    lambda seed: random.Random(seed).choices(range(101), k=800)  # noqa: S311 - a story, no secret
)
"""Many choices that hang together by nothing: what makes a story long enough for marks to move."""


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Snapshots come soon, and sessions soon hold the mark back."""
    monkeypatch.setattr(snapshots, "SMALLEST", 1_500)
    monkeypatch.setattr(live, "MOST_BEHIND", 20)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(long_stories)
def test_restored_state_equals_live_state_after_every_transaction(chosen: list[int]) -> None:
    choices = Choices(chosen)
    with tempfile.TemporaryDirectory() as folder:
        partition = SagaPartition(choices, Path(folder))
        partition.submit(partition.new_number(), some_profile(choices))
        for _ in range(120):
            if choices.over:
                break
            _disturb(partition)
            partition.transaction(
                commit=choices.of(True, True, True, True, False), upkeep=choices.of(False, False, True)
            )
            _is_restored_as_it_is(partition)


def _disturb(partition: SagaPartition) -> None:
    match partition.choices.of(
        *["go on"] * 12, "submit", "submit", "wait", "cancel", "retention", "compaction"
    ):
        case "submit":
            partition.submit(partition.new_number(), some_profile(partition.choices))
        case "wait":
            partition.wait()
        case "cancel" if partition.handled:
            partition.cancel(partition.choices.of(*partition.handled)[0])
        case "retention" if partition.partition.checkpoint_mark >= 0:
            partition.log.delete(Topic.SESSIONS, partition.partition.checkpoint_mark)
        case "compaction":
            partition.log.compact()
        case _:
            if not partition.pool:
                partition.wait()


def _is_restored_as_it_is(partition: SagaPartition) -> None:
    lived, restored = partition.partition, partition.restored()
    assert partition.sessions(restored) == partition.sessions(lived)
    assert partition.dues(restored) == partition.dues(lived)
    assert set(restored.ended) == set(lived.ended)
    assert not restored.damaged
    assert (restored.batch, restored.active) == (lived.batch, lived.active)
    assert restored.checkpoint_mark == lived.checkpoint_mark
    # The place where reading has to begin is never above what lies there.
    for name, known in restored.live.items():
        if known.lacks:
            assert lived.live[name].first_offset <= known.first_offset
    assert lived.sessions_end <= partition.log.end(Topic.SESSIONS)
