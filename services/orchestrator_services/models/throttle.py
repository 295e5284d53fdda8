"""Shows what a model writes while it writes: little by little, and never in the way of the request."""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Final

from orchestrator.sdk import ModelDelta

logger: Final = logging.getLogger(__name__)

INTERVAL_S: Final = 0.25
"""How long text is collected before it is sent: people read it, and each message costs as much as a short text."""
FIRST_S: Final = 0.05
"""How long the first words are collected: a short response is one message, and nobody notices."""
LONGEST: Final = 8_192
"""Characters of one message. Texts of several times the size come at once from models that do not really stream."""
MOST_PARTS: Final = 50
"""Parts of one response, and pieces that wait to be sent: each is a message, and nobody watches 500 calls."""
MOST_HELD: Final = 65_536
"""Characters that wait to be sent while Kafka does not respond; what comes then is left out."""

_running: Final[set[asyncio.Task[None]]] = set()
"""The event loop itself keeps no task alive."""


@dataclass
class _Waiting:
    """What was added to one part since it was sent last."""

    part: int
    position: int
    tool: str
    text: str
    ended: bool = False

    @property
    def end(self) -> int:
        return self.position + len(self.text)


class Throttle:
    """Collects what one response adds, and sends it in its order: the first words soon, then every 250 ms.

    One message is in flight at a time. `send` may take as long as it likes; if it fails, the rest of the response is
    not shown. Use it on one event loop.
    """

    def __init__(
        self, send: Callable[[ModelDelta], Awaitable[None]], request: int, interval_s: float = INTERVAL_S
    ) -> None:
        self._send = send
        self._request = request
        self._interval_s = interval_s
        self._positions: Counter[int] = Counter()
        self._waiting: deque[_Waiting] = deque()
        self._held = 0
        self._task: asyncio.Task[None] | None = None
        self._closing = asyncio.Event()
        self._failed = False

    def add(self, part: int, text: str, tool: str = "", *, ended: bool = False) -> None:
        """Takes text that was added to a part, and whether the part is complete with it. Returns at once."""
        position = self._positions[part]
        self._positions[part] += len(text)
        if self._failed or part >= MOST_PARTS or self._held + len(text) > MOST_HELD or not (text or ended):
            return
        self._held += len(text)
        last = self._waiting[-1] if self._waiting else None
        if last and last.part == part and last.end == position and not last.ended:
            last.text += text
            last.tool = last.tool or tool
            last.ended = ended
        elif len(self._waiting) >= MOST_PARTS:
            self._held -= len(text)
            return
        else:
            self._waiting.append(_Waiting(part, position, tool, text, ended))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run(), name="model response")
            _running.add(self._task)
            self._task.add_done_callback(_running.discard)

    def close(self) -> None:
        """Nothing more will be added. What waits is sent without further delay, after this returns."""
        self._closing.set()

    async def _run(self) -> None:
        try:
            await self._pause(min(FIRST_S, self._interval_s))
            while self._waiting:
                for delta in self._taken():
                    await self._send(delta)
                await self._pause(self._interval_s)
        except Exception as error:
            # Nobody depends on it: the response comes as a whole with the reply to its call.
            self._failed = True
            self._waiting.clear()
            logger.debug("the rest of a model's response is not shown", exc_info=error)

    def _taken(self) -> Iterator[ModelDelta]:
        waiting, self._waiting, self._held = self._waiting, deque(), 0
        for one in waiting:
            for start in range(0, max(1, len(one.text)), LONGEST):
                end = start + LONGEST
                yield ModelDelta(
                    request=self._request,
                    part=one.part,
                    position=one.position + start,
                    tool=one.tool,
                    text=one.text[start:end],
                    ended=one.ended and end >= len(one.text),
                )

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._closing.wait()
        except TimeoutError:
            pass
