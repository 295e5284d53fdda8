"""A user of Kafka for each service of Compose: the files' own settings, commands and script on a real Kafka."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from confluent_kafka import KafkaError, KafkaException, Producer
from confluent_kafka.admin import AdminClient

from orchestrator.app.demo import TRIAGE, prepare
from orchestrator.app.settings import Settings
from orchestrator.local import LocalKafka, LocalRegistry, StackAddress
from orchestrator.local.ports import PortLeases
from orchestrator.local.security import LocalSecurity
from tests.deploy.compositions import (
    COMPOSE,
    PASSWORDS,
    ROOT,
    SECURE,
    broker_properties,
    composed,
    made_passwords,
    ours,
    read,
    secured,
)
from tests.support.incident_example import FOLDER
from tests.support.installation import Installation

WITHOUT_KAFKA = {"schemas", "example-data", "users"}
"""Containers that do not connect to Kafka as a user of their own: `users` connects as the admin, to create them."""
PORTS = ("9092", "9093", "9094", "29092")
LOGIN = ("ORCHESTRATOR_KAFKA_SASL_USERNAME", "ORCHESTRATOR_KAFKA_SASL_PASSWORD")
SASL = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "SCRAM-SHA-512"}


@pytest.fixture(scope="module")
def passwords(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    return made_passwords(tmp_path_factory.mktemp("passwords"))


@pytest.fixture(scope="module")
def model(passwords: dict[str, str]) -> dict[str, Any]:
    return secured(passwords)


def test_passwords_are_made_once_and_for_their_owner_alone(tmp_path: Path) -> None:
    made = made_passwords(tmp_path)

    assert len(set(made.values())) == len(made)
    assert all(len(password) == 64 for password in made.values())
    assert stat.S_IMODE((tmp_path / ".env").stat().st_mode) == 0o600
    again = subprocess.run(["sh", tmp_path / PASSWORDS.name], capture_output=True, text=True, check=False)
    assert again.returncode == 1
    assert "remove it to have new passwords made" in again.stderr


def test_without_passwords_nothing_starts() -> None:
    done = read(COMPOSE, SECURE)

    assert done.returncode != 0
    assert "run sh deploy/passwords.sh" in done.stderr


def test_each_container_has_a_user_of_its_own_and_no_password_of_another(
    model: dict[str, Any], passwords: dict[str, str]
) -> None:
    users: dict[str, set[str]] = {}
    for name, service in ours(model).items():
        known = {value for value in service["environment"].values() if value in passwords.values()}
        if name in WITHOUT_KAFKA:
            continue
        user, password = (service["environment"][variable] for variable in LOGIN)
        assert password == passwords[f"KAFKA_PASSWORD_{user.upper().replace('-', '_')}"], name
        assert known == {password}, name
        users.setdefault(user, set()).add(name)
    assert {user: names for user, names in users.items() if names != {user}} == {
        "admin": {"rights", "rights-of-monitors"},
        "deployer": {"topics", "agents"},
        "operator": {"cli"},
    }


def test_what_the_simple_file_says_of_containers_holds(model: dict[str, Any]) -> None:
    simple = composed()["services"]
    kafka = {f"ORCHESTRATOR_{name.upper()}" for name in Settings.model_fields}
    for name, service in ours(model).items():
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name
        assert service.keys() >= {"mem_limit", "cpus", "pids_limit"}, name
        own = service["environment"].keys() - simple.get(name, {}).get("environment", {}).keys()
        if name != "users":
            assert all(one.startswith("ORCHESTRATOR_KAFKA_") or one in kafka for one in own), name
    assert all(
        service.get("command") == simple[name].get("command")
        for name, service in ours(model).items()
        if name in simple
    )


def test_rights_are_there_before_anybody_needs_them(model: dict[str, Any]) -> None:
    services = model["services"]
    done = {"condition": "service_completed_successfully", "required": True}

    assert services["users"]["depends_on"] == {"kafka": {"condition": "service_healthy", "required": True}}
    for name in ("rights", "rights-of-monitors"):
        assert services[name]["depends_on"] == {"users": done}
        assert services["topics"]["depends_on"][name] == done


@dataclass(frozen=True)
class Composed(LocalSecurity):
    """What the Compose files say of security, for a local Kafka that has no other settings of its own."""

    port: int
    logins: Mapping[str, str]

    def prepare(self) -> None: ...

    def broker_properties(self) -> Mapping[str, str]:
        return {}

    def format_options(self) -> list[str]:
        return []

    def client_settings(self, user: str) -> dict[str, str]:
        # Kafka is up once its admin gets in, who is no SCRAM user before `users` ran.
        return {
            "bootstrap.servers": f"127.0.0.1:{self.port}",
            "security.protocol": "SASL_PLAINTEXT",
            "sasl.mechanism": "PLAIN",
            "sasl.username": user,
            "sasl.password": self.logins[f"KAFKA_PASSWORD_{user.upper()}"],
        }


@dataclass(frozen=True)
class Running:
    """The containers of both files as processes of this machine."""

    services: dict[str, Any]
    passwords: Mapping[str, str]
    ports: Mapping[str, int]
    registry: str
    folder: Path

    def installation(self, name: str, **more: str) -> Installation:
        """The environment of one container: its user, and addresses of this machine."""
        environment = self.services[name]["environment"]
        own = {key: value for key, value in environment.items() if key.startswith("ORCHESTRATOR_KAFKA_")}
        address = StackAddress(f"127.0.0.1:{self.ports['9092']}", self.registry)
        return Installation(address, "agents.", self.folder, {**own, "ORCHESTRATOR_PARTITIONS": "8", **more})

    def once(self, name: str) -> None:
        """Runs a container that ends by itself."""
        command = [word.replace("/example", str(FOLDER)) for word in self.services[name]["command"]]
        done = self.installation(name).run(*command)
        assert done.returncode == 0, f"{name}: {done.stderr}"

    def create_users(self) -> None:
        service = self.services["users"]
        (mounted,) = service["volumes"]
        environment = {**os.environ, **service["environment"]}
        environment["BOOTSTRAP_SERVERS"] = f"127.0.0.1:{self.ports['9094']}"
        assert service["entrypoint"] == ["python", mounted["target"]]
        done = subprocess.run(
            [sys.executable, mounted["source"]], env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr

    def write(self, user: str, topic: str) -> int | None:
        """Why a user may not write to a topic: the code of the error, None if it may."""
        found: list[KafkaError | None] = []
        login = {
            "sasl.username": user,
            "sasl.password": self.passwords[f"KAFKA_PASSWORD_{user.upper().replace('-', '_')}"],
        }
        server = {"bootstrap.servers": f"127.0.0.1:{self.ports['29092']}", "message.timeout.ms": 30_000}
        producer = Producer({**server, **SASL, **login})
        producer.produce(topic, b"forged", b"forged", on_delivery=lambda error, _record: found.append(error))
        assert producer.flush(40) == 0
        return found[0].code() if found[0] is not None else None


@pytest.fixture(scope="module")
def running(
    model: dict[str, Any], passwords: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("secured")
    services: dict[str, Any] = model["services"]
    with PortLeases() as leases:
        ports = {port: leases.add() for port in PORTS}
    properties = broker_properties(services["kafka"], ports)
    security = Composed(folder, ports["9094"], passwords)
    kafka = LocalKafka(
        folder / "kafka",
        ports=[ports["29092"]],
        properties=properties,
        short_lived=True,
        security=security,
    )
    with kafka, LocalRegistry(folder / "registry") as registry:
        found = Running(services, passwords, ports, registry.url, folder)
        found.create_users()
        for name in ("rights", "rights-of-monitors", "topics", "schemas", "agents"):
            found.once(name)
        yield found


def test_the_example_runs_with_a_user_for_each_service(running: Running) -> None:
    data = prepare(TRIAGE, running.folder / "data")
    commands = {
        name: [word.replace("/example/", f"{FOLDER}/") for word in service["command"][1:]]
        for name, service in ours({"services": running.services}).items()
        if (service.get("command") or [""])[0] == "run"
    }
    with ExitStack() as started:
        for name, command in commands.items():
            started.enter_context(running.installation(name, **data).processes(command))
        cli = running.installation("cli", **data)
        shown = cli.json("submit", TRIAGE.goal, "--agent", "triage", "--wait")

    assert shown["phase"] == "completed"
    assert cli.run("sessions", "show", shown["correlation_id"], "--from-log").returncode == 0
    # At the next start nothing is left to do.
    running.create_users()
    checked = running.installation("rights").run(
        *[
            "plan" if word == "apply" else word
            for word in running.services["rights"]["command"]
            if word != "--prune"
        ],
        "--check",
    )
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize(
    ("user", "topic"),
    [
        ("planner", "sessions"),
        ("tool-executor", "plan.commands"),
        ("tool-selector", "tasks"),
        ("monitors", "execute.commands"),
        ("session-recorder", "events"),
        ("operator", "sessions"),
        ("client", "events"),
        ("deployer", "tasks"),
    ],
)
def test_what_a_user_may_not_write_is_denied(running: Running, user: str, topic: str) -> None:
    assert running.write(user, f"agents.{topic}") == KafkaError.TOPIC_AUTHORIZATION_FAILED


def test_nobody_gets_in_without_a_password(running: Running) -> None:
    for port in ("9092", "29092"):
        admin = AdminClient({"bootstrap.servers": f"127.0.0.1:{running.ports[port]}", "log_level": 0})
        with pytest.raises(KafkaException):
            admin.list_topics(timeout=5)
        # The admin's password is not sent to listeners that others reach.
        plain = Composed(running.folder, running.ports[port], running.passwords).client_settings("admin")
        with pytest.raises(KafkaException):
            AdminClient({**plain, "log_level": 0}).list_topics(timeout=5)


def test_listeners_without_scram_are_reached_inside_the_container_only(model: dict[str, Any]) -> None:
    environment = model["services"]["kafka"]["environment"]
    listeners = dict(one.split("://") for one in environment["KAFKA_LISTENERS"].split(","))
    inside = {name for name, where in listeners.items() if where.startswith("127.0.0.1:")}

    assert inside == {"LOCAL", "CONTROLLER"}
    assert environment["KAFKA_SASL_ENABLED_MECHANISMS"] == "SCRAM-SHA-512"
    assert set(environment["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"].split(",")) == {
        f"{name}:SASL_PLAINTEXT" for name in listeners
    }
    assert (ROOT / "deploy" / "kafka_users.py").is_file()
