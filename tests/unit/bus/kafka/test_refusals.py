"""What brokers and identity providers say to clients that they do not let in, as librdkafka reports it."""

from typing import Any

import pytest
from confluent_kafka import KafkaError

from orchestrator.bus.kafka import refusals
from orchestrator.errors import ConfigurationError, OrchestratorError, UnavailableError

SERVERS = "kafka.example:9094"
LATE = UnavailableError("listing topics failed: it does not respond")


class Admin:
    """Reports errors while it is polled, as the client does."""

    def __init__(self, config: dict[str, Any]) -> None:
        self._report = config["error_cb"]
        self.errors: list[KafkaError] = []

    def poll(self, _timeout_s: float) -> int:
        for error in self.errors:
            self._report(error)
        return len(self.errors)


def explained(
    monkeypatch: pytest.MonkeyPatch, *errors: tuple[int, str], failure: OrchestratorError = LATE
) -> OrchestratorError:
    monkeypatch.setattr(refusals, "AdminClient", Admin)
    admin: Any = refusals.admin_client({})
    admin.errors += [KafkaError(code, text) for code, text in errors]
    return refusals.explained(admin, failure, "listing topics", SERVERS)


@pytest.mark.parametrize(
    ("code", "text", "kind", "says"),
    [
        (
            KafkaError._AUTHENTICATION,
            "sasl_ssl://kafka.example:9094/bootstrap: SASL authentication error: Authentication failed during "
            "authentication due to invalid credentials with SASL mechanism SCRAM-SHA-512 (after 3ms in state AUTH_REQ)",
            ConfigurationError,
            "does not let us in: SASL authentication error: Authentication failed during authentication due to invalid "
            "credentials with SASL mechanism SCRAM-SHA-512; check sasl.mechanism, sasl.username and sasl.password",
        ),
        (
            KafkaError._SSL,
            "ssl://kafka.example:9094/bootstrap: SSL handshake failed: certificate verify failed",
            ConfigurationError,
            "is not trusted: SSL handshake failed: certificate verify failed; check ssl.ca.location",
        ),
        (
            KafkaError._TRANSPORT,
            "ssl://kafka.example:9094/1: Receive failed: tlsv13 alert certificate required: SSL alert number 116",
            ConfigurationError,
            "wants a certificate that it trusts",
        ),
        (
            KafkaError._AUTHENTICATION,
            'Failed to acquire SASL OAUTHBEARER token: {"error": "invalid_client"}',
            ConfigurationError,
            'issued none: {"error": "invalid_client"}; check sasl.oauthbearer.client.id and client.secret',
        ),
        (
            KafkaError._AUTHENTICATION,
            "Failed to acquire SASL OAUTHBEARER token: Failed to connect to 192.0.2.1:443: Could not connect to server",
            UnavailableError,
            "Could not connect to server; check sasl.oauthbearer.token.endpoint.url",
        ),
    ],
)
def test_a_refusal_is_explained(
    monkeypatch: pytest.MonkeyPatch, code: int, text: str, kind: type[Exception], says: str
) -> None:
    found = explained(monkeypatch, (code, text), (KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down"))

    assert type(found) is kind
    assert str(found).startswith(f"listing topics failed: the cluster at {SERVERS} ")
    assert says in str(found)
    assert "\n" not in str(found)


def test_a_server_that_is_down_stays_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    refused = "kafka.example:9094/bootstrap: Connect to ipv4#192.0.2.1:9094 failed: Connection refused"

    assert explained(monkeypatch, (KafkaError._TRANSPORT, refused)) is LATE


def test_a_server_that_accepts_connections_and_says_nothing_may_want_tls(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = explained(monkeypatch, (KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down"))

    assert isinstance(found, UnavailableError)
    assert str(found).endswith("; if it accepts connections, check security.protocol")


def test_what_failed_for_another_reason_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    denied = ConfigurationError("denied")
    before = (KafkaError._AUTHENTICATION, "SASL authentication error: it was so before")

    assert explained(monkeypatch, before, failure=denied) is denied
