"""YAML of users: agents and playbooks, or problems of a line each that name the file and the line."""

import re
from typing import Final

import msgspec
from orchestrator_services.planner.compilation import compiled_playbook

from orchestrator.errors import ConfigurationError
from orchestrator.operations.definition_files import definitions_of
from orchestrator.sdk.documents import parse_documents
from orchestrator.sdk.yaml_documents import read_documents
from tests.fuzz.mutators.records import CODEC
from tests.fuzz.target import promise
from tests.fuzz.targets.text import text_target

_PROBLEM: Final = re.compile(r"file:\d+: ?.+", re.DOTALL)
_LONGEST: Final = 100_000
_GRAMMAR: Final = {
    "start": ("<playbook>", "<agent>", "<playbook>---\n<agent>", "<value>\n", "<anchored>", "<block>\n"),
    "playbook": (
        "playbook: <name>\nsteps:\n<steps><rest>",
        "playbook: <name>\nversion: <value>\ndescription: <value>\nmatch: <cel>\nsteps:\n<steps><rest>",
        "playbook: <name>\ninputs: {item: {type: <type>, default: <value>}, b: <type>}\nsteps:\n<steps><rest>",
    ),
    "steps": ("  <name>: <step>\n", "  <name>: <step>\n  <name>: <step>\n", "  <name>: <step>\n<steps>"),
    "step": (
        "{tool: sql.query}",
        "{tool: <name>, arguments: <arguments>}",
        "{capability: <name>, arguments: <arguments>, after: [<name>], timeout: <time>}",
        "{tool: <name>, retry: {attempts: <value>, initial: <time>, multiplier: <value>, max: <time>}, fallback: <value>}",  # noqa: E501
    ),
    "rest": ("", "result: <arguments>\n", "success: [<cel>, {expression: <cel>}]\n", "criteria: <value>\n"),
    "arguments": (
        "{}",
        "{a: <value>}",
        "{a: {$from: <name>, at: <pointer>}}",
        "{a: '${item}', b: '$${x} ${<name>}'}",
    ),
    "agent": (
        "agent: <name>\nplanner: playbook\nplaybook: <name>\n<more>",
        "agent: <name>\nplanner: <name>\ndeadline: <time>\n<more>",
        "agent: <name>\ntools: {allow: [<name>], deny: <value>}\nreviewers: [<name>, {reviewer: <name>, timeout: <time>}]\n",  # noqa: E501
    ),
    "more": (
        "",
        "limits: {tool_calls: <value>, tokens: <value>, cost: <value>, revisions: <value>}\n",
        "model: {name: <name>, temperature: <value>, settings: <arguments>, output_schema: <arguments>}\n",
        "evaluate: {evaluator: <name>, settings: <value>}\n<more>",
        "retry: {attempts: <value>}\nnotes: <value>\ninstructions: |\n  <name>\n",
    ),
    "anchored": (
        "a: &a <value>\nb: *a\n",
        "a: &a [<value>]\nb: &b [*a, *a]\nc: [*b, *b]\n",
        "a: &a [*a]\n",
        "<<: *x\n",
    ),
    "block": (
        "- <value>",
        "? <value>\n: <value>",
        "|\n  <name>\n",
        ">-\n  <name>",
        "!!<tag> <value>",
        "- - - <value>",
    ),
    "tag": (
        "str",
        "int",
        "float",
        "binary",
        "timestamp",
        "set",
        "omap",
        "python/object/apply:os.system",
        "null",
    ),
    "value": (
        "1",
        "<name>",
        "[<value>, <value>]",
        "{<name>: <value>}",
        "1.5",
        "true",
        "null",
        "'<name>'",
        '"<name>"',
    ),
    "name": (
        "a",
        "look",
        "shop",
        "sql.query",
        "a/b",
        "é",
        "~",
        "${item}",
        "'${a'",
        "0x1F",
        "1e999",
        "2026-01-01",
        ".inf",
    ),
    "type": ("string", "integer", "number", "boolean", "array", "object", "any", "<value>"),
    "time": ("10s", "1.5h", "0", "-1s", "999999999d", "<value>"),
    "pointer": ("/a", "/rows/0", "/-", "a", "''", "/~2", "<value>"),
    "cel": ("'true'", "task.goal.contains('a')", "outputs.a > 1", "'outputs.all(x, x.all(y, y))'", "<value>"),
}


def check(text: str) -> None:
    found, problems = read_documents(text, "file")
    for problem in problems:
        _said(problem)
    for one in found:
        msgspec.json.encode(one.content)
    try:
        parsed = parse_documents(text, "file")
    except ConfigurationError as error:
        promise(bool(error.problems), "a refusal has problems")
        for problem in error.problems:
            _said(problem)
        return
    promise(not problems, "what is no YAML defines nothing")
    for playbook in parsed.playbooks:
        try:
            compiled_playbook(playbook.source)
        except ConfigurationError as error:
            promise(all(0 < len(one) < _LONGEST for one in error.problems), "a problem is told")
    for definition in definitions_of(parsed, 1):
        sent = CODEC.encode(definition, source="/fuzz")
        promise(len(sent.value or b"") < 1_000_000, "a definition is a record")


def _said(problem: str) -> None:
    promise(_PROBLEM.fullmatch(problem) is not None, f"a problem names its file and line: {problem[:200]!r}")
    problem.encode()


TARGETS: Final = (
    text_target(
        "yaml",
        _GRAMMAR,
        check,
        (
            "orchestrator.sdk.yaml_bounds",
            "orchestrator.sdk.yaml_documents",
            "orchestrator.sdk.documents",
            "orchestrator.sdk.templates",
            "orchestrator.sdk.playbooks",
            "orchestrator.sdk.profiles",
            "orchestrator.sdk.grammar",
            "orchestrator_services.planner.compilation",
        ),
        longest=1_500,
        inputs=500,
        reaches=0.57,
        suffix="yaml",
    ),
)
