"""The tools of the tasks: a module as users write it, named by `--module`.

SHOP_FOLDER is a folder that they share with the test, with one folder for each session.
"""

import asyncio
import os
from pathlib import Path

from orchestrator.sdk import Context, PermanentError, TransientError, tool

STOCK = {"apple": 3, "pear": 5}
PRICES = {"apple": 40, "pear": 55}
_LOOK_S = 0.02


def place_of(session: str) -> Path:
    """The folder of a session."""
    folder = Path(os.environ["SHOP_FOLDER"], session)
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@tool("stock.level", capability="stock")
def level(item: str) -> int:
    """How many pieces of an item are in stock."""
    return STOCK[item]


@tool("stock.price")
def price(item: str, context: Context) -> int:
    """What an item costs, cents. The first attempt fails."""
    attempt: int = getattr(context.message, "call").attempt  # noqa: B009 - an ExecuteTool
    if attempt == 1:
        raise TransientError("the price list does not respond")
    return PRICES[item]


@tool("stock.order", at_most_once=True)
def order(item: str, pieces: int, context: Context) -> str:
    """Orders pieces of an item. Nobody sells apples."""
    if item == "apple":
        raise PermanentError("the supplier of apple is closed")
    return ordered(place_of(context.correlation_id), item, pieces)


@tool("shop.meet", timeout="10m")
async def meet(me: str, other: str, context: Context) -> str:
    """Waits until the other one is there: it returns only if both run at once."""
    return await met(place_of(context.correlation_id), me, other)


@tool("shop.wait", timeout="10m")
async def wait(context: Context) -> str:
    """Waits until the test lets it go on."""
    return await waited(place_of(context.correlation_id))


def ordered(place: Path, item: str, pieces: int) -> str:
    with (place / "orders").open("a", encoding="utf-8") as orders:
        orders.write(f"{pieces} x {item}\n")
    return f"ordered {pieces} x {item}"


async def met(place: Path, me: str, other: str) -> str:
    (place / me).touch()
    await _until_exists(place / other)
    return f"{me} met {other}"


async def waited(place: Path) -> str:
    (place / "waiting").touch()
    await _until_exists(place / "go on")
    return "waited"


async def _until_exists(path: Path) -> None:
    while not path.exists():  # noqa: ASYNC110, ASYNC240 - another process creates it
        await asyncio.sleep(_LOOK_S)
