"""Kafka, the registry and PostgreSQL accept the settings of the Compose file, and its health checks work: the same
versions as in its images, as processes, with only addresses, ports and folders replaced."""

import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import psycopg
import pytest
from confluent_kafka.admin import AdminClient

from orchestrator.local import LocalKafka, StackAddress, jars
from orchestrator.local.ports import PortLeases
from orchestrator.local.startup_cache import QUICK_START, startup_options
from tests.deploy.compositions import Service, broker_properties, composed
from tests.support.installation import Installation
from tests.support.postgres_server import postgres_programs, postgres_server

START_S = 120.0
ANSWER_S = 10.0


@pytest.fixture(scope="module")
def services() -> dict[str, Service]:
    found: dict[str, Service] = composed()["services"]
    return found


def test_kafka_is_reached_by_containers_and_from_this_machine(
    services: dict[str, Service], tmp_path: Path
) -> None:
    with PortLeases() as leases:
        inside, controller, outside = (leases.add() for _ in range(3))
        ports = {"9092": inside, "9093": controller, "29092": outside}
        properties = broker_properties(services["kafka"], ports)
    with LocalKafka(tmp_path / "kafka", ports=[outside], properties=properties, short_lived=True):
        for port in (inside, outside):
            metadata = AdminClient({"bootstrap.servers": f"127.0.0.1:{port}"}).list_topics(timeout=START_S)
            assert [f"{one.host}:{one.port}" for one in metadata.brokers.values()] == [f"127.0.0.1:{port}"]
        address = StackAddress(f"127.0.0.1:{inside}", "http://127.0.0.1:1")
        applied = Installation(address, "agents.", tmp_path).run("topics", "apply")
        assert applied.returncode == 0, applied.stderr


def test_the_registry_keeps_its_schemas_in_postgresql(services: dict[str, Service], tmp_path: Path) -> None:
    with postgres_server() as url:
        plain = url.replace("+psycopg", "")
        assert _healthy([*_check(services["postgres"]), f"--port={urlsplit(plain).port}"])
        with psycopg.connect(f"{plain}/postgres", autocommit=True) as connection:
            connection.execute(composed()["configs"]["databases"]["content"].encode())
        settings = {
            name: value.replace("postgres:5432", f"127.0.0.1:{urlsplit(plain).port}")
            for name, value in services["registry"]["environment"].items()
        }
        with (
            _registry(services["registry"], settings, tmp_path / "log"),
            psycopg.connect(f"{plain}/registry") as store,
        ):
            kept = store.execute(
                "SELECT count(*) FROM information_schema.tables WHERE table_name = 'versions'"
            )
            assert kept.fetchone() == (1,)


@contextmanager
def _registry(service: Service, settings: dict[str, str], log: Path) -> Iterator[None]:
    """Runs a registry until it is healthy by the check of the Compose file."""
    folder = jars.registry_folder()
    with PortLeases() as leases:
        port, management = leases.add(), leases.add()
        own = [f"-Dquarkus.{one}.host=127.0.0.1" for one in ("http", "management")]
        own += [f"-Dquarkus.http.port={port}", f"-Dquarkus.management.port={management}"]
        java = [str(jars.java()), *QUICK_START, *startup_options(folder)]
        command = [*java, *own, "-jar", str(folder / "quarkus-run.jar")]
        with log.open("wb") as file:
            process = subprocess.Popen(command, env={**os.environ, **settings}, stdout=file, stderr=file)
        check = [word.replace("8080", str(port)) for word in _check(service)]
        try:
            assert not _healthy(check)
            deadline = time.monotonic() + START_S
            while not _healthy(check):
                assert process.poll() is None, log.read_text()
                assert time.monotonic() < deadline, log.read_text()
                time.sleep(0.2)
            yield
        finally:
            process.terminate()
            process.wait(START_S)


def _check(service: Service) -> list[str]:
    """The command of its health check."""
    kind, *command = map(str, service["healthcheck"]["test"])
    assert kind == "CMD"
    return command


def _healthy(check: list[str]) -> bool:
    environment = {**os.environ, "PATH": f"{postgres_programs()}:{os.environ['PATH']}"}
    ran = subprocess.run(check, env=environment, capture_output=True, timeout=ANSWER_S, check=False)
    return ran.returncode == 0
