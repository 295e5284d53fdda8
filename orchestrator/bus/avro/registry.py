"""Schema ids from a registry.

Services never register a schema: `orchestrator schemas apply` does, when a version is deployed.
"""

import json
from collections.abc import Iterable
from typing import Any, Final
from uuid import UUID

from confluent_kafka.schema_registry import Schema, SchemaRegistryClient
from confluent_kafka.schema_registry.error import OAuthTokenError, SchemaRegistryError

from orchestrator.bus.settings import BusSettings
from orchestrator.errors import ConfigurationError, ContractError, OrchestratorError, UnavailableError
from orchestrator.messages.catalogue import Entry
from orchestrator.messages.schemas import self_contained

_NOT_FOUND: Final = 404
_UNKNOWN_IDS_KEPT: Final = 1000


class RegistryIds:
    """Ids from a Confluent-compatible registry, which is queried once for each.

    Subjects follow TopicRecordNameStrategy: the topic's full name, a dash, the record's full name.
    """

    def __init__(self, settings: BusSettings) -> None:
        self._settings = settings
        self._client = registry_client(settings)
        self._ids: dict[str, int] = {}
        self._unknown: dict[int | UUID, None] = {}

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
        return number

    def schema(self, key: int | UUID) -> Any:
        if key in self._unknown:
            raise self._unknown_schema(key)
        try:
            found = (
                self._client.get_schema_by_guid(str(key))
                if isinstance(key, UUID)
                else self._client.get_schema(key)
            )
            return json.loads(found.schema_str or "null")
        except Exception as error:
            if not _is_unknown(key, error):
                raise registry_error(error, self._settings) from error
            # Ids are registered before anything is written with them, so an unknown id stays unknown: a flood of
            # such records must not become a flood of requests.
            if len(self._unknown) >= _UNKNOWN_IDS_KEPT:
                self._unknown.clear()
            self._unknown[key] = None
            raise self._unknown_schema(key) from error

    def close(self) -> None:
        """Closes connections to the registry."""
        self._client.close()

    def _unknown_schema(self, key: int | UUID) -> ContractError:
        return ContractError(f"the registry at {self._settings.schema_registry_url} has no schema {key}")


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


def registry_error(error: Exception, settings: BusSettings) -> OrchestratorError:
    """A registry client's exception in our hierarchy. Its text is the server's, without credentials."""
    where = f"the schema registry at {settings.schema_registry_url}"
    match error:
        case SchemaRegistryError(http_status_code=401 | 403):
            return ConfigurationError(f"{where} rejects our credentials (HTTP {error.http_status_code})")
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
