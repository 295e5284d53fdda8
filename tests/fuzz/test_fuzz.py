"""Structure-aware, coverage-guided fuzzing: a hundred thousand inputs here, a million in `make soak`.

Every input ends as the product promises, whoever wrote it. A failure names the file of its input, and how to replay it.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import pytest

from tests.fuzz.conftest import FUZZED
from tests.fuzz.runs import run
from tests.fuzz.targets import TARGETS, target_named

SEED: Final = os.environ.get("FUZZ_SEED", "0")
"""Another seed finds other inputs; the same one the same."""
LONGER: Final = 10
INPUTS: Final = 100_000
Report = Callable[[str, Any], None]


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_every_input_ends_as_promised(name: str, tmp_path: Path, record_property: Report) -> None:
    fuzz(name, 1, tmp_path, record_property)


@pytest.mark.soak
@pytest.mark.parametrize("name", sorted(TARGETS))
def test_every_one_of_a_million_inputs_ends_as_promised(
    name: str, tmp_path: Path, record_property: Report
) -> None:
    fuzz(name, LONGER, tmp_path, record_property)


def fuzz(name: str, times: int, folder: Path, record_property: Report) -> None:
    target = target_named(name)

    report = run(name, target.inputs * times, SEED, folder)

    record_property(FUZZED, report)
    # The corpus is the same each time, so what it reaches is a floor that does not move.
    reached = report["lines_of_corpus"] / report["lines"]
    assert reached >= target.reaches, (
        f"the corpus of {name} reaches {reached:.1%} of its modules' lines, not {target.reaches:.0%}: has its entry "
        f"moved? `python -m tests.fuzz {name} --missing` lists the lines, `--keep` adds inputs that reach more"
    )


def test_all_targets_together_get_their_inputs() -> None:
    assert sum(target_named(name).inputs for name in TARGETS) >= INPUTS
