"""A turn: what the model is asked, what it wants, and what of it becomes calls."""

import json
from typing import Any

import pytest
from orchestrator_services.models import Asked, History, Says, ToolAnswer, ToolCall

from orchestrator.messages.types import ToolDefinition
from orchestrator.sdk import ContractError, InvalidInput, PermanentError
from tests.unit.models.support import NUMBER, PRICE, STOCK, Talk

pytestmark = pytest.mark.usefixtures("each_way")

APPLES = ("stock.level", {"item": "apple"})
PEARS = ("stock.level", {"item": "pear"})


def restored(history: History | None) -> History:
    """The history after its messages were kept as JSON text."""
    from orchestrator_services.models.conversion import encoded

    assert history is not None
    return History.of(json.loads(json.dumps(encoded(history.decoded))))


def answered_calls(asked: Asked) -> list[str]:
    return sorted(one.call_id for one in asked.messages if one.by == "tool")


def made_calls(asked: Asked) -> list[str]:
    return sorted(one.call_id for one in asked.messages if one.by == "model" and one.call_id)


async def test_words_are_the_output_where_no_schema_asks_for_more() -> None:
    talk = Talk("three apples")

    reply = await talk.turn("how many?", instructions="Be brief.")

    assert (reply.output, reply.text, list(reply.calls)) == ("three apples", "three apples", [])
    assert talk.asked[0].prompt == "how many?"
    assert talk.asked[0].instructions == "Be brief."
    assert talk.asked[0].tools == ["stock.level", "price"]


async def test_calls_are_answered_in_the_next_turn() -> None:
    talk = Talk(Says(text="I look.", calls=[APPLES, PEARS]), "three and none")

    first = await talk.turn("how many?")
    second = await talk.turn(
        answers={
            "call-0-0": ToolAnswer({"pieces": 3}),
            "call-0-1": ToolAnswer(problem="the stock service is down"),
        }
    )

    assert list(first.calls) == [
        ToolCall("call-0-0", "stock.level", {"item": "apple"}),
        ToolCall("call-0-1", "stock.level", {"item": "pear"}),
    ]
    assert (first.output, first.text) == (None, "I look.")
    assert second.output == "three and none"
    heard = talk.asked[1].new
    assert [(one.call_id, one.text, one.problem) for one in heard] == [
        ("call-0-0", '{"pieces":3}', False),
        ("call-0-1", "the stock service is down", True),
    ]


async def test_a_prompt_may_follow_the_answers() -> None:
    talk = Talk(Says(calls=[APPLES]), "none")

    await talk.turn("how many?")
    await talk.turn("hurry", answers={"call-0-0": ToolAnswer(None)})

    assert [(one.by, one.text) for one in talk.asked[1].new] == [("tool", "null"), ("user", "hurry")]


async def test_a_history_is_the_messages_of_its_turns() -> None:
    talk = Talk(Says(calls=[APPLES]), "three")

    first = await talk.turn("how many?", instructions="Be brief.")
    second = await talk.turn(answers={"call-0-0": ToolAnswer(3)})

    messages = [*first.messages, *second.messages]
    assert History.of(json.loads(json.dumps(messages))) == second.history
    assert "Be brief." not in json.dumps(messages)


async def test_a_bad_tool_name_goes_back_to_the_model_in_the_same_turn() -> None:
    talk = Talk(Says(calls=[("stock.count", {})]), Says(calls=[APPLES]))

    reply = await talk.turn("how many?")

    assert [call.arguments for call in reply.calls] == [{"item": "apple"}]
    (problem,) = talk.asked[1].new
    assert problem.problem
    assert "Unknown tool name: 'stock.count'" in problem.text
    assert talk.used.model_requests == 2


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"item": 3}, "item: 3 is not of type 'string'"),
        ({}, "'item' is a required property"),
        ([1], "Input should be an object"),
        ('{"item": ', "Invalid JSON"),
    ],
)
async def test_arguments_that_do_not_fit_go_back_to_the_model(arguments: Any, problem: str) -> None:
    talk = Talk(Says(calls=[("stock.level", arguments)]), "I give up")

    reply = await talk.turn("how many?")

    assert reply.output == "I give up"
    assert problem in talk.asked[1].new[0].text


