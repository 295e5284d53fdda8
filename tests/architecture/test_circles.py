"""Files import each other in one direction: an import circle has no part that can be read first."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]


@cache
def imports() -> dict[str, frozenset[str]]:
    """Which files each file imports, as dotted names: inside functions and under `TYPE_CHECKING` too."""
    paths = {_name_of(path): path for path in (ROOT / "orchestrator").rglob("*.py")}
    return {
        name: frozenset(_imported(ast.parse(path.read_text(encoding="utf-8")), set(paths)) - {name})
        for name, path in paths.items()
    }


def test_no_circle_of_imports() -> None:
    circles = {circle for name in imports() if (circle := _circle_through(name)) is not None}
    assert not circles, "these files import each other: " + "; ".join(map(" <-> ".join, sorted(circles)))


def _circle_through(name: str) -> tuple[str, ...] | None:
    """All files that import this one and are imported by it, directly or through others; None without any."""
    circle = {other for other in _reachable(name) if name in _reachable(other)}
    return tuple(sorted(circle)) or None


@cache
def _reachable(name: str) -> frozenset[str]:
    found: set[str] = set()
    waiting = list(imports()[name])
    while waiting:
        if (other := waiting.pop()) not in found:
            found.add(other)
            waiting += imports()[other]
    return frozenset(found)


def _imported(tree: ast.AST, names: set[str]) -> set[str]:
    """The modules among `names` that a file imports: `from package import module` is the module."""

    def found() -> Iterator[str]:
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    inner = f"{node.module}.{alias.name}"
                    yield inner if inner in names else node.module

    return names.intersection(found())


def _name_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
