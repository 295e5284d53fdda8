"""The rise of a level is found where it is, and nowhere else."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from orchestrator_services.tools.rises import find_rise


def noisy(level: float, count: int, seed: int, spread: float = 0.2) -> list[float]:
    random = Random(seed)  # noqa: S311 - noise, not secrets
    return [level * random.lognormvariate(0, spread) for _ in range(count)]


@pytest.mark.parametrize("at", [5, 60, 115])
def test_a_lasting_rise_is_found_at_its_first_value(at: int) -> None:
    values = noisy(100, at, seed=1) + noisy(300, 120 - at, seed=2)

    rise = find_rise(values, min_ratio=1.5)

    assert rise is not None
    assert (rise.start, rise.end) == (at, 120)
    assert rise.ratio == pytest.approx(3, rel=0.2)


def test_a_rise_that_ends_has_its_end() -> None:
    values = noisy(100, 60, seed=3) + noisy(400, 10, seed=4) + noisy(100, 80, seed=5)

    rise = find_rise(values, min_ratio=1.5)

    assert rise is not None
    assert (rise.start, rise.end) == (60, 70)


def test_a_short_clean_step_is_found() -> None:
    rise = find_rise([100.0] * 5 + [500.0] * 5, min_ratio=1.5)

    assert rise is not None
    assert (rise.start, rise.before, rise.after) == (5, 100.0, 500.0)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param([100.0] * 50, id="flat"),
        pytest.param([100.0] * 30 + [9000.0] + [100.0] * 30, id="one outlier"),
        pytest.param([300.0] * 30 + [100.0] * 30, id="a fall"),
        pytest.param([100.0] * 30 + [110.0] * 30, id="below the ratio"),
        pytest.param([100.0, 900.0], id="too short"),
    ],
)
def test_no_rise_is_no_rise(values: list[float]) -> None:
    assert find_rise(values, min_ratio=1.5) is None


def test_noise_alone_is_not_taken_for_a_rise() -> None:
    found = [find_rise(noisy(100, 120, seed=seed, spread=0.5), min_ratio=1.2) for seed in range(40)]

    assert found.count(None) >= 38


@settings(max_examples=30, derandomize=True, deadline=None)
@given(
    before=st.integers(4, 40), inside=st.integers(4, 40), ratio=st.floats(2, 20), unit=st.floats(0.01, 1e4),
    seed=st.integers(0, 1000),
)  # fmt: skip
def test_the_unit_does_not_matter(before: int, inside: int, ratio: float, unit: float, seed: int) -> None:
    values = noisy(1, before, seed, spread=0.05) + noisy(ratio, inside, seed + 1, spread=0.05)

    rise = find_rise([value * unit for value in values], min_ratio=1.5)

    assert rise is not None
    assert (rise.start, rise.end) == (before, before + inside)
