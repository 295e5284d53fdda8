"""A run knows the end of a conversation, and the model is sent all of it."""

from collections.abc import Sequence

import pytest
from orchestrator_services.models import Heard, Says, ToolAnswer, client
from orchestrator_services.models.earlier import last_response_at
from pydantic_ai.messages import ModelMessage

from tests.unit.models.support import NUMBER, Talk

APPLE = ("stock.level", {"item": "apple"})
PEAR = ("stock.level", {"item": "pear"})


async def heard_in_a_long_conversation() -> list[Sequence[Heard]]:
    """What a model was sent with each request of a conversation in which everything occurs."""
    talk = Talk(
        Says(text="Both at once.", calls=[APPLE, PEAR]),
        Says(calls=[("no.such.tool", {}), APPLE]),
        Says(calls=[("stock.level", {"pieces": 1})]),
        Says(calls=[APPLE, APPLE]),
        Says(output={"n": 0}),
        Says(output={"n": 3}),
        Says(calls=[PEAR]),
        Says(output={"n": 4}),
    )
    reply = await talk.turn("Count.", output_schema=NUMBER)
    while reply.calls:
        first, *others = reply.calls
        answers = {first.call_id: ToolAnswer(content=[1, 2])}
        answers |= {one.call_id: ToolAnswer(problem="it is broken") for one in others}
        reply = await talk.turn(answers=answers, output_schema=NUMBER)
    reply = await talk.turn("Your answer was not accepted.", output_schema=NUMBER)
    answers = {one.call_id: ToolAnswer(content="5") for one in reply.calls}
    await talk.turn("This is the last turn.", answers, output_schema=NUMBER)
    assert not talk._says
    return [asked.messages for asked in talk.asked]


async def test_the_model_is_sent_what_it_would_be_without(monkeypatch: pytest.MonkeyPatch) -> None:
    known: list[int] = []

    def noted(messages: Sequence[ModelMessage]) -> int:
        known.append(len(messages) - last_response_at(messages))
        return last_response_at(messages)

    monkeypatch.setattr(client, "last_response_at", noted)
    with_the_end = await heard_in_a_long_conversation()
    monkeypatch.setattr(client, "last_response_at", lambda _messages: 0)
    with_all = await heard_in_a_long_conversation()

    assert with_the_end == with_all
    assert len(with_all[-1]) > 12
    assert max(known) <= 2
