"""Where a Jaeger is found, and what the error says if none is."""

from pathlib import Path

import pytest

from orchestrator.errors import ConfigurationError
from orchestrator.local import jaeger


@pytest.fixture(autouse=True)
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """One that has nothing: `bin` is on its PATH, `checkout` is where this code lies."""
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    monkeypatch.setattr(jaeger, "_CHECKOUT", tmp_path / "checkout")
    return tmp_path


def program(path: Path) -> Path:
    path.parent.mkdir(parents=True)
    path.touch(mode=0o755)
    return path


def test_a_program_on_the_path_is_used(machine: Path) -> None:
    installed = program(machine / "bin" / "jaeger")
    program(machine / "checkout" / ".cache" / "tools" / "jaeger-0123" / "jaeger")
    assert jaeger.jaeger_program() == installed


def test_a_program_built_in_the_checkout_is_used_otherwise(machine: Path) -> None:
    built = program(machine / "checkout" / ".cache" / "tools" / "jaeger-0123" / "jaeger")
    assert jaeger.jaeger_program() == built


def test_a_named_program_is_used_first(machine: Path) -> None:
    program(machine / "bin" / "jaeger")
    named = program(machine / "elsewhere" / "jaeger-2")
    assert jaeger.jaeger_program(str(named)) == named


@pytest.mark.parametrize("named", ["", "/nowhere/jaeger"])
def test_the_error_says_how_to_get_one(machine: Path, named: str) -> None:
    with pytest.raises(
        ConfigurationError, match=r"not found: .* ORCHESTRATOR_JAEGER to its path or, .* `make jaeger`"
    ):
        jaeger.jaeger_program(named)
