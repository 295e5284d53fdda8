"""`agents apply`, `agents list`, `tools list`."""

import time
from pathlib import Path

from orchestrator.cli.exits import ExitCode
from orchestrator.messages.types import ToolDefinition
from orchestrator.sdk import tool_defined
from tests.unit.cli.conftest import Installation, Run

PLAYBOOK = """\
playbook: tea
version: 2
description: Makes tea.
steps:
  boil: {tool: kettle.boil, arguments: {cups: 2}}
"""
AGENT = """\
agent: cook
description: Cooks.
playbook: tea
"""


def test_what_a_folder_defines_is_listed(run: Run, installation: Installation, place: Path) -> None:
    place.joinpath("kitchen").mkdir()
    place.joinpath("kitchen/tea.yaml").write_text(f"{PLAYBOOK}---\n{AGENT}")

    applied = run("agents", "apply", "kitchen")

    assert (applied.code, applied.out) == (0, "playbook tea@2 is defined\nagent cook is defined\n")
    listed = run("agents", "list", "-o", "json").document
    assert [agent["name"] for agent in listed["agents"]] == ["cook"]
    assert listed["agents"][0]["playbook"] == "tea"
    assert listed["playbooks"][0]["version"] == "2"
    assert listed["playbooks"][0]["source"].startswith("playbook: tea")
    rows = [line.split() for line in run("agents", "list").out.splitlines()]
    assert rows[1:] == [
        ["agent", "cook", "playbook", "tea", "Cooks."],
        ["playbook", "tea@2", "Makes", "tea."],
    ]


def test_a_mounted_config_map_is_read_once(run: Run, installation: Installation, place: Path) -> None:
    # given the folder as Kubernetes lays it out
    hidden = place / "agents" / "..2026_11_25_20_00_00.1"
    hidden.mkdir(parents=True)
    hidden.joinpath("cook.yaml").write_text(f"{PLAYBOOK}---\n{AGENT}")
    place.joinpath("agents/..data").symlink_to(hidden.name)
    place.joinpath("agents/cook.yaml").symlink_to("..data/cook.yaml")

    applied = run("agents", "apply", "agents")

    assert (applied.code, applied.out) == (0, "playbook tea@2 is defined\nagent cook is defined\n")


def test_every_mistake_of_every_file_is_reported_and_nothing_is_defined(
    run: Run, installation: Installation, place: Path
) -> None:
    place.joinpath("a.yaml").write_text("agent: good\n---\nagent: bad\nplaner: playbook\n")
    place.joinpath("b.yaml").write_text(
        "playbook: round\nsteps:\n  a: {tool: x, after: [b]}\n  b: {tool: x, after: [a]}\n"
    )
    place.joinpath("c.yaml").write_text("playbook: [\n")

    ended = run("agents", "apply", ".")

    assert ended.code == 3
    lines = ended.err.splitlines()
    assert len(lines) == 3
    assert "a.yaml:4: planer: unknown key; did you mean planner?" in lines[0]
    assert "these steps wait for each other" in lines[1]
    assert "c.yaml:2: invalid YAML" in lines[2]
    assert "good" not in run("agents", "list", "-o", "json").out


def test_a_name_that_two_files_define_is_a_mistake(run: Run, installation: Installation, place: Path) -> None:
    for name in ("a.yaml", "b.yaml"):
        place.joinpath(name).write_text("agent: twin\n")

    ended = run("agents", "apply", ".")

    assert ended.code == 3
    assert "agent twin" in ended.err
    assert "a.yaml" in ended.err
    assert "b.yaml" in ended.err


def test_a_missing_folder_is_a_usage_error(run: Run) -> None:
    assert run("agents", "apply", "nowhere").code == 2


def test_a_folder_without_documents_says_so(run: Run, place: Path) -> None:
    ended = run("agents", "apply", ".")

    assert ended.code == 3
    assert "no YAML file in" in ended.err


def test_announced_tools_are_listed(run: Run, installation: Installation) -> None:
    kettle = ToolDefinition(
        name="kettle.boil",
        description="Boils water.\n\nAt length.",
        capabilities=("boil",),
        arguments_schema='{"type": "object"}',
    )
    installation.writes(tool_defined(kettle, time.time_ns() // 1000))

    rows = [line.split() for line in run("tools", "list").out.splitlines()]
    assert rows[1] == ["kettle.boil", "1", "boil", "Boils", "water."]
    document = run("tools", "list", "-o", "json").document[0]
    assert document["arguments_schema"] == {"type": "object"}
    assert document["timeout_ms"] == 30_000


def test_an_expression_that_the_planner_would_refuse_is_not_applied(
    run: Run, installation: Installation, place: Path
) -> None:
    ten = "[0,1,2,3,4,5,6,7,8,9]"
    match = "".join(f"{ten}.all({name}, " for name in "abcdef") + "true" + ")" * 6
    place.joinpath("agents").mkdir()
    place.joinpath("agents/tea.yaml").write_text(
        f"{PLAYBOOK.replace('tea', 'coffee')}match: {match!r}\nsuccess: 'outputs.brew == 1'\n"
    )

    applied = run("agents", "apply", "agents")

    assert (applied.code, applied.out) == (ExitCode.CONFIGURATION, "")
    assert "agents/tea.yaml: playbook coffee: match: " in applied.err
    assert "6 macros (all, exists, map …) inside each other; at most 3 are allowed" in applied.err
    assert "success: 'outputs.brew == 1' uses outputs.brew, but step brew does not exist" in applied.err
    assert "coffee" not in run("agents", "list").out
