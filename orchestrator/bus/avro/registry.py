"""Schema ids from a registry.

Services never register a schema: `orchestrator schemas apply` does, when a version is deployed.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any, Final
from uuid import UUID

from confluent_kafka.schema_registry import RegisteredSchema, Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import OAuthTokenError, SchemaRegistryError

from orchestrator.bus.avro import writer_schemas
from orchestrator.bus.avro.lookup import Key, Listed, SchemaLookup
from orchestrator.bus.settings import BusSettings
from orchestrator.errors import ConfigurationError, ContractError, OrchestratorError, UnavailableError
from orchestrator.messages.catalogue import CATALOGUE, Entry, Topic
from orchestrator.messages.schemas import self_contained

READING: Final = "reading schemas"
_LOGIN: Final = "basic.auth.user.info"
_CLIENT: Final = "bearer.auth.client.id"
_NOT_FOUND: Final = 404
_MOST_VERSIONS: Final = 500
"""Versions of a subject that are read, from the newest on."""
_THIRD_PARTIES_WRITE: Final = frozenset({Topic.TASKS, Topic.CONTROL})


class RegistryIds:
    """Ids from a Confluent-compatible registry. Those of our own schemas are requested once, those of other versions
    by lists of the topic's subjects.

    Subjects follow TopicRecordNameStrategy: the topic's full name, a dash, the record's full name.
    """

    def __init__(self, settings: BusSettings) -> None:
        self._settings = settings
        self._client = registry_client(settings)
        self._ids: dict[str, int] = {}
        self._lookup = SchemaLookup(self._listed)
        self._versions: dict[tuple[str, int], Listed] = {}
        """What was listed before: a version does not change."""

    def require(self, entries: Iterable[Entry]) -> None:
        missing: list[str] = []
        for entry in entries:
            try:
                self.id_of(entry)
            except ConfigurationError as error:
                missing += error.problems
        if missing:
            raise ConfigurationError(*missing)

    def id_of(self, entry: Entry) -> int:
        if entry.name in self._ids:
            return self._ids[entry.name]
        subject = subject_of(entry, self._settings.topic_prefix)
        try:
            found = self._client.lookup_schema(subject, schema_of(entry))
        except Exception as error:
            if is_missing(error):
                raise ConfigurationError(
                    f"the registry at {self._settings.schema_registry_url} does not have this version's schema "
                    f"in {subject}: run `orchestrator schemas apply`"
                ) from error
            raise registry_error(error, self._settings) from error
        self._ids[entry.name] = number = int(found.schema_id or 0)
        self._lookup.add(entry.topic, Listed(_keys(found), self_contained(entry.name)))
        return number

    def schema(self, key: Key, topic: Topic) -> Any:
        return self._lookup.schema(key, topic)

    def any_schema(self, key: Key) -> Any:
        try:
            found = (
                self._client.get_schema_by_guid(str(key))
                if isinstance(key, UUID)
                else self._client.get_schema(key)
            )
            return writer_schemas.parsed(found.schema_str, found.schema_type)
        except OrchestratorError:
            raise
        except Exception as error:
            if _is_unknown(key, error):
                raise ContractError(
                    f"the registry at {self._settings.schema_registry_url} has no schema {key}"
                ) from error
            raise registry_error(error, self._settings) from error

    def list_soon(self, topics: Iterable[Topic]) -> None:
        self._lookup.list_soon(topics)

    def wait(self, timeout_s: float) -> None:
        self._lookup.wait(timeout_s)

    def close(self) -> None:
        """Closes connections to the registry, once a request in flight has ended."""
        self._lookup.close()
        self._client.close()

    def _listed(self, topic: Topic) -> Iterator[Listed]:
        """Every version of the topic's subjects. One that cannot be read does not hide the others, but a registry that
        does not respond at all is not asked for each of them."""
        problem: OrchestratorError | None = None
        for subject in subjects_of(topic, self._settings):
            try:
                yield from self._versions_of(subject)
            except Exception as error:  # noqa: BLE001 - raised below
                problem = registry_error(error, self._settings)
                if not isinstance(error, SchemaRegistryError):
                    break
        if problem is not None:
            raise problem

    def _versions_of(self, subject: str) -> Iterator[Listed]:
        problem: Exception | None = None
        # With the deleted ones: what was written with them may still be in the topic.
        for version in self._numbers_of(subject)[-_MOST_VERSIONS:]:
            place = subject, version
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

    def _numbers_of(self, subject: str) -> list[int]:
        try:
            return sorted(int(version) for version in self._client.get_versions(subject, deleted=True))
        except SchemaRegistryError as error:
            if is_missing(error):
                return []
            raise


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


def subjects_of(topic: Topic, settings: BusSettings) -> tuple[str, ...]:
    """The subjects whose schemas records of a topic may be written with."""
    own = tuple(subject_of(entry, settings.topic_prefix) for entry in CATALOGUE if entry.topic is topic)
    return own + (settings.schema_subjects if topic in _THIRD_PARTIES_WRITE else ())


def subject_of(entry: Entry, topic_prefix: str) -> str:
    """The registry's subject of a message (TopicRecordNameStrategy)."""
    return f"{topic_prefix}{entry.topic}-{entry.name}"


