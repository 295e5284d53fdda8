"""Why brokers refuse the connections of an admin client.

Its operations only time out then. The reasons come to the client's error callback, while it is polled.
"""

# ruff: noqa: SLF001 - the names of librdkafka's own errors begin with an underscore

import re
from collections.abc import Callable, Mapping
from typing import Any, Final
from weakref import WeakKeyDictionary

from confluent_kafka import KafkaError
from confluent_kafka.admin import AdminClient

from orchestrator.errors import ConfigurationError, OrchestratorError, UnavailableError

_PLACE: Final = re.compile(r"^\w+://\S+: | \(after \d+ms in state \w+\)")
"""Where and when: we say so ourselves."""
_NO_TOKEN: Final = "Failed to acquire SASL OAUTHBEARER token: "  # noqa: S105 - a text of librdkafka
_REFUSED_TOKEN: Final = re.compile(r"\"error\"|invalid_client|unauthorized|HTTP 40[013]", re.IGNORECASE)
"""What an identity provider answers to a client that it does not know. Without an answer it may work later."""
_ALERT: Final = re.compile(
    r"alert (?:certificate|bad certificate|unknown ca|handshake failure)", re.IGNORECASE
)
"""What brokers say to a client whose certificate is missing or not trusted."""


class Refusals:
    """The newest refusal, and whether brokers accept connections at all. Called while the client is polled."""

    def __init__(self) -> None:
        self.newest: KafkaError | None = None
        self.is_closed = False

    def note(self, error: KafkaError) -> None:
        text = error.str()
        if error.code() in (KafkaError._AUTHENTICATION, KafkaError._SSL) or _ALERT.search(text):
            self.newest = error
        elif "Connect to " in text or error.code() == KafkaError._RESOLVE:
            self.is_closed = True


_KNOWN: "Final[WeakKeyDictionary[AdminClient, Refusals]]" = WeakKeyDictionary()


def admin_client(settings: Mapping[str, Any]) -> AdminClient:
    """An admin client that remembers why it is refused."""
    refusals = Refusals()
    counted: Callable[[KafkaError], None] | None = settings.get("error_cb")

    def on_error(error: KafkaError) -> None:
        refusals.note(error)
        if counted is not None:
            counted(error)

    config: dict[str, Any] = {**settings, "error_cb": on_error}
    admin = AdminClient(config)
    _KNOWN[admin] = refusals
    return admin


def explained(admin: AdminClient, failure: OrchestratorError, doing: str, servers: str) -> OrchestratorError:
    """The failure of an operation, with the reason if no broker has let the client in."""
    refusals = _KNOWN.get(admin)
    if refusals is None or not isinstance(failure, UnavailableError):
        return failure
    admin.poll(0)
    if refusals.newest is not None:
        return _refusal(refusals.newest, doing, servers)
    if refusals.is_closed:
        return failure
    return UnavailableError(f"{failure}; if it accepts connections, check security.protocol")


def _refusal(error: KafkaError, doing: str, servers: str) -> OrchestratorError:
    text = " ".join(_PLACE.sub("", error.str()).split())
    where = f"{doing} failed: the cluster at {servers}"
    if text.startswith(_NO_TOKEN):
        return _without_token(text.removeprefix(_NO_TOKEN), where)
    if error.code() == KafkaError._SSL:
        return ConfigurationError(f"{where} is not trusted: {text}; check ssl.ca.location")
    if error.code() == KafkaError._AUTHENTICATION:
        return ConfigurationError(
            f"{where} does not let us in: {text}; check sasl.mechanism, sasl.username and sasl.password"
        )
    return ConfigurationError(
        f"{where} wants a certificate that it trusts: {text}; check ssl.certificate.location and ssl.key.location"
    )


def _without_token(text: str, where: str) -> OrchestratorError:
    where = f"{where} asks for a token, and the identity provider issued none"
    if _REFUSED_TOKEN.search(text):
        return ConfigurationError(f"{where}: {text}; check sasl.oauthbearer.client.id and client.secret")
    return UnavailableError(f"{where}: {text}; check sasl.oauthbearer.token.endpoint.url")