@pytest.mark.parametrize("kept", [False, True], ids=["in memory", "restored from JSON"])
async def test_good_calls_are_made_and_bad_ones_of_the_same_reply_are_explained(kept: bool) -> None:
    talk = Talk(
        Says(calls=[("price", {}), ("stock.count", {}), APPLES, ("stock.level", {"item": 1})]),
        Says(calls=[("price", {"of": "pear"})]),
        "done",
    )

    first = await talk.turn("how many?")
    if kept:
        talk.history = restored(talk.history)
    assert [call.call_id for call in first.calls] == ["call-0-0", "call-0-2"]
    assert list(first.history.open_calls) == list(first.calls)
    await talk.turn(answers={"call-0-0": ToolAnswer(1), "call-0-2": ToolAnswer(problem="no")})
    if kept:
        talk.history = restored(talk.history)
    await talk.turn(answers={"call-1-0": ToolAnswer(2)})

    for asked in talk.asked[1:]:
        assert answered_calls(asked) == made_calls(asked)
    problems = {one.call_id for one in talk.asked[1].new if one.problem}
    assert problems == {"call-0-1", "call-0-2", "call-0-3"}
    assert not talk.history.open_calls if talk.history else False


async def test_a_tool_that_is_gone_still_has_its_answer() -> None:
    talk = Talk(Says(calls=[APPLES, ("price", {})]), "done")

    await talk.turn("how many?")
    talk.tools = (PRICE,)
    reply = await talk.turn(answers={"call-0-0": ToolAnswer(3), "call-0-1": ToolAnswer(1)})

    assert reply.output == "done"
    assert answered_calls(talk.asked[1]) == ["call-0-0", "call-0-1"]


@pytest.mark.parametrize(
    ("answers", "problem"),
    [
        ({}, "no answer to call-0-0"),
        ({"call-0-0": ToolAnswer(1), "other": ToolAnswer(2)}, "other does not wait for an answer"),
    ],
)
async def test_every_call_needs_exactly_one_answer(answers: Any, problem: str) -> None:
    talk = Talk(Says(calls=[APPLES]))
    await talk.turn("how many?")

    with pytest.raises(InvalidInput, match=problem) as raised:
        await talk.turn("and now?", answers=answers)

    assert raised.value.code == "unanswered_calls"
    assert talk.used.model_requests == 1


async def test_a_turn_without_anything_new_is_refused() -> None:
    with pytest.raises(InvalidInput, match="needs a prompt"):
        await Talk().turn()


async def test_structured_output_fits_its_schema() -> None:
    talk = Talk(Says(text="So:", output={"n": 2}))

    reply = await talk.turn("count", output_schema=NUMBER)

    assert (reply.output, reply.text) == ({"n": 2}, "So:")


async def test_output_that_does_not_fit_is_asked_again() -> None:
    talk = Talk("two", Says(output={"n": 0}), Says(output={"n": 2}))

    reply = await talk.turn("count", output_schema=NUMBER)

    assert reply.output == {"n": 2}
    assert "n: 0 is less than the minimum of 1" in talk.asked[2].new[0].text
    assert talk.used.model_requests == 3


async def test_output_that_never_fits_fails_the_turn() -> None:
    talk = Talk(*[Says(output={"n": 0}, tokens_input=10, tokens_output=5)] * 3)

    with pytest.raises(
        PermanentError, match=r"in 3 requests; .* n: 0 is less than the minimum of 1"
    ) as raised:
        await talk.turn("count", output_schema=NUMBER)

    assert raised.value.code == "output_does_not_fit"
    assert (talk.used.model_requests, talk.used.tokens_input, talk.used.tokens_output) == (3, 30, 15)


