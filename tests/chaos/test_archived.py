"""What a trial says about its sink."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from orchestrator.sdk import Delivery
from tests.chaos import archive
from tests.chaos.archived import FILE, NAME, Archive
from tests.chaos.checker import check
from tests.chaos.run_writer import SECOND, again, changed, found, sound_run
from tests.chaos.topics import Place, Record


@pytest.fixture
def database(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(FILE, str(tmp_path / "archive.sqlite"))
    return tmp_path / "archive.sqlite"


def store(*places: Place) -> None:
    sink = archive.Archive.make()  # type: ignore[attr-defined]  # mypy does not follow decorators of classes
    for topic, partition, offset in places:
        delivery = Delivery(topic, partition, offset, 0, SimpleNamespace())  # type: ignore[arg-type]
        sink.write([delivery], {(topic, partition): offset + 1})
    sink.close()


def run_with_refusal() -> list[Record]:
    """A sound run whose first task the sink refuses."""
    records = sound_run()
    return changed(records, found(records, "TaskReceived"), goal="task 110")


def due(records: list[Record]) -> list[Place]:
    names = [each for each in records if each.topic in ("sessions", "events")]
    return [each.place for each in names if each.name.startswith("Task") and "goal" not in each.body]


def with_dead_letter(records: list[Record]) -> list[Record]:
    """The records, with the sink's dead letter about the task that was received first."""
    topic, partition, offset = found(records, "TaskReceived").place
    about = {
        "service": NAME,
        "stage": "handle",
        "failure": {"message": "no place"},
        "original": {"topic": topic, "partition": partition, "offset": offset},
    }
    return again(records, found(records, "MessageDeadLettered", SECOND), event_id="x", **about)


def test_what_is_stored_once_or_set_aside_is_right(database: Path) -> None:
    records = with_dead_letter(run_with_refusal())
    store(*due(records))
    assert Archive(database).faults(records) == []
    assert check(records) == []


def test_what_is_not_stored_is_found(database: Path) -> None:
    records = with_dead_letter(run_with_refusal())
    first, *others = due(records)
    store(*others)
    assert Archive(database).faults(records) == [f"{first} is not stored"]


def test_what_is_stored_twice_is_found(database: Path) -> None:
    records = with_dead_letter(run_with_refusal())
    store(*due(records), due(records)[0])
    assert Archive(database).faults(records) == [f"{due(records)[0]} is stored 2 times"]


def test_a_refusal_without_a_dead_letter_is_found(database: Path) -> None:
    records = run_with_refusal()
    store(*due(records))
    place = found(records, "TaskReceived").place
    assert Archive(database).faults(records) == [f"{place} is not stored", f"{place} has no dead letter"]


def test_a_dead_letter_about_what_is_not_refused_is_found() -> None:
    records = with_dead_letter(sound_run())
    assert {violation.rule for violation in check(records)} == {"dead letters"}
