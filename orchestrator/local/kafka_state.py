"""What a local Kafka remembers in its folder, so that a restart has the same address and data."""

import json
import uuid
from base64 import urlsafe_b64encode
from dataclasses import asdict, dataclass
from pathlib import Path

from orchestrator.errors import ConfigurationError
from orchestrator.local.kafka_settings import NodePorts
from orchestrator.local.whole_files import write_whole


@dataclass(frozen=True, slots=True)
class KafkaState:
    """The cluster's identity and where it listens, with one entry of `ports` for each node."""

    cluster_id: str
    ports: tuple[NodePorts, ...]

    @classmethod
    def load(cls, path: Path) -> "KafkaState | None":
        """None if nothing has been saved. Raises `ConfigurationError` if the file is damaged."""
        if not path.exists():
            return None
        try:
            content = json.loads(path.read_text())
            return cls(content["cluster_id"], tuple(NodePorts(**ports) for ports in content["ports"]))
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigurationError(f"{path} is damaged ({error}): delete its folder") from error

    def save(self, path: Path) -> None:
        """Replace the file as a whole: a crash leaves the old content or the new."""
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, json.dumps(asdict(self), indent=2) + "\n")


def new_cluster_id() -> str:
    """22 characters of URL-safe base64, as Kafka requires; like Kafka's own it never begins with a dash."""
    while True:
        cluster_id = urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode()
        if not cluster_id.startswith("-"):
            return cluster_id