def schema_of(entry: Entry) -> Schema:
    """The schema as it is registered: self-contained, with its docs and logical types."""
    return Schema(json.dumps(self_contained(entry.name)), "AVRO")


def registry_client(settings: BusSettings) -> SchemaRegistryClient:
    """A client of the registry. Raises `ConfigurationError` for settings that it rejects."""
    try:
        return SchemaRegistryClient(settings.registry_config())
    except (ValueError, TypeError, OSError) as error:
        raise ConfigurationError(f"the schema registry's client rejects its settings: {error}") from error


def registry_error(error: Exception, settings: BusSettings, doing: str = READING) -> OrchestratorError:
    """A registry client's exception in our hierarchy. Its text is the server's, without credentials. `doing` is what
    the request was for, which takes a right of its own."""
    where = f"the schema registry at {settings.schema_registry_url}"
    match error:
        case SchemaRegistryError(http_status_code=401):
            return ConfigurationError(f"{where} {_unknown(settings)} (HTTP 401)")
        case SchemaRegistryError(http_status_code=403):
            return ConfigurationError(
                f"{where} does not allow {doing} to {_user(settings)} (HTTP 403): give that user the right, or "
                "connect as one that has it; services only read"
            )
        case SchemaRegistryError(http_status_code=int(status)) if status >= 500 or status == 429:
            return UnavailableError(f"{where} is unavailable (HTTP {status})")
        case SchemaRegistryError(http_status_code=404) if not is_missing(error):
            return ConfigurationError(f"{where} does not respond like a schema registry: is the URL right?")
        case SchemaRegistryError():
            return ConfigurationError(
                f"{where} responded: {error.error_message} (HTTP {error.http_status_code})"
            )
        case OAuthTokenError():
            return ConfigurationError(
                f"{where} needs a token, and none was issued (HTTP {error.status_code})"
            )
        case ValueError() | TypeError() | KeyError() | AttributeError():
            return ConfigurationError(f"{where} does not respond like a schema registry: is the URL right?")
        case _:
            return UnavailableError(f"{where} does not respond ({type(error).__name__}): is it running?")


def _unknown(settings: BusSettings) -> str:
    """What is wrong with who we say we are."""
    if not any(name in settings.schema_registry for name in (_LOGIN, _CLIENT, "bearer.auth.token")):
        return f"asks who we are: set {_LOGIN} of schema_registry to user:password"
    return f"rejects the credentials of {_user(settings)}"


def _user(settings: BusSettings) -> str:
    """Who we are to the registry, without the password."""
    for name in (_LOGIN, _CLIENT):
        if name in settings.schema_registry:
            return f"user {settings.schema_registry[name].get_secret_value().partition(':')[0]}"
    return "our user"


def is_missing(error: Exception) -> bool:
    """Whether a registry reports that a subject or schema does not exist. Any other server at that address, which
    lacks such a page, gives no error code of a registry."""
    return (
        isinstance(error, SchemaRegistryError)
        and error.http_status_code == _NOT_FOUND
        and str(error.error_code).startswith(str(_NOT_FOUND))
    )


def _is_unknown(key: int | UUID, error: Exception) -> bool:
    """Registries without GUIDs lack the page, too."""
    return is_missing(error) or (
        isinstance(key, UUID)
        and isinstance(error, SchemaRegistryError)
        and error.http_status_code == _NOT_FOUND
    )
