"""Tools that return at once, so that the platform is measured."""

from orchestrator.sdk import tool


@tool("benchmark.lookup")
async def lookup(item: int, table: str) -> dict[str, float]:
    """A figure of an item."""
    return {"value": float(item % 97 + len(table))}


@tool("benchmark.join")
async def join(price: float, stock: float) -> dict[str, float]:
    """The value of the stock."""
    return {"total": price * stock}
