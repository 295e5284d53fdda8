"""The tools are one plug-in module, known by name, capability and arguments."""

import json

import pytest
from orchestrator_services import tools

from orchestrator.sdk import Plugins, Tool

CAPABILITIES = {
    "files.list": "file-list",
    "files.read": "file-read",
    "files.search": "file-search",
    "http.get": "http",
    "logs.change_point": "log-change-point",
    "logs.statistics": "log-statistics",
    "report.markdown": "report",
    "sql.query": "sql",
    "values.read": "value-read",
}
TOOLS = Plugins.of(tools).by_name(Tool)


def test_the_module_brings_every_tool() -> None:
    assert {name: tool.definition.capabilities for name, tool in TOOLS.items()} == {
        name: (capability,) for name, capability in CAPABILITIES.items()
    }


@pytest.mark.parametrize("tool", TOOLS.values(), ids=list(TOOLS))
def test_each_says_in_one_sentence_what_it_does_and_what_it_answers(tool: Tool) -> None:
    assert tool.definition.description.endswith(".")
    assert json.loads(tool.definition.output_schema)["properties"]


@pytest.mark.parametrize(
    ("name", "arguments", "problem"),
    [
        ("sql.query", {"sql": "SELECT 1", "file": "a.csv", "max_rows": 0}, "max_rows"),
        ("sql.query", {"sql": "SELECT 1", "files": {'x" AS SELECT 1; --': "a.csv"}}, "files"),
        ("logs.statistics", {"file": "a.log", "bucket": "soon"}, "bucket"),
        ("logs.change_point", {"series": [{"start": "x", "value": -1}]}, "series.0.value"),
        ("files.read", {"path": "a", "nonsense": 1}, "nonsense"),
    ],
)
def test_arguments_that_do_not_fit_are_named(name: str, arguments: dict[str, object], problem: str) -> None:
    context: object = None

    with pytest.raises(Exception, match=f"invalid arguments for {name}: {problem}"):
        TOOLS[name].arguments(arguments, context)  # type: ignore[arg-type]
