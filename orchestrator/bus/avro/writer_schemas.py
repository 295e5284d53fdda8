"""Reading a writer's schema as the registry has it: text that somebody else wrote, so it is bounded before it is used.

Our largest schema has 18 KB, 800 nodes and 18 levels. A version of it that a later release adds fields to stays far
below these bounds.
"""

import json
from typing import Any, Final

from orchestrator.errors import ContractError

AVRO: Final = "AVRO"
MAX_CHARACTERS: Final = 256 * 1024
MAX_NODES: Final = 20_000
MAX_LEVELS: Final = 100


def parsed(text: str | None, kind: str | None = AVRO) -> Any:
    """A schema as parsed JSON. `kind` is the registry's name of its type, None for Avro.

    Raises `ContractError` for one that is not Avro, not JSON, or beyond a bound.
    """
    if (kind or AVRO).upper() != AVRO:
        raise ContractError(f"it is {kind}, not Avro: write messages with the Avro serializer")
    if not text or len(text) > MAX_CHARACTERS:
        raise ContractError(f"it has {len(text or '')} characters, of at most {MAX_CHARACTERS}")
    try:
        schema = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ContractError("it is not JSON that can be read") from error
    _check_extent(schema)
    return schema


def _check_extent(schema: Any) -> None:
    nodes, level = 0, [schema]
    for _ in range(MAX_LEVELS):
        nodes += len(level)
        if nodes > MAX_NODES:
            raise ContractError(f"it has more than {MAX_NODES} parts")
        level = [inner for node in level for inner in _inner(node)]
        if not level:
            return
    raise ContractError(f"it is nested deeper than {MAX_LEVELS} levels")


def _inner(node: Any) -> Any:
    if isinstance(node, dict):
        return node.values()
    return node if isinstance(node, list) else ()
