"""What scripts say reaches the real client of the protocol as a model's replies do."""

from urllib.request import urlopen

import pytest
from pydantic_ai import NativeOutput
from pydantic_ai.exceptions import IncompleteToolCall, ModelNotFoundError
from pydantic_ai.messages import (
    AgentStreamEvent,
    ModelResponse,
    PartDeltaEvent,
    PartStartEvent,
    TextPart,
    ToolCallPart,
    ToolCallPartDelta,
)
from pydantic_ai.settings import ModelSettings

from tests.support.model_server import ModelServer
from tests.unit.support.model_agents import Answer, agent, lines, size, stream, texts


async def test_tools_are_called_side_by_side_and_their_results_come_back(server: ModelServer) -> None:
    async with agent("counting", tools=[size, lines]) as counting:
        result = await counting.run("Count.")

    assert result.output == "size: 4; lines: 104"
    (first, _) = [each for each in result.all_messages() if isinstance(each, ModelResponse)]
    assert [part.content for part in first.parts if isinstance(part, TextPart)] == ["Both at once."]
    calls = [part for part in first.parts if isinstance(part, ToolCallPart)]
    assert [(call.tool_name, call.args_as_dict()) for call in calls] == [
        ("size", {"path": "a.md"}),
        ("lines", {"path": "b.md"}),
    ]
    assert len({call.tool_call_id for call in calls}) == 2


async def test_a_request_that_is_sent_again_gets_the_same_reply(server: ModelServer) -> None:
    async with agent("counting", tools=[size, lines]) as counting:
        first, second = [(await counting.run("Count again.")).all_messages() for _ in range(2)]

    def said(messages: list[object]) -> list[object]:
        return [
            (each.parts, each.provider_response_id) for each in messages if isinstance(each, ModelResponse)
        ]

    assert said([*first]) == said([*second])


async def test_text_is_streamed_in_pieces(server: ModelServer) -> None:
    events: list[AgentStreamEvent] = []
    async with agent("talking") as talking:
        await stream(talking, "Talk.", events)

    assert texts(events) == ["One two thre", "e four five ", "six seven ei", "ght nine ten", "."]


async def test_arguments_of_calls_side_by_side_are_streamed_in_pieces(server: ModelServer) -> None:
    events: list[AgentStreamEvent] = []
    async with agent("counting", tools=[size, lines]) as counting:
        result = await stream(counting, "Stream the count.", events)

    assert result.output == "size: 4; lines: 104"
    starts = [event.part.part_kind for event in events if isinstance(event, PartStartEvent)]
    assert starts == ["text", "tool-call", "tool-call", "text"]
    deltas = [event.delta for event in events if isinstance(event, PartDeltaEvent)]
    arguments = [delta.args_delta for delta in deltas if isinstance(delta, ToolCallPartDelta)]
    assert arguments == ['{"path": "a.', 'md"}', '{"path": "b.', 'md"}']


@pytest.mark.parametrize("output", [Answer, NativeOutput(Answer)], ids=["by tool", "by response format"])
async def test_output_comes_in_the_way_that_is_asked_for(server: ModelServer, output: object) -> None:
    async with agent("answering", output_type=output) as answering:
        result = await answering.run("Answer.")

    assert result.output == Answer(answer="forty-two", sure=True)


async def test_a_model_makes_mistakes_of_form_and_sees_what_comes_back(server: ModelServer) -> None:
    async with agent("clumsy", tools=[size], output_type=Answer, retries=3) as clumsy:
        result = await clumsy.run("Err.")

    assert result.output == Answer(answer="turn 3", sure=True)
    (json_error, no_tool, no_fit) = server.last("Err.").all_results
    assert (json_error.tool, no_tool.tool) == ("size", "volume")
    assert "Invalid JSON" in json_error.text
    assert "volume" in no_tool.text
    assert no_fit.tool == "final_result"
    assert "Field required" in no_fit.text


async def test_a_reply_is_no_longer_than_the_request_allows(server: ModelServer) -> None:
    async with agent("talking") as talking:
        result = await talking.run("Talk briefly.", model_settings=ModelSettings(max_tokens=3, max_retries=0))

    assert result.response.finish_reason == "length"
    assert result.usage.output_tokens == 3
    assert result.output == "One two thre"


async def test_a_call_is_cut_in_its_arguments(server: ModelServer) -> None:
    async with agent("calling", tools=[size], retries=0) as calling:
        with pytest.raises(IncompleteToolCall):
            await calling.run("Cut.", model_settings=ModelSettings(max_tokens=4, max_retries=0))


async def test_a_model_without_a_script_is_not_found(server: ModelServer) -> None:
    async with agent("nobody") as nobody:
        with pytest.raises(ModelNotFoundError, match="The model nobody has no script: use one of counting"):
            await nobody.run("Is anybody there?")


def test_it_lists_its_models(server: ModelServer) -> None:
    with urlopen(f"{server.url}/models") as response:  # noqa: S310 - the URL is our own
        assert b'"id":"counting"' in response.read()
