"""The Kafka and the registry that tests run on, by the means of this machine.

The servers named by ORCHESTRATOR_TEST_BOOTSTRAP_SERVERS and ORCHESTRATOR_TEST_SCHEMA_REGISTRY_URL; else
containers, where a Docker engine answers; else processes of our own. All of them are Kafka 4.3 and, unless the
environment names another one, Apicurio Registry 3.3. Failures raise: no test is skipped for them.
"""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.errors import ConfigurationError
from orchestrator.local import LocalStack, StackAddress
from orchestrator.local.kafka_settings import NodePorts, node_properties
from orchestrator.local.ports import lease_free_port

BOOTSTRAP_SERVERS = "ORCHESTRATOR_TEST_BOOTSTRAP_SERVERS"
SCHEMA_REGISTRY_URL = "ORCHESTRATOR_TEST_SCHEMA_REGISTRY_URL"

_KAFKA_IMAGE = "apache/kafka:4.3.1"
_REGISTRY_IMAGE = "apicurio/apicurio-registry:3.3.3"
_CONTROLLER_PORT = 9093
_REGISTRY_PORT = 8080


@contextmanager
def provide_stack(folder: Path) -> Iterator[StackAddress]:
    """A running Kafka and registry; `folder` holds the data and logs of processes of our own."""
    if address := address_in_environment():
        yield address
    elif docker_answers():
        with _containers() as address:
            yield address
    else:
        with LocalStack(folder, short_lived=True) as stack:
            yield stack.address


def address_in_environment() -> StackAddress | None:
    """The servers that the environment names. Raises `ConfigurationError` if it names only one of the two."""
    bootstrap, registry = os.environ.get(BOOTSTRAP_SERVERS), os.environ.get(SCHEMA_REGISTRY_URL)
    if bool(bootstrap) != bool(registry):
        raise ConfigurationError(f"set both {BOOTSTRAP_SERVERS} and {SCHEMA_REGISTRY_URL}, or neither")
    return StackAddress(bootstrap, registry) if bootstrap and registry else None


def docker_answers() -> bool:
    """Whether a Docker engine answers."""
    # In a process of its own: the client leaves a socket open if nothing answers, and warnings are errors.
    ping = "import docker; docker.from_env(timeout=5).ping()"
    return subprocess.run([sys.executable, "-c", ping], capture_output=True, check=False).returncode == 0


@contextmanager
def _containers() -> Iterator[StackAddress]:
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.wait_strategies import HttpWaitStrategy, LogMessageWaitStrategy

    # The port is chosen before the start because Kafka has to advertise it.
    lease = lease_free_port()
    lease.release()
    kafka = DockerContainer(_KAFKA_IMAGE).with_envs(**_kafka_environment(lease.port))
    kafka.with_bind_ports(lease.port, lease.port)
    kafka.waiting_for(LogMessageWaitStrategy("Kafka Server started"))
    registry = DockerContainer(_REGISTRY_IMAGE).with_exposed_ports(_REGISTRY_PORT)
    registry.waiting_for(HttpWaitStrategy(_REGISTRY_PORT, "/apis/ccompat/v7/subjects"))
    with kafka, registry:
        registry_port = registry.get_exposed_port(_REGISTRY_PORT)
        yield StackAddress(
            f"{kafka.get_container_host_ip()}:{lease.port}",
            f"http://{registry.get_container_host_ip()}:{registry_port}/apis/ccompat/v7",
        )


def _kafka_environment(port: int) -> dict[str, str]:
    """Our own settings in the form that the image takes them: `KAFKA_`, upper case, underscores."""
    ports = NodePorts(port, _CONTROLLER_PORT)
    inside = f"PLAINTEXT://0.0.0.0:{port},CONTROLLER://127.0.0.1:{_CONTROLLER_PORT}"
    properties = node_properties(1, [ports], Path("/var/lib/kafka/data"), {"listeners": inside})
    return {f"KAFKA_{name.upper().replace('.', '_')}": value for name, value in properties.items()}
