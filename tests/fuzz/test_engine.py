"""The search itself: it finds what is planted, the same with the same seed, and survives what ends a process."""

import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.fuzz import corpus, planted, reached
from tests.fuzz.engine import Search
from tests.fuzz.runs import run
from tests.fuzz.target import Target


def search(check: Any, **changes: Any) -> Search:
    options: dict[str, Any] = {
        "name": "planted",
        "modules": ("tests.fuzz.planted",),
        "make": lambda random: bytes(random.randrange(256) for _ in range(4)),
        "change": changed,
        "dump": bytes,
        "load": bytes,
        "check": check,
        "inputs": 1,
        "reaches": 0.0,
    }
    return Search(Target(**options | changes))


def changed(case: bytes, random: Random, _other: bytes) -> bytes:
    at = random.randrange(4)
    return case[:at] + bytes([random.randrange(256)]) + case[at + 1 :]


def test_what_is_behind_four_conditions_is_found_by_what_was_reached() -> None:
    # Given a fault that one of four billion inputs has.
    found = search(planted.behind_conditions).run(50_000, "0")

    [(place, fault)] = found.faults.items()
    assert place.startswith("ValueError at planted.py")
    assert fault.content == b"FUZZ"


def test_a_seed_finds_the_same_again() -> None:
    first, second = (search(planted.behind_conditions).run(2_000, "7") for _ in range(2))
    assert first == second
    assert first.kept != search(planted.behind_conditions).run(2_000, "8").kept


def test_work_without_end_is_a_fault() -> None:
    found = search(planted.endless, most_steps=1_000).run(10, "0")

    [place] = found.faults
    assert place.startswith("TooManySteps")


def test_a_line_that_takes_long_is_a_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reached, "_MOST_S", 0.01)

    found = search(planted.lasting).run(1, "0")

    [fault] = found.faults.values()
    assert "seconds of CPU for" in fault.text


def test_a_process_that_dies_leaves_its_input_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Given a target whose process is killed by its third input.
    monkeypatch.setattr(corpus, "FAILURES", tmp_path / "failures")
    killed = (
        "import sys, os, signal; sys.argv[1:]; "
        "from pathlib import Path; from tests.fuzz.__main__ import _recorder; "
        "record = _recorder(Path([one for one in sys.argv if '--current=' in one][0].partition('=')[2])); "
        "record(b'one'); record(b'two'); os.kill(os.getpid(), signal.SIGSEGV)"
    )
    real = subprocess.run

    def dying(command: list[str], **options: Any) -> Any:
        return real([sys.executable, "-c", killed, *command[3:]], **options)

    monkeypatch.setattr(subprocess, "run", dying)

    with pytest.raises(AssertionError, match="ended with -11") as raised:
        run("planted", 10, "0", tmp_path)

    [left] = (tmp_path / "failures" / "planted").iterdir()
    assert left.read_bytes() == b"two"
    assert f"--replay {left}" in str(raised.value)
