"""The subjects of topics in a registry: which of their versions are read, and in which order.

Subjects follow TopicRecordNameStrategy: the topic's full name, a dash, the record's full name.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final, TypeAlias
from uuid import UUID

from confluent_kafka.schema_registry import RegisteredSchema, Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import SchemaRegistryError

from orchestrator.bus.avro import writer_schemas
from orchestrator.bus.avro.lookup import Key, Listed, Unread
from orchestrator.bus.avro.registry_errors import is_missing, registry_error
from orchestrator.bus.settings import BusSettings
from orchestrator.errors import ContractError, OrchestratorError
from orchestrator.messages.catalogue import CATALOGUE, Entry, Topic
from orchestrator.messages.schemas import self_contained

_THIRD_PARTIES_WRITE: Final = frozenset({Topic.TASKS, Topic.CONTROL})
_FIRST: Final = 50
_AROUND_OURS: Final = 25
"""Versions before ours, and after it: those of the releases that run beside ours when one follows the other."""
_LAST: Final = 100
MOST_VERSIONS: Final = _FIRST + 2 * _AROUND_OURS + _LAST
"""Versions of a subject that are read. Whoever may register could add them without end."""

_Place: TypeAlias = tuple[str, int]
"""A subject and the number of a version."""


class Subjects:
    """Reads what a registry has in the subjects of topics. A version does not change, so each is read once."""

    def __init__(self, client: SchemaRegistryClient, settings: BusSettings) -> None:
        self._client = client
        self._settings = settings
        self._own: dict[str, RegisteredSchema] = {}
        """Our own schemas, by the names of their entries."""
        self._versions: dict[_Place, Listed] = {}

    def own(self, entry: Entry) -> Listed:
        """Our own schema of an entry, found by its text. Raises what the registry's client raises."""
        found = self._own.get(entry.name)
        if found is None:
            subject = subject_of(entry, self._settings.topic_prefix)
            found = self._own[entry.name] = self._client.lookup_schema(subject, schema_of(entry))
        return Listed(_keys(found), self_contained(entry.name))

    def listed(self, topic: Topic) -> Iterator[Listed | Unread]:
        """Every version of the topic's subjects, as far as it is read, and ours first: it is found whatever else a
        subject holds. One that cannot be read does not hide the others, but a registry that does not respond at all is
        not asked for each of them.

        Everything but what was read from a subject that responds is yielded once only. Raises the last problem, at
        the end.
        """
        problem: OrchestratorError | None = None
        for read in (self._ours, self._others):
            for subject, entry in _subjects(topic, self._settings):
                try:
                    yield from read(subject, entry)
                except Exception as error:
                    problem = registry_error(error, self._settings)
                    if not isinstance(error, SchemaRegistryError):
                        raise problem from error
        if problem is not None:
            raise problem

    def _ours(self, _subject: str, entry: Entry | None) -> Iterator[Listed]:
        if entry is None or entry.name in self._own:
            return
        try:
            yield self.own(entry)
        except SchemaRegistryError as error:
            if not is_missing(error):
                raise

    def _others(self, subject: str, entry: Entry | None) -> Iterator[Listed | Unread]:
        ours = self._own.get(entry.name) if entry else None
        own = int(ours.version or 0) if ours else 0
        numbers, newest = self._numbers_of(subject)
        read = chosen(numbers, own, newest)
        count = max(len(numbers), newest)
        if len(read) < count and len(numbers) > MOST_VERSIONS:
            yield Unread(f"{subject} has {count} versions, of which {len(read)} are read")
        problem: Exception | None = None
        for version in read:
            place = subject, version
            if version == own:
                continue
            if place not in self._versions:
                try:
                    found = self._client.get_version(subject, version, deleted=True)
                except SchemaRegistryError as error:
                    problem = problem if is_missing(error) else error
                    continue
                self._versions[place] = Listed(_keys(found), _content_of(found))
            yield self._versions[place]
        if problem is not None:
            raise problem

    def _numbers_of(self, subject: str) -> tuple[list[int], int]:
        """The numbers of a subject's versions, in order, and that of the newest: some registries list the first 500
        only. With the deleted ones: what was written with them may still be in the topic."""
        try:
            numbers = sorted(int(each) for each in self._client.get_versions(subject, deleted=True))
            if len(numbers) <= MOST_VERSIONS:
                return numbers, numbers[-1] if numbers else 0
            newest = self._client.get_version(subject, "latest", deleted=True)
            return numbers, max(numbers[-1], int(newest.version or 0))
        except SchemaRegistryError as error:
            if is_missing(error):
                return [], 0
            raise


def chosen(numbers: Sequence[int], own: int, newest: int) -> list[int]:
    """Which of a subject's versions are read, the likeliest first: all, or of more than `MOST_VERSIONS` those around
    ours, the last and the first. `numbers` is in order, and may end before the newest; `own` is 0 without a version of
    ours."""
    if len(numbers) <= MOST_VERSIONS:
        return list(numbers)
    end = numbers[-1]
    listed = set(numbers)
    around = range(own - _AROUND_OURS, own + _AROUND_OURS + 1) if own else ()
    last = [*numbers[-_LAST:], *range(max(end, newest - _LAST) + 1, newest + 1)][-_LAST:]
    near = (number for number in around if number in listed or end < number <= newest)
    return list(dict.fromkeys((*near, *reversed(last), *numbers[:_FIRST])))


def _subjects(topic: Topic, settings: BusSettings) -> Iterator[tuple[str, Entry | None]]:
    """The subjects whose schemas records of a topic may be written with; ours with their entries."""
    for entry in CATALOGUE:
        if entry.topic is topic:
            yield subject_of(entry, settings.topic_prefix), entry
    if topic in _THIRD_PARTIES_WRITE:
        for subject in settings.schema_subjects:
            yield subject, None


def subject_of(entry: Entry, topic_prefix: str) -> str:
    """The registry's subject of a message (TopicRecordNameStrategy)."""
    return f"{topic_prefix}{entry.topic}-{entry.name}"


def schema_of(entry: Entry) -> Schema:
    """The schema as it is registered: self-contained, with its docs and logical types."""
    return Schema(json.dumps(self_contained(entry.name)), "AVRO")


def _keys(found: RegisteredSchema) -> tuple[Key, ...]:
    """Id and GUID; registries other than Confluent's have no GUIDs."""
    guid = (UUID(found.guid),) if found.guid else ()
    return (int(found.schema_id or 0), *guid)


def _content_of(found: RegisteredSchema) -> Any:
    """The schema as parsed JSON, or why it cannot be used."""
    try:
        if found.schema.references:
            raise ContractError(f"version {found.version} of {found.subject} refers to other subjects")
        return writer_schemas.parsed(found.schema.schema_str, found.schema.schema_type)
    except ContractError as error:
        return error
