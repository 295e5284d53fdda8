"""A tool that returns a page at once, and a scripted model that reads one page a turn."""

from typing import Any, Final

from orchestrator_services.models import Asked, Says, scripted_model

from benchmarks.conversation.texts import ANSWER, page, thought
from orchestrator.sdk import tool

TOKENS_PER_TURN: Final = 2_000


@tool("pages.read")
async def read_page(number: int) -> str:
    """Returns a page."""
    return page(number)


@scripted_model("scripted:reader")
def reader(asked: Asked) -> Says:
    """Reads as many pages as the task says, less one, and answers. Told what it reads and writes, so that nothing
    counts it: that would take longer with each turn."""
    turn, turns = asked.turn, int(asked.messages[0].text.split()[1])
    used: dict[str, Any] = {
        "tokens_input": TOKENS_PER_TURN * (turn + 1),
        "tokens_output": TOKENS_PER_TURN // 4,
    }
    if turn == turns - 1:
        return Says(text=ANSWER, **used)
    return Says(text=thought(turn), calls=[("pages.read", {"number": turn})], **used)
