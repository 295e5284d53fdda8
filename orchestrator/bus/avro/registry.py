"""Schema ids from a registry.

Services never register a schema: `orchestrator schemas apply` does, when a version is deployed.
"""

from collections.abc import Iterable
from typing import Any, Final
from uuid import UUID

from confluent_kafka.schema_registry import SchemaRegistryClient

from orchestrator.bus.avro import writer_schemas
from orchestrator.bus.avro.lookup import Key, SchemaLookup
from orchestrator.bus.avro.registry_errors import is_missing, is_unknown, registry_error
from orchestrator.bus.avro.subjects import Subjects, subject_of
from orchestrator.bus.settings import BusSettings
from orchestrator.errors import ConfigurationError, ContractError, OrchestratorError
from orchestrator.messages.catalogue import CATALOGUE, Entry, Topic

_FIRST_LISTS_S: Final = 10.0
"""How long a start waits for what others have registered. Whoever registers without end delays it by that."""


class RegistryIds:
    """Ids from a Confluent-compatible registry. Those of our own schemas are requested once, by their text; those of
    other versions by lists of the topic's subjects.
    """

    def __init__(self, settings: BusSettings) -> None:
        self._settings = settings
        self._client = registry_client(settings)
        self._subjects = Subjects(self._client, settings)
        self._lookup = SchemaLookup(self._subjects.listed)

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
        number = self._own_id(entry)
        if number is None:
            raise ConfigurationError(
                f"the registry at {self._settings.schema_registry_url} does not have this version's schema "
                f"in {subject_of(entry, self._settings.topic_prefix)}: run `orchestrator schemas apply`"
            )
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
            if is_missing(error) or (isinstance(key, UUID) and is_unknown(error)):
                raise ContractError(
                    f"the registry at {self._settings.schema_registry_url} has no schema {key}"
                ) from error
            raise registry_error(error, self._settings) from error

    def look_up(self, topics: Iterable[Topic]) -> None:
        wanted = frozenset(topics)
        for entry in CATALOGUE:
            if entry.topic in wanted:
                self._own_id(entry)
        self._lookup.list_soon(wanted)
        self._lookup.wait_listed(wanted, _FIRST_LISTS_S)

    def wait(self, timeout_s: float) -> None:
        self._lookup.wait(timeout_s)

    def close(self) -> None:
        """Closes connections to the registry, once a request in flight has ended."""
        self._lookup.close()
        self._client.close()

    def _own_id(self, entry: Entry) -> int | None:
        """The id of our schema of an entry; None if the registry does not have it."""
        try:
            found = self._subjects.own(entry)
        except Exception as error:
            if is_missing(error):
                return None
            raise registry_error(error, self._settings) from error
        self._lookup.add(entry.topic, found)
        return next(key for key in found.keys if isinstance(key, int))


def registry_client(settings: BusSettings) -> SchemaRegistryClient:
    """A client of the registry. Raises `ConfigurationError` for settings that it rejects."""
    try:
        return SchemaRegistryClient(settings.registry_config())
    except (ValueError, TypeError, OSError) as error:
        raise ConfigurationError(f"the schema registry's client rejects its settings: {error}") from error
