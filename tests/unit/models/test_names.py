"""Names of tools, where models may write fewer characters than the platform."""

import re

from hypothesis import given
from hypothesis import strategies as st
from orchestrator_services.models.names import ToolNames
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
)

NAMES = st.sets(st.text("ab._-/é", min_size=1, max_size=80) | st.just("final_result"), max_size=12)


@given(NAMES)
def test_every_tool_has_a_name_of_its_own_that_providers_allow(tools: set[str]) -> None:
    names = ToolNames(tools)

    written = {names.to_model(tool) for tool in tools}

    assert len(written) == len(tools)
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,64}", name) for name in written)
    assert "final_result" not in written
    assert {names.to_platform(name) for name in written} == tools


@given(NAMES)
def test_the_order_of_tools_does_not_matter(tools: set[str]) -> None:
    one, other = ToolNames(sorted(tools)), ToolNames(sorted(tools, reverse=True))

    assert [one.to_model(tool) for tool in tools] == [other.to_model(tool) for tool in tools]


def test_names_are_readable() -> None:
    names = ToolNames(["sql.query", "web-search"])

    assert names.to_model("sql.query") == "sql_query"
    assert names.to_model("web-search") == "web-search"
    assert names.to_platform("unheard_of") == "unheard_of"


def test_an_allowed_name_is_not_taken_from_its_tool() -> None:
    names = ToolNames(["sql.query", "sql_query"])

    assert names.to_model("sql_query") == "sql_query"
    assert re.fullmatch(r"sql_query_[0-9a-f]{8}", names.to_model("sql.query"))


def test_a_conversation_is_kept_with_the_names_of_the_platform() -> None:
    names = ToolNames(["sql.query"])
    kept: list[ModelMessage] = [
        ModelResponse(
            parts=[TextPart("so"), ToolCallPart("sql.query", {}, "1"), ToolCallPart("gone.tool", {}, "2")]
        ),
        ModelRequest(parts=[ToolReturnPart("sql.query", "ok", "1")]),
    ]

    sent = names.history_for_model(kept)

    assert [part.tool_name for part in sent[0].tool_calls] == ["sql_query", "gone_tool"]  # type: ignore[union-attr]
    assert sent[1].parts[0].tool_name == "sql_query"  # type: ignore[union-attr]
    assert names.history_of_platform(sent[1:]) == kept[1:]
