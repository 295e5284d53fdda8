"""YAML of agents and playbooks: what is read, and that every mistake is reported with its line."""

from typing import Any

import pytest

from orchestrator.errors import ConfigurationError
from orchestrator.messages.types import (
    AgentProfile,
    EvaluationPoint,
    EvaluationPolicy,
    Limits,
    RetryPolicy,
    ReviewPolicy,
    ReviewVerdict,
    ToolPolicy,
)
from orchestrator.sdk import parse_documents, parse_playbooks

AGENT = """
agent: triage
description: Finds out why.
playbook: incident
planning_timeout: 20s
tools: {allow: ["sql.*"], deny: [sql.drop]}
retry: {attempts: 5, initial: 1s, max: 1m, multiplier: 3}
reviewers: [{name: safety, timeout: 10s, on_timeout: accept}, {name: boss}]
evaluate: {after: step, max_revisions: 2, evaluator: judge}
limits: {deadline: 15m, step_timeout: 60s, tool_calls: 40, tokens: 200000, cost_usd: 2.5, parallel_steps: 4,
         turns: 30}
"""


def problems_of(text: str) -> tuple[str, ...]:
    with pytest.raises(ConfigurationError) as raised:
        parse_documents(text, "f.yaml")
    return raised.value.problems


def test_an_agent_is_read() -> None:
    (profile,) = parse_documents(AGENT).profiles

    assert profile == AgentProfile(
        name="triage",
        description="Finds out why.",
        planner="playbook",
        playbook="incident",
        planning_timeout_ms=20_000,
        tools=ToolPolicy(allow=("sql.*",), deny=("sql.drop",)),
        retry=RetryPolicy(attempts=5, initial_ms=1_000, max_ms=60_000, multiplier=3.0),
        reviewers=(
            ReviewPolicy(reviewer="safety", timeout_ms=10_000, on_timeout=ReviewVerdict.ACCEPT),
            ReviewPolicy(reviewer="boss"),
        ),
        evaluation=EvaluationPolicy(after=EvaluationPoint.STEP, evaluator="judge", max_revisions=2),
        limits=Limits(
            deadline_ms=900_000,
            step_timeout_ms=60_000,
            tool_calls=40,
            tokens=200_000,
            cost_micro_usd=2_500_000,
            parallel_steps=4,
            turns=30,
        ),
    )


def test_what_an_agent_leaves_out_is_the_schema_s_default() -> None:
    (profile,) = parse_documents("agent: plain").profiles

    assert profile == AgentProfile(name="plain")


def test_a_file_may_hold_several_documents_each_kept_as_written() -> None:
    first = "# why\nplaybook: a\nsteps: {s: {tool: t}}  # one\n"
    second = "---\nplaybook: b\nversion: 3\nsteps: {s: {capability: c}}\n"

    found = parse_documents(f"{first}{second}---\n{AGENT}---\n")

    assert [document.source for document in found.playbooks] == [first, second]
    assert [document.playbook.label for document in found.playbooks] == ["a@1", "b@3"]
    assert [profile.name for profile in found.profiles] == ["triage"]
    assert parse_playbooks(found.playbooks[1].source)[0].label == "b@3"


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("no", "no"),
        ("2026-01-02", "2026-01-02"),
        ("12:30", "12:30"),
        ("007", "007"),
        ("1e3", 1000.0),
        ("-4", -4),
        ("1.5", 1.5),
        ("true", True),
        ("~", None),
        ("", None),
        ("'3'", "3"),
    ],
)
def test_scalars_are_those_of_yaml_1_2(written: str, read: Any) -> None:
    (playbook,) = parse_playbooks(f"playbook: a\nsteps: {{s: {{tool: t}}}}\nresult: {written}\n")

    assert playbook.result == read
    assert type(playbook.result) is type(read)


