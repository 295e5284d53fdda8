"""Tools that return at once: what is measured is the platform."""

from orchestrator.sdk import tool


@tool("benchmark.lookup")
async def lookup(item: int, table: str) -> dict[str, float]:
    """A figure of an item."""
    return {"value": float(item % 97 + len(table))}


@tool("benchmark.join")
async def join(price: float, stock: float) -> dict[str, float]:
    """What the stock is worth."""
    return {"total": price * stock}
