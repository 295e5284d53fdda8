"""Showing events as they happen. Kafka is waited for, never asked again and again."""

from typing import TYPE_CHECKING, Any, Final

from orchestrator.cli import times
from orchestrator.cli.output import write_json_line, write_line
from orchestrator.cli.shell import Shell

if TYPE_CHECKING:
    from collections.abc import Iterator

    from orchestrator.app.wiring import Wiring
    from orchestrator.bus.ports import Received
    from orchestrator.messages.base import Event

_WAIT_S: Final = 1.0
_AT_ONCE: Final = 500


def watch_one(shell: Shell, wiring: "Wiring", session: str) -> None:
    """Shows the session's events from its beginning until it has settled."""
    import asyncio

    asyncio.run(_follow(shell, wiring, session))


async def _follow(shell: Shell, wiring: "Wiring", session: str) -> None:
    from orchestrator.client import Client

    async with Client(wiring, timeout_s=shell.timeout_s) as client:
        handle = await client.follow(session)
        async for event in handle.events():
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
    from orchestrator.bus.reading import LOOKING, all_of
    from orchestrator.messages.catalogue import Topic

    places = [*all_of(wiring.bus, Topic.SESSIONS), *all_of(wiring.bus, Topic.EVENTS)]
    consumer = wiring.bus.consumer(LOOKING)
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
