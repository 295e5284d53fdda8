"""`orchestrator dlq`: what could not be processed, and why."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from orchestrator.cli import times
from orchestrator.cli.common import command
from orchestrator.cli.output import write_fields, write_json, write_line, write_note, write_table
from orchestrator.cli.payloads import Payload, as_text, hex_lines, payload_of
from orchestrator.cli.shell import Shell
from orchestrator.operations.errors import NotDoneError, NotFoundError

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.app.wiring import Wiring
    from orchestrator.client.dead_letters import DeadLetter
    from orchestrator.messages.events import MessageDeadLettered

app = typer.Typer(help="Dead letters: what could not be processed.", no_args_is_help=True)

STDOUT = "-"


@app.command("list")
@command
def list_letters(
    shell: Shell,
    service: Annotated[str, typer.Option(help="Only those of this service.")] = "",
    stage: Annotated[
        str, typer.Option(help="Only those of this stage, such as decode, handle or escalate.")
    ] = "",
    since: Annotated[
        int | None,
        typer.Option(metavar="TIME", parser=times.ago, help="Only those since then: 2h, or a time."),
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="How many at most, the newest of them.")] = 50,
) -> None:
    """Shows the newest dead letters last."""

    def is_wanted(letter: "MessageDeadLettered") -> bool:
        return (
            (not service or letter.service == service)
            and (not stage or letter.stage == stage)
            and letter.occurred_at >= (since or 0)
        )

    letters = _newest(shell, shell.wiring(), limit, is_wanted)
    if shell.writes_json:
        write_json([_summary(one) for one in letters])
    elif letters:
        write_table(("id", "time", "service", "stage", "from", "why"), map(_cells, letters), folded=("why",))
    else:
        write_note("there is no dead letter that fits")


@app.command()
@command
def show(
    shell: Shell,
    letter: Annotated[
        str, typer.Argument(metavar="ID", help="The dead letter's id, or the beginning of it.")
    ],
    raw: Annotated[
        str, typer.Option(metavar="FILE", help="Write the message's value there, byte for byte; - is stdout.")
    ] = "",
) -> None:
    """Shows one dead letter.

    Why, the message as it was, and the state of its session.
    """
    wiring = shell.wiring()
    wanted = letter.lower()
    letters = _newest(shell, wiring, 2, lambda one: one.event_id.startswith(wanted))
    if not letters:
        raise NotFoundError(
            f"there is no dead letter {letter}: `orchestrator dlq list` shows those that are there"
        )
    if len(letters) > 1:
        raise NotFoundError(f"several dead letters begin with {letter}: write more of the id")
    found = letters[0]
    if raw:
        _write_raw(found, raw)
        return
    payload = payload_of(found.letter.original, wiring.codec)
    if shell.writes_json:
        write_json(_summary(found) | _details(found, payload))
    else:
        _write(found, payload)


def _newest(
    shell: Shell, wiring: "Wiring", limit: int, is_wanted: "Callable[[MessageDeadLettered], bool]"
) -> "list[DeadLetter]":
    from orchestrator.client.dead_letters import newest

    return newest(wiring.bus, wiring.codec, limit, shell.timeout_s, is_wanted)


def _write_raw(found: "DeadLetter", target: str) -> None:
    value = found.letter.original.value
    if value is None:
        raise NotDoneError("the message has no value: there is nothing to write")
    if target == STDOUT:
        sys.stdout.buffer.write(value)
        sys.stdout.flush()
        return
    try:
        Path(target).write_bytes(value)
    except OSError as error:
        raise NotDoneError(f"{target} cannot be written: {error.strerror}") from None
    write_note(f"{len(value)} bytes in {target}")


def _summary(found: "DeadLetter") -> dict[str, Any]:
    from orchestrator.bus.headers import rfc3339

    letter = found.letter
    return {
        "id": letter.event_id,
        "correlation_id": letter.correlation_id,
        "occurred_at": rfc3339(letter.occurred_at),
        "service": letter.service,
        "stage": letter.stage,
        "failure": {
            "kind": letter.failure.kind,
            "code": letter.failure.code,
            "message": letter.failure.message,
        },
        "topic": letter.original.topic,
        "partition": letter.original.partition,
        "offset": letter.original.offset,
    }


def _details(found: "DeadLetter", payload: Payload) -> dict[str, Any]:
    from orchestrator.sessions.view import shown

    letter = found.letter
    return {
        "agent": letter.agent,
        "tenant": letter.tenant,
        "timestamp_ms": letter.original.timestamp_ms,
        "key": _readable(letter.original.key),
        "headers": [[header.name, _readable(header.value)] for header in letter.original.headers],
        "value": {
            "form": payload.form,
            "schema": payload.schema,
            "content": payload.content,
            "size": len(letter.original.value or b""),
        },
        "sequence": letter.sequence,
        "state": shown(letter.state),
    }


def _write(found: "DeadLetter", payload: Payload) -> None:
    from orchestrator.sessions.view import shown

    letter = found.letter
    original = letter.original
    write_fields(
        [
            ("id", letter.event_id),
            ("session", letter.correlation_id),
            ("time", times.shown(letter.occurred_at)),
            ("by", f"{letter.service}, stage {letter.stage}"),
            ("why", f"{letter.failure.message or letter.failure.code} ({letter.failure.kind})"),
            ("from", f"{original.topic}, partition {original.partition}, offset {original.offset}"),
            ("written", times.shown(original.timestamp_ms * 1000) if original.timestamp_ms else ""),
            ("key", _readable(original.key) or ""),
        ]
    )
    if original.headers:
        write_line("\nheaders")
        for header in original.headers:
            write_line(f"  {header.name}: {_readable(header.value)}")
    write_line(f"\nvalue, {len(original.value or b'')} bytes, {payload.schema or payload.form}")
    match payload.form:
        case "text":
            write_line(payload.content)
        case "hex":
            write_line("\n".join(hex_lines(payload.content)))
        case "avro":
            write_json(payload.content)
    if letter.state is not None:
        write_line(f"\nstate of the session at event {letter.sequence}")
        write_json(shown(letter.state))


def _readable(content: bytes | None) -> str | None:
    if content is None:
        return None
    text = as_text(content)
    return content.hex(" ") if text is None else text


def _cells(found: "DeadLetter") -> tuple[str, ...]:
    letter = found.letter
    original = letter.original
    return (
        letter.event_id,
        times.shown(letter.occurred_at),
        letter.service,
        letter.stage,
        f"{original.topic}/{original.partition}@{original.offset}",
        letter.failure.message or letter.failure.code,
    )
