"""The example on a Kafka with TLS, passwords and rights: each service has the least that it needs, and no more."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from orchestrator.app.demo import TRIAGE, prepare
from orchestrator.bus.deadline import Deadline
from orchestrator.bus.kafka.acls import Operation, Resource
from orchestrator.local import StackAddress
from orchestrator.local.kafka import LocalKafka
from orchestrator.local.security import ADMIN, LocalSecurity
from orchestrator.messages.catalogue import Topic
from orchestrator.operations.access import components, users
from orchestrator.sdk.plugins import discover
from tests.support.incident_example import FOLDER
from tests.support.installation import Installation

pytestmark = pytest.mark.integration

PREFIX = "secured."
SERVICES = (
    "orchestrator",
    "planner",
    "tool-selector",
    "tool-executor",
    "evaluator",
    "recovery",
    "safety-monitor",
)
RIGHTS = {**components(discover(()), PREFIX), **users(PREFIX)}


class Secured:
    """A cluster with a user for each service, and an installation on it."""

    def __init__(self, kafka: LocalKafka, security: LocalSecurity, registry: str, folder: Path) -> None:
        self.kafka = kafka
        self.security = security
        self._registry = registry
        self._folder = folder
        security.create_users(kafka.bootstrap_servers, RIGHTS, Deadline.after(60))

    def as_user(self, user: str, **environment: str) -> Installation:
        settings = {
            f"ORCHESTRATOR_KAFKA_{name.upper().replace('.', '_')}": value
            for name, value in self.security.client_settings(user).items()
        }
        address = StackAddress(self.kafka.bootstrap_servers, self._registry)
        return Installation(address, PREFIX, self._folder, {**settings, **environment})

    def write(self, user: str, topic: str) -> int | None:
        """Why the user may not write to a topic: the code of the error, None if it may."""
        found: list[KafkaError | None] = []
        producer = Producer(
            {
                "bootstrap.servers": self.kafka.bootstrap_servers,
                "message.timeout.ms": 30_000,
                **self.security.client_settings(user),
            }
        )
        producer.produce(topic, b"forged", b"forged", on_delivery=lambda error, _record: found.append(error))
        assert producer.flush(40) == 0
        return found[0].code() if found[0] is not None else None


@pytest.fixture(scope="module")
def secured(kafka_stack: StackAddress, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("secured")
    security = LocalSecurity(folder / "security")
    with LocalKafka(folder / "kafka", short_lived=True, security=security) as kafka:
        secured = Secured(kafka, security, kafka_stack.schema_registry_url, folder)
        principal = ("--principal", "User:{name}")
        admin = secured.as_user(ADMIN)
        before = admin.run("acls", "plan", *principal, "--check")
        assert before.returncode == 1, before.stderr
        applied = admin.run("acls", "apply", *principal)
        assert applied.returncode == 0, applied.stderr
        after = admin.run("acls", "plan", *principal, "--check")
        assert after.returncode == 0, after.stderr
        secured.as_user("deployer").apply(FOLDER)
        yield secured


def test_the_example_completes_with_the_rights_of_each_service(secured: Secured) -> None:
    data = prepare(TRIAGE, secured._folder / "data")
    data.pop("ORCHESTRATOR_SESSIONS_URL")
    data["ORCHESTRATOR_MODULES"] = str(FOLDER / TRIAGE.plugins)
    with ExitStack() as running:
        for name in SERVICES:
            running.enter_context(secured.as_user(name, **data).processes([name]))
        shown = secured.as_user("client").json("submit", TRIAGE.goal, "--agent", "triage", "--wait")

    assert shown["phase"] == "completed"
    assert shown["result"].startswith("# Why latency rose")


@pytest.mark.parametrize("user", RIGHTS)
def test_a_user_writes_where_it_may_and_nowhere_else(secured: Secured, user: str) -> None:
    allowed = {
        right.name
        for right in RIGHTS[user]
        if right.resource is Resource.TOPIC and right.operation is Operation.WRITE
    }
    for topic in Topic:
        name = f"{PREFIX}{topic}"
        code = secured.write(user, name)
        assert code == (None if name in allowed else KafkaError.TOPIC_AUTHORIZATION_FAILED), name


@pytest.mark.parametrize("user", ["submitter", "client", "tool-executor"])
def test_only_the_orchestrator_opens_transactions(secured: Secured, user: str) -> None:
    # An open transaction hides what others write to the topic after it.
    producer = Producer(
        {
            "bootstrap.servers": secured.kafka.bootstrap_servers,
            "transactional.id": f"{PREFIX}orchestrator-0",
            **secured.security.client_settings(user),
        }
    )

    with pytest.raises(KafkaException) as raised:
        producer.init_transactions(30)

    assert raised.value.args[0].code() == KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED


def test_who_has_no_rights_sees_nothing(secured: Secured) -> None:
    secured.security.create_users(secured.kafka.bootstrap_servers, ["stranger"], Deadline.after(60))
    admin = AdminClient(
        {
            "bootstrap.servers": secured.kafka.bootstrap_servers,
            **secured.security.client_settings("stranger"),
        }
    )

    assert admin.list_topics(timeout=30).topics == {}


def test_who_has_no_password_does_not_get_in(secured: Secured) -> None:
    settings = secured.security.client_settings("planner") | {"sasl.password": "guessed"}
    admin = AdminClient({"bootstrap.servers": secured.kafka.bootstrap_servers, "log_level": 0, **settings})

    with pytest.raises(KafkaException):
        admin.list_topics(timeout=5)


def test_surplus_rights_are_found_and_taken(secured: Secured) -> None:
    admin = secured.as_user(ADMIN)
    principal = ("--principal", "User:submitter")
    for arguments in (("client",), ("submitter",)):
        done = admin.run("acls", "apply", *arguments, *principal)
        assert done.returncode == 0, done.stderr

    found = admin.json("acls", "plan", "submitter", *principal)
    surplus = {right["name"] for right in found[0]["rights"] if right["status"] == "surplus"}
    assert f"{PREFIX}events" in surplus

    done = admin.run("acls", "apply", "submitter", *principal, "--prune")
    assert done.returncode == 0, done.stderr
    assert admin.run("acls", "plan", "submitter", *principal, "--check").returncode == 0
    assert secured.write("submitter", f"{PREFIX}control") == KafkaError.TOPIC_AUTHORIZATION_FAILED


def test_a_cluster_without_an_authorizer_is_said(kafka_stack: StackAddress, tmp_path: Path) -> None:
    plain = Installation(kafka_stack, "plain.", tmp_path)

    for arguments in (["apply"], ["plan"], ["plan", "--check"]):
        done = plain.run("acls", *arguments)

        assert done.returncode == 3, done.stderr
        assert "has no authorizer, so everybody may do everything" in done.stderr
    assert "User:plain.planner" in plain.run("acls", "plan").stdout


def test_who_may_not_read_rights_is_told_so(secured: Secured) -> None:
    for arguments in (["plan"], ["plan", "--check"], ["apply"]):
        done = secured.as_user("planner").run("acls", *arguments)

        assert done.returncode == 3, done.stdout
        assert "needs the operations describe, and to give rights alter, on the cluster" in done.stderr
