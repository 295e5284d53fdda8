"""A restored partition equals the live one: after every transaction, with everything retained and with no more
retained than a restore needs."""

import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.engine.state import snapshots
from orchestrator.engine.state.partition import Partition
from orchestrator.messages.catalogue import Topic
from tests.support.saga_partition import SagaPartition
from tests.support.simulation import Choices, some_profile

many_choices = st.integers(0, 1_000_000).map(
    lambda seed: random.Random(seed).choices(range(101), k=800)  # noqa: S311 - a test case, not a secret
)
"""Enough independent choices for a run in which low-water marks move."""


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sessions are snapshotted early, and soon hold the low-water mark back."""
    monkeypatch.setattr(snapshots, "MIN_EVENT_BYTES", 1_500)
    monkeypatch.setattr("orchestrator.engine.state.partition.MAX_MARK_LAG", 20)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(many_choices)
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
                commit=choices.of(True, True, True, True, False), checkpoint=choices.of(False, False, True)
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
    # The hour may differ where a clock went back.
    assert {name: _claim(restored, name) for name in restored.ended} == {
        name: _claim(lived, name) for name in lived.ended
    }
    assert restored.keyed == lived.keyed
    assert not restored.damaged
    assert (restored.batch, restored.active) == (lived.batch, lived.active)
    assert restored.checkpoint_mark == lived.checkpoint_mark
    # A restore never begins above the first event that it needs.
    for name, known in restored.live.items():
        if known.needs_history:
            assert lived.live[name].first_offset <= known.first_offset
    assert lived.sessions_end <= partition.log.end(Topic.SESSIONS)


def _claim(partition: Partition, name: str) -> bytes | None:
    entry = partition.ended.with_id(name)
    assert entry is not None
    return entry.claim
