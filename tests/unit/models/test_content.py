"""What traces can show of requests to models and of their responses."""

from typing import Any

import pytest
from orchestrator_services.models import Says, ToolAnswer

from orchestrator.sdk import ModelContent, PermanentError
from tests.unit.models.support import Talk

pytestmark = pytest.mark.usefixtures("each_way")


def content(talk: Talk, request: int = -1) -> ModelContent:
    make = talk.done[request].content
    assert make is not None
    return make()


def text(content: str) -> dict[str, Any]:
    return {"type": "text", "content": content}


async def test_it_is_the_conversation_and_the_response() -> None:
    talk = Talk(Says(text="I look.", calls=[("stock.level", {"item": "apple"})]), "three")
    (call,) = (await talk.turn("How many?", instructions="Be brief.")).calls

    await talk.turn(answers={call.call_id: ToolAnswer(3)}, instructions="Be brief.")

    found = content(talk)
    asked = {"type": "tool_call", "id": call.call_id, "name": "stock.level", "arguments": {"item": "apple"}}
    answer = {"type": "tool_call_response", "id": call.call_id, "name": "stock.level", "response": "3"}
    assert found.instructions == "Be brief."
    assert [(one["role"], one["parts"]) for one in found.input] == [
        ("user", [text("How many?")]),
        ("assistant", [text("I look."), asked]),
        ("tool", [answer]),
    ]
    assert [(one["role"], one["parts"], one["finish_reason"]) for one in found.output] == [
        ("assistant", [text("three")], "stop")
    ]


async def test_a_request_that_failed_has_what_was_asked() -> None:
    talk = Talk(PermanentError("no"))

    with pytest.raises(PermanentError):
        await talk.turn("How many?")

    assert [one["parts"] for one in content(talk).input] == [[text("How many?")]]
    assert content(talk).output == ()


async def test_a_request_does_not_show_its_content_by_itself() -> None:
    talk = Talk("three")
    await talk.turn("How many?")

    assert "How many?" not in repr(talk.done)