def test_every_mistake_of_a_file_is_reported_with_its_line() -> None:
    text = """\
playbook: a b
version: 1.10
steps:
  x: {tool: a, capability: b}
  y: {tol: a}
  "z z": {tool: t, retry: {atempts: 0, attempts: 0}, timeout: 5 parsecs}
---
agent: triage
reviewers: [{name: x, on_timeout: maybe}]
limits: {tokens: -1}
"""

    problems = problems_of(text)

    for line, start in (
        (1, "playbook: 'a b' is not a name"),
        (2, "version: write the version in quotes"),
        (4, "steps.x: set exactly one of tool and capability"),
        (5, "steps.y.tol: unknown key; did you mean tool?"),
        (6, "steps.z z: 'z z' is not a name: use letters, digits, dashes and underscores, a letter"),
        (6, "steps.z z.retry.atempts: unknown key; did you mean attempts?"),
        (6, "steps.z z.retry.attempts: Input should be greater than or equal to 1, not 0"),
        (6, "steps.z z.timeout: '5 parsecs' is not a duration"),
        (9, "reviewers.0.on_timeout: Input should be 'accept' or 'reject', not 'maybe'"),
        (10, "limits.tokens: Input should be greater than or equal to 0, not -1"),
    ):
        assert any(problem.startswith(f"f.yaml:{line}: {start}") for problem in problems), (start, problems)


def test_names_that_lead_nowhere_are_reported() -> None:
    text = """\
playbook: c
inputs: {n: {type: integer, default: x}}
steps:
  a:
    tool: t
    arguments:
      q: "${m} of ${n"
      r: {$from: z, at: rows, x: 1}
  b: {tool: t, after: [nope]}
result: {$from: a, at: 3}
"""

    assert problems_of(text) == (
        "f.yaml:2: inputs.n.default: the default must be of the input's type, integer",
        "f.yaml:7: steps.a.arguments.q: ${m} is not an input of the playbook; declared: n"
        " (write $${ for a literal ${)",
        "f.yaml:7: steps.a.arguments.q: ${ without a closing } (write $${ for a literal ${)",
        "f.yaml:8: steps.a.arguments.r: unknown key next to $from: x; only at may be there",
        "f.yaml:8: steps.a.arguments.r: $from: step z not found; the steps are a, b",
        "f.yaml:8: steps.a.arguments.r: at must be a JSON pointer such as /rows/0, not 'rows'",
        "f.yaml:9: steps.b.after.0: step nope not found; the steps are a, b",
        "f.yaml:10: result: at must be a JSON pointer such as /rows/0, not 3",
    )


def test_a_cycle_is_reported_with_its_steps() -> None:
    text = """\
playbook: c
steps:
  a: {tool: t, arguments: {x: {$from: c}}}
  b: {tool: t, after: [a]}
  c: {tool: t, after: [b]}
"""

    (problem,) = problems_of(text)

    assert "these steps wait for each other" in problem
    assert any(circle in problem for circle in ("a -> c -> b -> a", "b -> a -> c -> b", "c -> b -> a -> c"))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("a: [1", "f.yaml:1: invalid YAML: expected ',' or ']', but got '<stream end>'"),
        ("agent: a\nagent: b\n", "f.yaml:2: duplicate key agent"),
        ("agent: a\n3: x\n", "f.yaml:2: the key 3 is not text: write it in quotes"),
        (
            "agent: !!set {a}\n",
            "f.yaml:1: !!set is not a JSON type: use text, numbers, booleans, lists and mappings",
        ),
        ("- a\n", "f.yaml:1: a document must be a mapping with the key playbook or agent"),
        ("\n\nfoo: 1\n", "f.yaml:3: add playbook: NAME or agent: NAME, to say what this document defines"),
        (
            "agent: a\n---\nagent: a\n",
            "f.yaml:3: agent: agent a is defined twice in this file: rename or remove one",
        ),
        ("agent: a\nreviewers: [{name: x}, {name: x}]\n", "f.yaml:1: these reviewers are listed twice: x"),
        (
            "agent: a\nplanner: react\nroutes: [x]\n",
            "f.yaml:1: routes are what a router chooses from: add planner: router, or remove them",
        ),
        (
            "agent: a\nplanner: router\nroutes: [x, tool y]\n",
            "f.yaml:3: routes.1: 'tool y' is not a name: write a pattern of names, such as support.*, or of one kind: "
            "agent support.*, playbook refund-*",
        ),
    ],
)
def test_an_invalid_document_is_reported(text: str, problem: str) -> None:
    assert problem in problems_of(text)


def test_an_empty_file_defines_nothing() -> None:
    assert parse_documents("# later\n").playbooks == ()
