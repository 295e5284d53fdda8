"""The folder tree is the architecture: imports go down only, and the core is pure."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest

import orchestrator

ROOT = Path(__file__).parents[2]
CORE = ("orchestrator/saga", "orchestrator/messages")
UUID_PARSING = {"UUID", "uuid5"}
"""What the core may import from uuid: the rest of it makes ids from time or chance."""
LONGEST = 300
"""Lines of a file with one concern."""
MAY_BE_LONGER = {
    "orchestrator/messages/events.py": "generated",
    "orchestrator/messages/types.py": "generated",
    "orchestrator/saga/evolve.py": "one function for each of the orchestrator's events, and their table",
    "orchestrator/engine/loop.py": "one thread and its four numbered steps",
    "orchestrator/worker/dispatch.py": "one loop's work in flight",
    "orchestrator/bus/kafka/consumer.py": "one port",
}


def sources(*folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


OURS = sources("orchestrator", "services/orchestrator_services")


def test_imports_go_down_only() -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    linted = subprocess.run([linter, "--no-cache"], cwd=ROOT, capture_output=True, text=True)
    assert linted.returncode == 0, linted.stdout + linted.stderr


@pytest.mark.parametrize("path", sources(*CORE), ids=named)
def test_the_core_makes_no_ids_and_reads_no_clock(path: Path) -> None:
    tree = ast.parse(path.read_text())
    taken = {name for module, name in _imported(tree) if module == "uuid"}
    assert taken <= UUID_PARSING, (
        f"{named(path)} imports {taken - UUID_PARSING} from uuid: ids are derived in messages/identity.py"
    )
    asked = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and node.attr in {"now", "today", "utcnow", "uuid1", "uuid4", "uuid7"}
    }
    clocks = asked if any(module == "datetime" for module, _ in _imported(tree)) else asked - {"now"}
    assert not clocks, f"{named(path)} calls {clocks}: times and ids arrive in messages"


@pytest.mark.parametrize("path", OURS, ids=named)
def test_every_module_says_what_it_is(path: Path) -> None:
    text = path.read_text()
    assert not text.strip() or ast.get_docstring(ast.parse(text)), (
        f"{named(path)} has no docstring: say what the module is for"
    )


def test_files_have_one_concern() -> None:
    long = {named(path): lines for path in OURS if (lines := len(path.read_text().splitlines())) > LONGEST}
    unexplained = {name: lines for name, lines in long.items() if name not in MAY_BE_LONGER}
    assert not unexplained, f"split these by concern, or add the reason to MAY_BE_LONGER: {unexplained}"


def test_exceptions_are_still_needed() -> None:
    short = [name for name in MAY_BE_LONGER if len((ROOT / name).read_text().splitlines()) <= LONGEST]
    assert not short, f"remove these from MAY_BE_LONGER, they are short enough: {short}"


def test_every_layer_has_its_package() -> None:
    folder = Path(orchestrator.__file__ or "").parent
    for path in folder.iterdir():
        if path.is_dir() and any(path.glob("*.py")):
            assert find_spec(f"orchestrator.{path.name}") is not None
            assert (path / "__init__.py").exists(), (
                f"{path.name} needs an __init__.py: import-linter does not see it without one"
            )


def _imported(tree: ast.AST) -> Iterator[tuple[str, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom):
            yield from ((node.module or "", alias.name) for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from ((alias.name, "") for alias in node.names)
