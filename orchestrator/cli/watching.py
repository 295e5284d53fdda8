"""Showing events as they happen. Kafka is waited for, never asked again and again."""

from typing import TYPE_CHECKING, Any, Final

from orchestrator.cli import times
from orchestrator.cli.exits import NotFoundError
from orchestrator.cli.lookup import existing, is_whole
from orchestrator.cli.output import write_json_line, write_line
from orchestrator.cli.shell import Shell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.app.wiring import Wiring
    from orchestrator.bus.ports import Received
    from orchestrator.messages.base import Event

_WAIT_S: Final = 1.0
_AT_ONCE: Final = 500
_ON_ITS_WAY_S: Final = 3.0
"""How long a task may take to be accepted by an orchestrator that has room for it, and more."""


def watch_one(shell: Shell, wiring: "Wiring", given: str) -> None:
    """Shows the session's events from its beginning until it has settled.

    One that is not there yet may be a task on its way: its first event is waited for a little. Raises
    `NotFoundError` when none comes.
    """
    import asyncio

    try:
        session, missing = existing(wiring, given, shell.timeout_s).correlation_id, None
    except NotFoundError as error:
        if not is_whole(given):
            raise
        session, missing = given, error
    asyncio.run(_follow(shell, wiring, session, missing))


async def _follow(shell: Shell, wiring: "Wiring", session: str, missing: NotFoundError | None) -> None:
    import asyncio

    from orchestrator.client import Client

    async with Client(wiring, timeout_s=shell.timeout_s) as client:
        events = (await client.follow(session)).events()
        try:
            async with asyncio.timeout(_ON_ITS_WAY_S if missing else None):
                first = await anext(events)
        except TimeoutError:
            raise missing or NotFoundError(session) from None
        _show(shell, first)
        async for event in events:
            _show(shell, event)


def _show(shell: Shell, event: "Event") -> None:
    if shell.writes_json:
        write_json_line(event_document(event))
    else:
        write_line(event_line(event))


def watch_all(shell: Shell, wiring: "Wiring") -> None:
    """Shows the events of all sessions that are written from now on, until it is interrupted."""
    for event in _tail(wiring):
        if shell.writes_json:
            write_json_line(event_document(event))
        else:
            write_line(f"{event.correlation_id}  {event_line(event)}")


def event_line(event: "Event") -> str:
    """An event for people: when, its number, what it is, what it says."""
    from orchestrator.sessions.timeline import entry_of

    entry = entry_of(event)
    number = "" if entry.sequence is None else f"#{entry.sequence}"
    return f"{times.shown_clock(entry.occurred_at)}  {number:>4}  {entry.type:<19}  {entry.summary}"


def event_document(event: "Event") -> dict[str, Any]:
    """An event as programs read it."""
    from orchestrator.bus.headers import rfc3339
    from orchestrator.sessions.timeline import entry_of

    entry = entry_of(event)
    return {
        "correlation_id": event.correlation_id,
        "sequence": entry.sequence,
        "type": entry.type,
        "occurred_at": rfc3339(entry.occurred_at),
        "summary": entry.summary,
    }


def _tail(wiring: "Wiring") -> "Iterator[Event]":
    from orchestrator.bus.ports import END
    from orchestrator.bus.standalone import STANDALONE, all_partitions
    from orchestrator.messages.catalogue import Topic

    places = [*all_partitions(wiring.bus, Topic.SESSIONS), *all_partitions(wiring.bus, Topic.EVENTS)]
    consumer = wiring.bus.consumer(STANDALONE)
    try:
        consumer.assign(dict.fromkeys(places, END))
        while True:
            first = consumer.poll(_WAIT_S)
            batch = [] if first is None else [first, *consumer.drain(_AT_ONCE)]
            for received in sorted(batch, key=lambda one: one.timestamp_ms):
                if event := _event_in(wiring, received):
                    yield event
    finally:
        consumer.close()


def _event_in(wiring: "Wiring", received: "Received") -> "Event | None":
    from orchestrator.errors import ContractError
    from orchestrator.messages.base import Event

    try:
        message = wiring.codec.decode(received)
    except ContractError:
        # It becomes a dead letter by whoever has to handle it; this is for looking.
        return None
    return message if isinstance(message, Event) else None
