"""What a model writes is sent little by little, and never in its way."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from orchestrator_services.models.throttle import LONGEST, MOST_HELD, Throttle

from orchestrator.sdk import ModelDelta
from tests.unit.models.support import until

NEVER_S = 3600.0
"""An interval that no test waits for."""


class Reader:
    """Gets what is sent. While its gate is shut, a message is in flight."""

    def __init__(self) -> None:
        self.got: list[ModelDelta] = []
        self.begun = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, delta: ModelDelta) -> None:
        self.begun += 1
        await self.gate.wait()
        self.got.append(delta)

    @property
    def texts(self) -> list[str]:
        return [delta.text for delta in self.got]


def throttle(send: Callable[[ModelDelta], Awaitable[None]], interval_s: float = NEVER_S) -> Throttle:
    return Throttle(send, 1, interval_s)


async def test_the_first_words_come_soon_and_the_others_together() -> None:
    reader = Reader()
    written = throttle(reader)

    written.add(0, "There")
    await until(lambda: reader.got)
    for word in (" are", " three", " apples."):
        written.add(0, word)
    written.close()
    await until(lambda: len(reader.got) == 2)

    assert reader.texts == ["There", " are three apples."]
    assert [delta.position for delta in reader.got] == [0, 5]


async def test_a_short_response_is_one_message() -> None:
    reader = Reader()
    written = throttle(reader)

    for word in ("There", " are", " three"):
        written.add(0, word)
    written.close()
    await until(lambda: reader.got)

    assert reader.texts == ["There are three"]


async def test_after_the_interval_what_was_collected_is_sent() -> None:
    reader = Reader()
    written = throttle(reader, interval_s=0.01)

    written.add(0, "There")
    await until(lambda: len(reader.got) == 1)
    written.add(0, " are")

    await until(lambda: reader.texts == ["There", " are"])


async def test_parts_keep_their_order_and_their_positions() -> None:
    reader = Reader()
    written = throttle(reader)

    written.add(0, "I look.", ended=True)
    written.add(1, '{"item"', "stock.level")
    written.add(2, "{}", "price", ended=True)
    written.add(1, ': "pear"}', "stock.level", ended=True)
    written.close()
    await until(lambda: len(reader.got) == 4)

    assert [(one.part, one.position, one.tool, one.text, one.ended) for one in reader.got] == [
        (0, 0, "", "I look.", True),
        (1, 0, "stock.level", '{"item"', False),
        (2, 0, "price", "{}", True),
        (1, 7, "stock.level", ': "pear"}', True),
    ]


async def test_the_end_of_a_part_is_sent_with_its_last_words() -> None:
    reader = Reader()
    written = throttle(reader)

    written.add(0, "three")
    written.add(0, "", ended=True)
    written.close()
    await until(lambda: reader.got)

    assert [(one.text, one.ended) for one in reader.got] == [("three", True)]


async def test_one_message_is_in_flight_at_a_time() -> None:
    reader = Reader()
    reader.gate.clear()
    written = throttle(reader, interval_s=0.0)

    written.add(0, "There")
    await until(lambda: reader.begun == 1)
    written.add(0, " are")
    written.close()
    await asyncio.sleep(0)
    assert reader.begun == 1
    reader.gate.set()

    await until(lambda: reader.texts == ["There", " are"])


async def test_a_long_text_is_sent_in_pieces() -> None:
    reader = Reader()
    text = "x" * (LONGEST + 1)
    written = throttle(reader)

    written.add(0, text, ended=True)
    written.close()
    await until(lambda: len(reader.got) == 2)

    assert [(one.position, len(one.text), one.ended) for one in reader.got] == [
        (0, LONGEST, False),
        (LONGEST, 1, True),
    ]


async def test_while_nothing_can_be_sent_little_is_held_and_the_rest_is_a_gap() -> None:
    reader = Reader()
    reader.gate.clear()
    written = throttle(reader, interval_s=0.0)
    written.add(0, "begin")
    await until(lambda: reader.begun == 1)

    for _ in range(3):
        written.add(0, "x" * (MOST_HELD // 2))
    reader.gate.set()
    await until(lambda: sum(map(len, reader.texts)) == 5 + MOST_HELD)
    written.add(0, "end")
    written.close()

    await until(lambda: reader.texts[-1] == "end")
    assert reader.got[-1].position == 5 + 3 * (MOST_HELD // 2)


@pytest.mark.parametrize("error", [ConnectionError("gone"), ValueError("too large")])
async def test_what_cannot_be_sent_is_left_out_and_fails_nothing(error: Exception) -> None:
    begun: list[ModelDelta] = []

    async def fails(delta: ModelDelta) -> None:
        begun.append(delta)
        raise error

    written = throttle(fails)
    written.add(0, "There")
    await until(lambda: begun)
    written.add(0, " are")
    written.close()
    await asyncio.sleep(0)

    assert len(begun) == 1
