"""The same loop in LangGraph: `python -m benchmarks.conversation.langgraph_loop TURNS WARM_UP ROUNDS COMPARED STORE`.

Runs in an environment of its own. `STORE` is a file of SQLite or the URL of a PostgreSQL database. A model node and a
tool node alternate over a list of messages; a checkpoint is written before each goes on (`durability="sync"`). Prints
figures as one JSON object, by the kind of channel that holds the messages: `messages`, LangGraph's usual one, and
`delta`, which is in beta and stores what was added.
"""

import json
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Annotated, Any, Final
from uuid import uuid4

import psycopg
from langchain_core.messages import AIMessage, AnyMessage, HumanMessage, ToolMessage
from langgraph.channels import DeltaChannel
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.postgres import PostgresSaver
from langgraph.checkpoint.sqlite import SqliteSaver
from langgraph.graph import END, START, StateGraph
from langgraph.graph.message import add_messages
from psycopg.rows import dict_row
from typing_extensions import TypedDict

from benchmarks.conversation.texts import ANSWER, page, produced_bytes, thought


class Whole(TypedDict):
    messages: Annotated[list[AnyMessage], add_messages]
    turn: int


def _extended(messages: list[AnyMessage], writes: Sequence[list[AnyMessage]]) -> list[AnyMessage]:
    return sum(writes, messages)


class Added(TypedDict):
    messages: Annotated[list[AnyMessage], DeltaChannel(_extended)]
    turn: int


CHANNELS: Final[dict[str, type[Any]]] = {"messages": Whole, "delta": Added}


@dataclass
class Store:
    """A saver, and how many bytes its store has: `rows` of content, `log` of a write-ahead log, `files`."""

    saver: BaseCheckpointSaver[Any]
    sizes: Callable[[], dict[str, int]]


@contextmanager
def sqlite(path: str) -> Iterator[Store]:
    with closing(sqlite3.connect(path, check_same_thread=False)) as connection:
        saver = SqliteSaver(connection)
        saver.setup()

        def sizes() -> dict[str, int]:
            rows = connection.execute(
                "SELECT (SELECT coalesce(sum(length(checkpoint) + length(metadata)), 0) FROM checkpoints)"
                " + (SELECT coalesce(sum(length(value)), 0) FROM writes)"
            ).fetchone()[0]
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
            return {"rows": rows, "files": Path(path).stat().st_size}

        yield Store(saver, sizes)


@contextmanager
def postgres(url: str) -> Iterator[Store]:
    with psycopg.connect(url, autocommit=True, prepare_threshold=0, row_factory=dict_row) as connection:
        saver = PostgresSaver(connection)
        saver.setup()

        def sizes() -> dict[str, int]:
            found = connection.execute(
                "SELECT (SELECT coalesce(sum(length(checkpoint::text) + length(metadata::text)), 0) FROM checkpoints)"
                " + (SELECT coalesce(sum(length(blob)), 0) FROM checkpoint_blobs)"
                " + (SELECT coalesce(sum(length(blob)), 0) FROM checkpoint_writes) AS rows,"
                " pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0') AS log,"
                " pg_database_size(current_database()) AS files"
            ).fetchone()
            return {name: int(size) for name, size in (found or {}).items()}

        yield Store(saver, sizes)


def graph(state: type[Any], turns: int, saver: BaseCheckpointSaver[Any], begun: list[float]) -> Any:
    def model(values: dict[str, Any]) -> dict[str, Any]:
        begun.append(time.perf_counter())
        turn = values["turn"]
        if turn == turns - 1:
            return {"messages": [AIMessage(ANSWER, id=f"model-{turn}")]}
        call = {"name": "pages.read", "args": {"number": turn}, "id": f"call-{turn}"}
        said = AIMessage(thought(turn), tool_calls=[call], id=f"model-{turn}")
        return {"messages": [said], "turn": turn + 1}

    def tool(values: dict[str, Any]) -> dict[str, Any]:
        (call,) = values["messages"][-1].tool_calls
        text = page(call["args"]["number"])
        return {"messages": [ToolMessage(text, tool_call_id=call["id"], id=f"tool-{call['id']}")]}

    def following(values: dict[str, Any]) -> str:
        return "tool" if values["messages"][-1].tool_calls else END

    built = StateGraph(state)
    built.add_node("model", model)
    built.add_node("tool", tool)
    built.add_edge(START, "model")
    built.add_conditional_edges("model", following, ["tool", END])
    built.add_edge("tool", "model")
    return built.compile(checkpointer=saver)


def talk(graph: Any, turns: int, begun: list[float]) -> list[float]:
    """Runs one conversation; milliseconds of each turn but the last."""
    begun.clear()
    told = {"messages": [HumanMessage(f"Read {turns} pages", id="task")], "turn": 0}
    config = {"configurable": {"thread_id": uuid4().hex}, "recursion_limit": 4 * turns}
    ended = graph.invoke(told, config, durability="sync")
    assert ended["messages"][-1].content == ANSWER  # noqa: S101
    assert len(ended["messages"]) == 2 * turns  # noqa: S101
    return [(after - before) * 1e3 for before, after in pairwise(begun)]


def figures(
    state: type[Any], store: Store, turns: int, warm_up: int, rounds: int, compared: int
) -> dict[str, Any]:
    begun: list[float] = []
    runs = graph(state, turns, store.saver, begun)
    for _ in range(warm_up):
        talk(runs, turns, begun)
    before = store.sizes()
    taken = [talk(runs, turns, begun) for _ in range(rounds)]
    written = {name: (size - before[name]) / rounds for name, size in store.sizes().items()}
    first = median(one for each in taken for one in each[:compared])
    last = median(one for each in taken for one in each[-compared:])
    produced = produced_bytes(turns)
    return {
        "of_produced": {name: round(size / produced, 2) for name, size in written.items()},
        "turn_ms": {
            "first": round(first, 2),
            "last": round(last, 2),
            "last_of_first": round(last / first, 2),
        },
    }


def main() -> None:
    *counts, where = sys.argv[1:]
    turns, warm_up, rounds, compared = map(int, counts)
    opened = postgres if where.startswith("postgresql:") else sqlite
    with opened(where) as store:
        found = {
            name: figures(state, store, turns, warm_up, rounds, compared) for name, state in CHANNELS.items()
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