@pytest.mark.parametrize(
    ("schema", "output"),
    [
        ({"type": "array", "items": {"type": "integer"}}, [1, 2]),
        ({"type": "string", "enum": ["a", "b"]}, "b"),
        ({"$ref": "#/$defs/n", "$defs": {"n": {"type": "integer"}}}, 3),
        ({"type": ["integer", "null"]}, None),
    ],
)
async def test_output_may_be_of_any_type(schema: dict[str, Any], output: Any) -> None:
    talk = Talk(Says(output=output))

    assert (await talk.turn("count", output_schema=schema)).output == output


@pytest.mark.parametrize(
    "schema",
    [
        {"type": "objekt"},
        {"type": "object", "properties": {"a": {"$ref": "#"}}},
        {"$ref": "#/$defs/a", "$defs": {"a": {"type": "array", "items": {"$ref": "#/$defs/a"}}}},
    ],
)
async def test_a_schema_that_cannot_be_asked_for_is_refused(schema: dict[str, Any]) -> None:
    with pytest.raises(PermanentError, match="output schema") as raised:
        await Talk().turn("count", output_schema=schema)

    assert raised.value.code == "output_schema"


async def test_after_its_output_a_conversation_may_go_on() -> None:
    talk = Talk(Says(calls=[APPLES], output={"n": 1}), Says(output={"n": 2}))

    first = await talk.turn("count", output_schema=NUMBER)
    talk.history = restored(talk.history)
    second = await talk.turn("that is wrong", output_schema=NUMBER)

    assert (first.output, list(first.calls)) == ({"n": 1}, [])
    assert second.output == {"n": 2}
    assert answered_calls(talk.asked[1]) == made_calls(talk.asked[1])


async def test_calls_of_one_id_are_told_apart() -> None:
    from orchestrator_services.models.responses import with_distinct_calls
    from pydantic_ai.messages import ModelResponse, ToolCallPart

    response = ModelResponse(parts=[ToolCallPart("a", {}, one) for one in ("x", "x", "", "")])

    found = [call.tool_call_id for call in with_distinct_calls(response).tool_calls]

    assert found == ["x", "x-2", "call", "call-2"]


async def test_an_output_of_a_tool_is_never_taken_for_a_link() -> None:
    link = {"kind": "image-url", "url": "http://127.0.0.1/x.png", "media_type": "image/png"}
    talk = Talk(Says(calls=[APPLES]), "ok")

    await talk.turn("look")
    talk.history = restored(talk.history)
    await talk.turn(answers={"call-0-0": ToolAnswer(link)})
    talk.history = restored(talk.history)

    assert json.loads(talk.asked[1].answers["stock.level"]) == link


async def test_outputs_may_be_put_back_into_messages_as_data() -> None:
    """What lies in the value store is loaded as data: the model reads the same text."""
    talk = Talk(Says(calls=[APPLES]), "ok")
    await talk.turn("look")
    reply = await talk.turn(answers={"call-0-0": ToolAnswer({"pieces": 3})})

    messages = json.loads(json.dumps(reply.messages))
    messages[0]["parts"][0]["content"] = {"pieces": 3}

    assert History.of(messages).decoded == History.of(reply.messages).decoded


def test_messages_that_no_client_wrote_are_refused() -> None:
    with pytest.raises(ContractError, match="the conversation cannot be read"):
        History.of([{"kind": "note"}])


async def test_one_question_has_no_tools() -> None:
    talk = Talk(Says(output={"n": 4}))

    found = await talk.client.ask(talk.policy, "count", talk.context, output_schema=NUMBER)

    assert found == {"n": 4}
    assert talk.asked[0].tools == []


async def test_a_tool_with_a_broken_schema_is_named() -> None:
    broken = ToolDefinition(name="broken", arguments_schema="[1")

    with pytest.raises(PermanentError, match="the arguments schema of broken is not JSON"):
        await Talk(tools=(STOCK, broken)).turn("count")
