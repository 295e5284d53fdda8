"""Schema ids: which number stands for which schema on the wire."""

from collections.abc import Iterable
from typing import Any, Final, Protocol
from uuid import UUID

from orchestrator.errors import ContractError
from orchestrator.messages.catalogue import CATALOGUE, Entry, Topic
from orchestrator.messages.schemas import self_contained


class SchemaIds(Protocol):
    """Ids of schemas. Any thread may call."""

    def require(self, entries: Iterable[Entry]) -> None:
        """Raises `ConfigurationError` that names every entry whose schema has no id."""

    def id_of(self, entry: Entry) -> int:
        """The id of our schema of an entry."""

    def schema(self, key: int | UUID, topic: Topic) -> Any:
        """The schema of an id, or of a GUID, that records of a topic may be written with, as parsed JSON. Does not
        wait.

        Raises `ContractError` for any other one, `SchemaPending` while it is looked up, and `SchemaUnresolved` if
        the registry has not responded for too long.
        """

    def any_schema(self, key: int | UUID) -> Any:
        """The schema of an id, or of a GUID, whoever registered it, as parsed JSON: to show what `schema` refuses.
        Raises `ContractError` and `UnavailableError`."""

    def look_up(self, topics: Iterable[Topic]) -> None:
        """Looks up the schemas that records of these topics may be written with, before a record needs them. Returns
        when our own are known, and the others too unless they take long, which are looked up in the background then.

        Raises `UnavailableError` and `ConfigurationError` if our own cannot be looked up, but not if they do not
        exist.
        """

    def wait(self, timeout_s: float) -> None:
        """Returns when more is known about pending schemas, and at the latest after `timeout_s`."""


class CatalogueIds:
    """Ids by place in the catalogue, from 1: for a cluster that stores nothing and needs no registry."""

    _IDS: Final = {entry.name: number for number, entry in enumerate(CATALOGUE, 1)}

    def require(self, entries: Iterable[Entry]) -> None:
        """Every entry has an id."""

    def id_of(self, entry: Entry) -> int:
        return self._IDS[entry.name]

    def schema(self, key: int | UUID, topic: Topic) -> Any:  # noqa: ARG002 - those of all topics are known
        return self.any_schema(key)

    def any_schema(self, key: int | UUID) -> Any:
        if isinstance(key, UUID) or not 0 < key <= len(CATALOGUE):
            raise ContractError(f"schema {key} not found: ids are 1 to {len(CATALOGUE)}")
        return self_contained(CATALOGUE[key - 1].name)

    def look_up(self, topics: Iterable[Topic]) -> None:
        """All are known."""

    def wait(self, timeout_s: float) -> None:
        """Nothing is ever pending."""
