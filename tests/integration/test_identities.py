"""Clients that a Kafka knows by certificate (mutual TLS) or by token (OAUTHBEARER), each with its own rights."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest
from confluent_kafka import KafkaError, Producer

from orchestrator.app.demo import TRIAGE, prepare
from orchestrator.bus.deadline import Deadline
from orchestrator.local import StackAddress
from orchestrator.local.security import ADMIN
from tests.support.certificates import Authority
from tests.support.identified_kafka import IdentifiedKafka, identified_kafka
from tests.support.identity_provider import Client, IdentityProvider, identity_provider
from tests.support.incident_example import FOLDER
from tests.support.installation import Installation

pytestmark = pytest.mark.integration

PREFIX = "identified."
BY_CERTIFICATE = ("orchestrator", "tool-selector", "recovery", "deployer")
"""Known by the whole name in their certificates."""
BY_MAPPED_CERTIFICATE = ("planner", "safety-monitor")
"""Known by the CN of their certificates."""
BY_TOKEN = ("tool-executor", "evaluator", "client")
SERVICES = {*BY_CERTIFICATE, *BY_MAPPED_CERTIFICATE, *BY_TOKEN} - {"deployer", "client"}
KEY_PASSWORD = "password-of-the-keys"
SECRET = "secret-of-the-clients"

Config = Mapping[str, str]


@dataclass(frozen=True)
class Identified:
    """A cluster, who issues tokens for it, and an installation on it."""

    kafka: IdentifiedKafka
    identity: IdentityProvider
    registry: str
    folder: Path

    def certificate(self, user: str) -> dict[str, str]:
        login = self.kafka.authority.issue(user, KEY_PASSWORD)
        return {"security.protocol": "SSL", **self.kafka.trusted, **login}

    def token(self, user: str) -> dict[str, str]:
        return {
            "security.protocol": "SASL_SSL",
            **self.kafka.trusted,
            "sasl.mechanism": "OAUTHBEARER",
            "sasl.oauthbearer.method": "oidc",
            "sasl.oauthbearer.client.id": user,
            "sasl.oauthbearer.client.secret": SECRET,
            "sasl.oauthbearer.scope": "kafka",
            "sasl.oauthbearer.token.endpoint.url": f"{self.identity.url}/token",
        }

    def login(self, user: str) -> tuple[str, dict[str, str]]:
        """The address where this user is known, and its settings."""
        if user in BY_CERTIFICATE:
            return self.kafka.certificates, self.certificate(user)
        if user in BY_MAPPED_CERTIFICATE:
            return self.kafka.mapped, self.certificate(user)
        if user in BY_TOKEN:
            return self.kafka.tokens, self.token(user)
        return self.kafka.passwords, self.kafka.security.client_settings(user)

    def as_user(self, user: str, **environment: str) -> Installation:
        servers, settings = self.login(user)
        return self.at(servers, settings, **environment)

    def at(self, servers: str, settings: Config, **environment: str) -> Installation:
        own = {
            f"ORCHESTRATOR_KAFKA_{name.upper().replace('.', '_')}": value for name, value in settings.items()
        }
        return Installation(StackAddress(servers, self.registry), PREFIX, self.folder, {**own, **environment})

    def write(self, user: str, topic: str) -> int | None:
        """Why a user may not write to a topic: the code of the error, None if it may."""
        servers, settings = self.login(user)
        found: list[KafkaError | None] = []
        producer = Producer({"bootstrap.servers": servers, "message.timeout.ms": 30_000, **settings})
        name = f"{PREFIX}{topic}"
        producer.produce(name, b"forged", b"forged", on_delivery=lambda error, _record: found.append(error))
        assert producer.flush(40) == 0
        return found[0].code() if found[0] is not None else None


@pytest.fixture(scope="module")
def identified(kafka_stack: StackAddress, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Identified]:
    folder = tmp_path_factory.mktemp("identified")
    clients = {name: Client(SECRET) for name in (*BY_TOKEN, "stranger")}
    with identity_provider(clients) as identity, identified_kafka(folder, identity) as kafka:
        kafka.security.create_users(kafka.passwords, [ADMIN], Deadline.after(60))
        found = Identified(kafka, identity, kafka_stack.schema_registry_url, folder)
        admin = found.as_user(ADMIN)
        for template, names in (
            ("User:CN={name},OU=agents", BY_CERTIFICATE),
            ("User:{name}", (*BY_MAPPED_CERTIFICATE, *BY_TOKEN)),
        ):
            for command in (("apply",), ("plan", "--check")):
                done = admin.run("acls", *command, "--principal", template, *names)
                assert done.returncode == 0, done.stderr
        found.as_user("deployer").apply(FOLDER)
        yield found


def test_the_example_completes_with_certificates_and_tokens(identified: Identified) -> None:
    data = prepare(TRIAGE, identified.folder / "data")
    data.pop("ORCHESTRATOR_SESSIONS_URL")
    data["ORCHESTRATOR_MODULES"] = str(FOLDER / TRIAGE.plugins)
    with ExitStack() as running:
        for name in sorted(SERVICES):
            running.enter_context(identified.as_user(name, **data).processes([name]))
        shown = identified.as_user("client").json("submit", TRIAGE.goal, "--agent", "triage", "--wait")

    assert shown["phase"] == "completed"
    assert set(identified.identity.issued) == set(BY_TOKEN)
    for name in SERVICES:
        log = identified.as_user(name).log(name).read_text()
        assert SECRET not in log
        assert KEY_PASSWORD not in log


@pytest.mark.parametrize("user", ["tool-selector", "planner", "tool-executor"])
def test_who_is_known_by_certificate_or_token_has_its_own_rights(identified: Identified, user: str) -> None:
    assert identified.write(user, "events") is None
    assert identified.write(user, "sessions") == KafkaError.TOPIC_AUTHORIZATION_FAILED


def test_a_service_that_lacks_a_right_says_which_command_lists_it(identified: Identified) -> None:
    done = identified.as_user("client").run("topics", "apply", "--topic-prefix", f"{PREFIX}more.")

    assert done.returncode == 3
    assert "`orchestrator acls plan` lists the rights of each user" in done.stderr


def refusals(identified: Identified) -> dict[str, tuple[str, Config, int, str]]:
    """Who is not let in: where it connects, how, the exit code, and what it is told."""
    password = identified.kafka.security.client_settings(ADMIN)
    trusting = {"security.protocol": "SSL", **identified.kafka.trusted}
    foreign = Authority(identified.folder / "foreign").issue("planner", KEY_PASSWORD)
    token, key = identified.token("client"), identified.certificate("planner")
    at = identified.kafka
    return {
        "wrong password": (
            at.passwords,
            {**password, "sasl.password": "guessed-it"},
            3,
            "check sasl.mechanism",
        ),
        "unknown authority": (
            at.passwords,
            {name: value for name, value in password.items() if name != "ssl.ca.location"},
            3,
            "is not trusted: SSL handshake failed",
        ),
        "no TLS": (at.passwords, {}, 4, "if it accepts connections, check security.protocol"),
        "no certificate": (at.mapped, trusting, 3, "wants a certificate that it trusts"),
        "foreign certificate": (at.mapped, {**trusting, **foreign}, 3, "wants a certificate that it trusts"),
        "wrong password of the key": (
            at.mapped,
            {**key, "ssl.key.password": "guessed-it"},
            3,
            "librdkafka rejects the settings: Failed to create admin client: ssl.key.location failed",
        ),
        "wrong secret": (
            at.tokens,
            {**token, "sasl.oauthbearer.client.secret": "guessed-it"},
            3,
            "check sasl.oauthbearer.client.id and client.secret",
        ),
        "no identity provider": (
            at.tokens,
            {**token, "sasl.oauthbearer.token.endpoint.url": "http://127.0.0.1:1/token"},
            4,
            "check sasl.oauthbearer.token.endpoint.url",
        ),
    }


PLAN, RUN, ACLS = ("topics", "plan"), ("run", "planner"), ("acls", "plan")
_LONG = pytest.mark.soak
"""Cases that differ from others in one thing only; most wait for a time limit."""


@pytest.mark.parametrize(
    ("who", "command"),
    [
        ("wrong password", PLAN),
        pytest.param("wrong password", RUN, marks=_LONG),
        pytest.param("wrong password", ACLS, marks=_LONG),
        ("unknown authority", PLAN),
        pytest.param("no TLS", PLAN, marks=_LONG),
        ("no certificate", RUN),
        pytest.param("foreign certificate", PLAN, marks=_LONG),
        ("wrong password of the key", PLAN),
        pytest.param("wrong secret", RUN, marks=_LONG),
        ("wrong secret", ACLS),
        pytest.param("no identity provider", PLAN, marks=_LONG),
    ],
)
def test_who_is_not_let_in_is_told_why_in_one_line(
    identified: Identified, who: str, command: tuple[str, ...]
) -> None:
    servers, settings, code, says = refusals(identified)[who]
    installation = identified.at(servers, settings)

    done = installation.run(*command)

    assert done.returncode == code, done.stderr
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("Error: ")]
    assert says in line
    for secret in (SECRET, KEY_PASSWORD, "guessed-it"):
        assert secret not in done.stdout + done.stderr


@pytest.mark.parametrize("user", ["planner", "tool-executor"])
def test_secrets_of_certificates_and_tokens_are_not_shown(identified: Identified, user: str) -> None:
    installation = identified.as_user(user)
    for arguments in (("config", "show"), ("config", "show", "-o", "json"), ("config", "check")):
        done = installation.run(*arguments)
        assert done.returncode == 0, done.stderr
        assert SECRET not in done.stdout + done.stderr
        assert KEY_PASSWORD not in done.stdout + done.stderr
