"""What lies in an installation's topics, read by a plain client and decoded by the registry's schemas.

Nothing here, nor in the checker, imports the engine: what judges it must not share its mistakes.
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
"""Topics that are kept as written. Compacted and short-lived ones prove nothing."""

CATCH_UP_S: Final = 120.0
"""A transaction of a killed producer hides what is behind it until its time-out, at most a minute."""
_ANSWER_S: Final = 30.0
_PASSING: Final = frozenset({KafkaError._ALL_BROKERS_DOWN, KafkaError._TRANSPORT, KafkaError._RESOLVE})

Place = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Record:
    """One record: `name` is the message's, without its namespace, `body` as fastavro reads it."""

    topic: str
    partition: int
    offset: int
    name: str
    body: Mapping[str, Any]
    key: str = ""
    digest: str = ""
    """SHA-256 of key and value as they lay in the log."""

    @property
    def session(self) -> str:
        return str(self.body.get("correlation_id") or self.key)

    @property
    def message_id(self) -> str:
        return str(self.body.get("event_id") or self.body.get("command_id") or "")

    @property
    def causation_id(self) -> str:
        return str(self.body["causation_id"])

    def __str__(self) -> str:
        return f"{self.name} at {self.topic}/{self.partition}/{self.offset}"


@dataclass
class Reader:
    """Reads all of `TOPICS` from their beginning, as `read_committed` sees them. For one thread at a time."""

    bootstrap_servers: str
    registry_url: str
    prefix: str
    records: list[Record] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._schemas: dict[int, Any] = {}
        self._reached: dict[Place, int] = {}
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
        places = self._places()
        self._client.assign([TopicPartition(self.prefix + topic, number, 0) for topic, number in places])

    def poll(self) -> None:
        """Takes in what is there, waiting a little for the first record."""
        first = self._client.poll(0.1)
        for message in ([first] if first else []) + self._client.consume(1_000, 0):
            self._take(message)

    def _take(self, message: Any) -> None:
        # Any: the stubs have optional places of records, which only errors lack.
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
        """Reads up to the ends that everybody's writes, committed or not, have now."""
        ends = self._ends()
        deadline = time.monotonic() + CATCH_UP_S
        while left := {place: end for place, end in ends.items() if self._reached.get(place, 0) < end}:
            assert time.monotonic() < deadline, f"not readable within {CATCH_UP_S:.0f} s: {left}"
            self.poll()
        return self.records

    def close(self) -> None:
        self._client.close()

    def _places(self) -> list[Place]:
        found = self._admin.list_topics(timeout=_ANSWER_S).topics
        return [(topic, number) for topic in TOPICS for number in found[self.prefix + topic].partitions]

    def _ends(self) -> dict[Place, int]:
        asked = {
            TopicPartition(self.prefix + topic, number): OffsetSpec.latest()  # type: ignore[no-untyped-call]
            for topic, number in self._places()
        }
        level = IsolationLevel.READ_UNCOMMITTED
        answers = self._admin.list_offsets(asked, isolation_level=level, request_timeout=_ANSWER_S)
        return {
            (place.topic.removeprefix(self.prefix), place.partition): answer.result(_ANSWER_S).offset
            for place, answer in answers.items()
        }

    def _record(self, topic: str, message: Any) -> Record:
        key, value = message.key() or b"", message.value() or b""
        body: Any = fastavro.schemaless_reader(io.BytesIO(value[5:]), self._schema(value), None)
        name = str(self._schema(value)["name"]).rpartition(".")[2]
        digest = sha256(key + b"\0" + value).hexdigest()
        return Record(
            topic, message.partition(), message.offset(), name, body, key.decode("utf-8", "replace"), digest
        )

    def _schema(self, value: bytes) -> Any:
        number = int.from_bytes(value[1:5], "big")
        if number not in self._schemas:
            with urlopen(f"{self.registry_url}/schemas/ids/{number}", timeout=_ANSWER_S) as answer:  # noqa: S310
                self._schemas[number] = fastavro.parse_schema(json.loads(json.load(answer)["schema"]))
        return self._schemas[number]


class LiveReader:
    """A reader that runs all the while, in a thread of its own."""

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
        """What it has seen after the first `count` records."""
        if self._failure is not None:
            raise self._failure
        return self._reader.records[count:]

    def finish(self) -> list[Record]:
        """Everything that it has seen when it has caught up with the ends of now."""
        self._stopping.set()
        self._thread.join()
        if self._failure is not None:
            raise self._failure
        return self._reader.catch_up()

    def _run(self) -> None:
        try:
            while not self._stopping.is_set():
                self._reader.poll()
        except Exception as error:  # noqa: BLE001 - told to whoever waits for it
            self._failure = error
