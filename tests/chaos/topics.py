"""The records of an installation's topics, read by a plain client and decoded with the registry's schemas.

Nothing here or in the checker imports the platform, so that they do not share its mistakes.
"""

import io
import json
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final
from urllib.request import urlopen

import fastavro
from confluent_kafka import Consumer, IsolationLevel, KafkaError, KafkaException, TopicPartition
from confluent_kafka.admin import AdminClient, OffsetSpec  # type: ignore[attr-defined]  # not re-exported

TOPICS: Final = (
    "tasks",
    "control",
    "plan.commands",
    "execute.commands",
    "evaluate.commands",
    "sessions",
    "events",
    "dead-letters",
)
"""Topics that keep every record. Compacted and short-lived ones prove nothing."""

UNREADABLE: Final = "unreadable"
"""The name of a record that no schema fits: a trial writes some."""
UNKNOWN_SCHEMA: Final = 2_000_000_000
"""From here on no id is one of a schema."""
CATCH_UP_S: Final = 120.0
"""An open transaction of a killed producer hides the records after it until its timeout, at most a minute."""
_RESPONSE_S: Final = 30.0
_PASSING: Final = frozenset({KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT, KafkaError._RESOLVE})

Partition = tuple[str, int]
"""Topic and number."""
Place = tuple[str, int, int]
"""Topic, partition and offset."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record. `name` is the message type without its namespace, `body` is the message as fastavro reads it."""

    topic: str
    partition: int
    offset: int
    name: str
    body: Mapping[str, Any]
    key: str = ""
    digest: str = ""
    """SHA-256 of key and value as they are in the log."""

    @property
    def session(self) -> str:
        return str(self.body.get("correlation_id") or self.key)

    @property
    def message_id(self) -> str:
        return str(self.body.get("event_id") or self.body.get("command_id") or "")

    @property
    def causation_id(self) -> str:
        return str(self.body["causation_id"])

    @property
    def place(self) -> Place:
        return self.topic, self.partition, self.offset

    @property
    def subject(self) -> Place | None:
        """The place of the record that a dead letter is about; None for other records."""
        original = self.body.get("original") if self.topic == "dead-letters" else None
        return (original["topic"], original["partition"], original["offset"]) if original else None

    def __str__(self) -> str:
        return f"{self.name} at {self.topic}/{self.partition}/{self.offset}"


@dataclass
class Reader:
    """Reads all of `TOPICS` from the beginning, with `read_committed`. For one thread at a time."""

    bootstrap_servers: str
    registry_url: str
    prefix: str
    records: list[Record] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._schemas: dict[int, Any] = {}
        self._reached: dict[Partition, int] = {}
        self._admin = AdminClient({"bootstrap.servers": self.bootstrap_servers})
        self._client = Consumer(
            {
                "bootstrap.servers": self.bootstrap_servers,
                "group.id": f"{self.prefix}checker",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "error",
            }
        )
        partitions = self._partitions()
        self._client.assign([TopicPartition(self.prefix + topic, number, 0) for topic, number in partitions])

    def poll(self) -> None:
        """Reads the available records, waiting briefly for the first one."""
        first = self._client.poll(0.1)
        for message in ([first] if first else []) + self._client.consume(1_000, 0):
            self._add(message)

    def _add(self, message: Any) -> None:
        # Any: in the stubs a record's topic and offset are optional, because errors lack them.
        error = message.error()
        if error is not None and error.code() in _PASSING:
            return
        topic, number = message.topic().removeprefix(self.prefix), message.partition()
        if error is None:
            self.records.append(self._record(topic, message))
            self._reached[topic, number] = message.offset() + 1
        elif error.code() == KafkaError._PARTITION_EOF:
            self._reached[topic, number] = message.offset()
        else:
            raise KafkaException(error)

    def catch_up(self) -> list[Record]:
        """Reads up to the current `read_uncommitted` end offsets."""
        ends = self._ends()
        deadline = time.monotonic() + CATCH_UP_S
        while left := {place: end for place, end in ends.items() if self._reached.get(place, 0) < end}:
            assert time.monotonic() < deadline, f"not readable within {CATCH_UP_S:.0f} s: {left}"
            self.poll()
        return self.records

    def close(self) -> None:
        self._client.close()

    def _partitions(self) -> list[Partition]:
        found = self._admin.list_topics(timeout=_RESPONSE_S).topics
        return [(topic, number) for topic in TOPICS for number in found[self.prefix + topic].partitions]

    def _ends(self) -> dict[Partition, int]:
        requests = {
            TopicPartition(self.prefix + topic, number): OffsetSpec.latest()  # type: ignore[no-untyped-call]
            for topic, number in self._partitions()
        }
        level = IsolationLevel.READ_UNCOMMITTED
        responses = self._admin.list_offsets(requests, isolation_level=level, request_timeout=_RESPONSE_S)
        return {
            (place.topic.removeprefix(self.prefix), place.partition): response.result(_RESPONSE_S).offset
            for place, response in responses.items()
        }

    def _record(self, topic: str, message: Any) -> Record:
        key, value = message.key() or b"", message.value() or b""
        schema = self._schema(value)
        body: Any = {}
        if schema is not None:
            body = fastavro.schemaless_reader(io.BytesIO(value[5:]), schema, None)
        name = str(schema["name"]).rpartition(".")[2] if schema is not None else UNREADABLE
        digest = sha256(key + b"\0" + value).hexdigest()
        return Record(
            topic, message.partition(), message.offset(), name, body, key.decode("utf-8", "replace"), digest
        )

    def _schema(self, value: bytes) -> Any:
        """The schema that a record was written with; None for a record that has none."""
        number = int.from_bytes(value[1:5], "big")
        if value[:1] != b"\x00" or number >= UNKNOWN_SCHEMA:
            return None
        if number not in self._schemas:
            with urlopen(f"{self.registry_url}/schemas/ids/{number}", timeout=_RESPONSE_S) as response:  # noqa: S310
                self._schemas[number] = fastavro.parse_schema(json.loads(json.load(response)["schema"]))
        return self._schemas[number]


class LiveReader:
    """A reader that reads during the whole run, in its own thread."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._stopping = threading.Event()
        self._failure: Exception | None = None
        self._thread = threading.Thread(target=self._run, name="live-reader", daemon=True)

    def __enter__(self) -> "LiveReader":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        self._thread.join()
        self._reader.close()

    def since(self, count: int) -> list[Record]:
        """The records it has read after the first `count`."""
        if self._failure is not None:
            raise self._failure
        return self._reader.records[count:]

    def finish(self) -> list[Record]:
        """Stops the thread, catches up with the current end offsets, and returns all records."""
        self._stopping.set()
        self._thread.join()
        if self._failure is not None:
            raise self._failure
        return self._reader.catch_up()

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._reader.poll()
        except Exception as error:  # noqa: BLE001 - raised in the thread that uses it
            self._failure = error
