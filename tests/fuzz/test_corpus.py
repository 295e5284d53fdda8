"""Every input that was ever found to matter ends as the product promises."""

from pathlib import Path
from typing import Final

import pytest

from tests.fuzz import corpus
from tests.fuzz.targets import TARGETS, target_named

MOST_FILES: Final = 600
MOST_BYTES: Final = 2_000_000
INPUTS: Final = list(corpus.everything())


@pytest.mark.parametrize(("name", "path"), INPUTS, ids=[f"{name}/{path.name}" for name, path in INPUTS])
def test_an_input_ends_as_promised(name: str, path: Path) -> None:
    target = target_named(name)
    target.check(target.load(path.read_bytes()))


@pytest.mark.parametrize("name", sorted(TARGETS))
def test_an_input_is_the_same_when_it_was_written_and_read(name: str) -> None:
    target = target_named(name)
    for path in corpus.files(name):
        case = target.load(path.read_bytes())
        assert target.load(target.dump(case)) == case


def test_the_corpus_belongs_to_targets_and_stays_small() -> None:
    assert {name for name, _ in INPUTS} == set(TARGETS)
    assert len(INPUTS) <= MOST_FILES
    assert sum(path.stat().st_size for _, path in INPUTS) <= MOST_BYTES
