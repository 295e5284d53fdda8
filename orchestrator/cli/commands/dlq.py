"""`orchestrator dlq`: messages that could not be processed, and why."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from orchestrator.cli import times
from orchestrator.cli.common import command
from orchestrator.cli.output import (
    MOST_ROWS,
    write_bytes,
    write_fields,
    write_json,
    write_line,
    write_note,
    write_table,
)
from orchestrator.cli.shell import Shell
from orchestrator.operations.errors import NotDoneError
from orchestrator.telemetry.plain_text import one_line

if TYPE_CHECKING:
    from orchestrator.client.dead_letters import DeadLetter
    from orchestrator.operations.payloads import Payload

app = typer.Typer(help="Dead letters: messages that could not be processed.", no_args_is_help=True)

STDOUT: Final = "-"
_BYTES_A_LINE: Final = 32


@app.command("list")
@command
def list_dead_letters(
    shell: Shell,
    service: Annotated[str, typer.Option(help="Only those of this service.")] = "",
    stage: Annotated[
        str, typer.Option(help="Only those of this stage, such as decode, handle or escalate.")
    ] = "",
    since: Annotated[
        int | None,
        typer.Option(metavar="TIME", parser=times.ago, help="Only those since then: 2h, or a time."),
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, max=MOST_ROWS, help="Show at most this many, the newest.")
    ] = 50,
) -> None:
    """Shows dead letters, the newest last."""
    from orchestrator.operations.dead_letters import newest_dead_letters
    from orchestrator.operations.documents import dead_letter_document

    found = newest_dead_letters(
        shell.wiring(),
        service=service,
        stage=stage,
        since=since or 0,
        limit=limit,
        timeout_s=shell.timeout_s,
    )
    shell.show(found, lambda found: [dead_letter_document(one) for one in found], _write_list)


@app.command()
@command
def show(
    shell: Shell,
    prefix: Annotated[
        str, typer.Argument(metavar="ID", help="The dead letter's id, or the beginning of it.")
    ],
    raw: Annotated[
        str,
        typer.Option(metavar="FILE", help="Write the message's value to a file, byte for byte; - is stdout."),
    ] = "",
) -> None:
    """Shows one dead letter.

    The reason, the original message, and the state of its session.
    """
    from orchestrator.operations.dead_letters import find_dead_letter
    from orchestrator.operations.documents import whole_dead_letter_document
    from orchestrator.operations.payloads import payload_of

    wiring = shell.wiring()
    found = find_dead_letter(wiring, prefix, shell.timeout_s)
    if raw:
        _write_raw(found, raw)
        return
    payload = payload_of(found.event.original, wiring.codec)
    shell.show(
        found,
        lambda one: whole_dead_letter_document(one, payload),
        lambda one: _write(one, payload),
    )


def _write_list(found: "list[DeadLetter]") -> None:
    if found:
        write_table(("id", "time", "service", "stage", "from", "why"), map(_cells, found), folded=("why",))
    else:
        write_note("no dead letters found")


def _cells(found: "DeadLetter") -> tuple[str, ...]:
    event = found.event
    original = event.original
    return (
        event.event_id,
        times.shown(event.occurred_at),
        event.service,
        event.stage,
        f"{original.topic}/{original.partition}@{original.offset}",
        event.failure.message or event.failure.code,
    )


def _write_raw(found: "DeadLetter", target: str) -> None:
    value = found.event.original.value
    if value is None:
        raise NotDoneError("the message has no value: there is nothing to write")
    if target == STDOUT:
        write_bytes(value)
        return
    try:
        Path(target).write_bytes(value)
    except OSError as error:
        raise NotDoneError(f"{target} cannot be written: {error.strerror}") from None
    write_note(f"wrote {len(value)} bytes to {target}{_rest(found)}")


def _rest(found: "DeadLetter") -> str:
    """What to do about a value of which only the beginning is kept."""
    original = found.event.original
    whole = next((part.size for part in original.cut if part.part == "value"), None)
    if whole is None:
        return ""
    place = f"partition {original.partition}, offset {original.offset}"
    return f", the beginning of {whole}: read the others from {original.topic}, {place}"


def _write(found: "DeadLetter", payload: "Payload") -> None:
    from orchestrator.operations.payloads import readable
    from orchestrator.sessions.view import shown

    event = found.event
    original = event.original
    write_fields(
        [
            ("id", event.event_id),
            ("session", event.correlation_id),
            ("time", times.shown(event.occurred_at)),
            ("by", f"{event.service}, stage {event.stage}"),
            ("why", f"{event.failure.message or event.failure.code} ({event.failure.kind})"),
            ("from", f"{original.topic}, partition {original.partition}, offset {original.offset}"),
            ("written", times.shown(original.timestamp_ms * 1000) if original.timestamp_ms else ""),
            ("key", readable(original.key) or ""),
            *(("cut", f"{part.part} of {part.size} bytes, SHA-256 {part.sha256}") for part in original.cut),
        ]
    )
    if original.headers:
        write_line("\nheaders")
        for header in original.headers:
            write_line(one_line(f"  {header.name}: {readable(header.value)}"))
    write_line(f"\nvalue, {len(original.value or b'')} bytes, {one_line(payload.schema or payload.form)}")
    match payload.form:
        case "text":
            write_line(payload.content)
        case "hex":
            write_line("\n".join(_hex_lines(payload.content)))
        case "avro":
            write_json(payload.content)
    if event.state is not None:
        write_line(f"\nstate of the session at event {event.sequence}")
        write_json(shown(event.state))


def _hex_lines(digits: str) -> list[str]:
    width = 3 * _BYTES_A_LINE
    return [digits[start : start + width].rstrip() for start in range(0, len(digits), width)]
