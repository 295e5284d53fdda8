"""The names that Python files define."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PRODUCT = ("orchestrator", "services/orchestrator_services")


def sources(*folders: str) -> list[Path]:
    """The Python files in these folders of the checkout."""
    return [path for folder in folders for path in sorted((ROOT / folder).rglob("*.py"))]


def defined_names(*folders: str) -> set[str]:
    """What modules define: classes, functions and variables, and what classes define, as `Class.name`."""
    found: set[str] = set()
    for path in sources(*folders):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            found |= set(_names_of(node))
            if isinstance(node, ast.ClassDef):
                found |= {f"{node.name}.{name}" for inner in node.body for name in _names_of(inner)}
                found |= {f"{node.name}.{name}" for name in _set_in(node)}
    return found


def _names_of(node: ast.stmt) -> Iterator[str]:
    match node:
        case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
            yield name
        case ast.AnnAssign(target=ast.Name(id=name)):
            yield name
        case ast.Assign(targets=targets):
            yield from (target.id for target in targets if isinstance(target, ast.Name))


def _set_in(node: ast.ClassDef) -> Iterator[str]:
    """Attributes that methods set."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Attribute) and isinstance(inner.ctx, ast.Store):
            yield inner.attr
