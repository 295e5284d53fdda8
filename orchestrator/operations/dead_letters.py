"""Finding dead letters."""

from orchestrator.client.connection import Connection
from orchestrator.client.dead_letters import DeadLetter, newest
from orchestrator.messages.events import MessageDeadLettered
from orchestrator.operations.errors import NotFoundError


def newest_dead_letters(
    connection: Connection,
    *,
    service: str = "",
    stage: str = "",
    since: int = 0,
    limit: int = 50,
    timeout_s: float,
) -> list[DeadLetter]:
    """The newest dead letters that match, newest last.

    An empty `service` or `stage` matches any; `since` is Unix time in microseconds. Raises `UnavailableError` if
    Kafka does not respond within `timeout_s`.
    """

    def matches(event: MessageDeadLettered) -> bool:
        return (
            (not service or event.service == service)
            and (not stage or event.stage == stage)
            and event.occurred_at >= since
        )

    return newest(connection.bus, connection.codec, limit, timeout_s, matches)


def find_dead_letter(connection: Connection, prefix: str, timeout_s: float) -> DeadLetter:
    """The only dead letter whose id begins with `prefix`. Raises `NotFoundError` if none or several do."""
    start = prefix.lower()
    found = newest(
        connection.bus, connection.codec, 2, timeout_s, lambda event: event.event_id.startswith(start)
    )
    if not found:
        raise NotFoundError(f"dead letter {prefix} not found: `orchestrator dlq list` shows the newest ones")
    if len(found) > 1:
        raise NotFoundError(f"several dead letters begin with {prefix}: write more of the id")
    return found[0]
