"""What reads texts of others takes time in proportion to them: a few kilobytes once stopped whole processes."""

from collections.abc import Callable

import pytest
from orchestrator_services.models.responses import with_distinct_calls
from orchestrator_services.prompting.data import data
from orchestrator_services.strategies.bindings import Binding
from orchestrator_services.tools.markdown import inline
from orchestrator_services.tools.markdown_text import harmless
from orchestrator_services.tools.paths import glob_matches
from pydantic_ai.messages import ModelResponse, ToolCallPart

from orchestrator.messages.plans import problems_of
from orchestrator.sdk import readable
from orchestrator.sdk.messages import types
from orchestrator.telemetry.logs import bounded
from orchestrator.telemetry.redaction import Redaction
from tests.support.pumping import Pump, growth, slow_pump

REDACT = Redaction(["a-known-secret"])
URLS = ["?key", "?", "&token", "://", "%3a%2f%2f", "https://a:b", "a@", ":", "%40"]
KEYS = ["eyJ-", "-eyJaaaaaaaa", "eyJaaaaaaaa.", "sk-", "AIza", "password ", "password=", "bearer ", "token:"]
MARKDOWN = ["`", "` `` ", "<", "![", "[a](", "*a ", "> ", "|a", "\n\n", "\\", "[a]: b\n", "``\n\n", "1. "]


@pytest.mark.parametrize("unit", [*URLS, *KEYS])
def test_redaction(unit: str) -> None:
    assert slow_pump(REDACT, [Pump(unit), Pump(unit, "x", "\0"), Pump(unit, "://")]) is None


@pytest.mark.parametrize("prefix", ["<", "</", "<data", ""])
def test_data_for_models(prefix: str) -> None:
    assert slow_pump(data, [Pump(unit, prefix) for unit in (" ", "<", "/", "\n", "< ", "<data ")]) is None


@pytest.mark.parametrize("unit", [" ", "\t", "\n", " \n", "\r", "|", "`"])
def test_a_value_within_a_line(unit: str) -> None:
    assert slow_pump(inline, [Pump(unit, "a", "b")]) is None


@pytest.mark.parametrize("unit", MARKDOWN)
def test_markdown_of_others(unit: str) -> None:
    assert slow_pump(harmless, [Pump(unit), Pump(unit, "a ")]) is None


@pytest.mark.parametrize("function", [readable, lambda text: bounded(text, REDACT)])
def test_messages_of_failures(function: Callable[[str], str]) -> None:
    assert slow_pump(function, [Pump(unit) for unit in [*URLS, *KEYS]]) is None


@pytest.mark.parametrize("unit", ["**/", "*", "a/", "[", "*a"])
def test_patterns_of_file_names(unit: str) -> None:
    assert growth(lambda pattern: glob_matches("a/b/c.txt", f"{pattern}x"), Pump(unit)) < 24
    assert growth(lambda name: glob_matches(name, "**/a*a*/**/b"), Pump("a/" if unit == "**/" else "a")) < 24


def test_calls_of_a_response_that_all_have_one_id() -> None:
    def distinct(ids: str) -> None:
        response = ModelResponse(parts=[ToolCallPart("t", "{}", "x") for _ in ids])
        calls = with_distinct_calls(response).tool_calls
        assert len({call.tool_call_id for call in calls}) == len(ids)

    assert growth(distinct, Pump("x")) < 24


def test_a_plan_of_many_steps() -> None:
    def check(steps: str) -> None:
        nothing = types.Document()
        problems_of(
            types.Plan(
                steps=tuple(
                    types.Step(step_id=f"s{at}", tool="t", arguments=nothing) for at in range(len(steps))
                )
            )
        )

    assert growth(check, Pump("x")) < 24


def test_references_to_steps_that_do_not_exist() -> None:
    def bind(references: str) -> None:
        many = range(len(references))
        binding = Binding({f"s{at}": f"plan1-s{at}" for at in many}, {f"plan0-t{at}": None for at in many})
        binding.bound([{"$output": "no"} for _ in many], "result")
        # And a line about the others.
        assert len(binding.problems) == min(21, len(references))
        assert len(binding.problems[0]) < 300

    assert growth(bind, Pump("x")) < 24
