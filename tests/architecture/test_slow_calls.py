"""What takes a second for a large text is called in few places, none of which is on the event loop."""

import ast
from pathlib import Path

import pytest

SERVICES = Path(__file__).parents[2] / "services/orchestrator_services"

ALLOWED = {
    # The thread of playbooks, and the check before something is applied.
    "compiled_playbook": {"planner/candidates.py", "planner/playbooks.py"},
    "parse_playbooks": {"planner/compilation.py"},
    "parse_documents": set[str](),
}
"""Functions, and the files of services that may use them."""


@pytest.mark.parametrize("name", ALLOWED)
def test_playbooks_are_parsed_in_the_thread_of_playbooks_only(name: str) -> None:
    users = {file.relative_to(SERVICES).as_posix() for file in SERVICES.rglob("*.py") if _uses(file, name)}

    assert users == ALLOWED[name], (
        f"{name} takes a second for a large text: have `planner.matching.playbooks` compile it in its thread."
    )


def _uses(file: Path, name: str) -> bool:
    nodes = ast.walk(ast.parse(file.read_text(encoding="utf-8")))
    return any(name in (getattr(node, "id", ""), getattr(node, "attr", "")) for node in nodes)
