"""Schema ids: which number stands for which schema on the wire."""

from collections.abc import Iterable
from typing import Any, Final, Protocol
from uuid import UUID

from orchestrator.errors import ContractError
from orchestrator.messages.catalogue import CATALOGUE, Entry
from orchestrator.messages.schemas import self_contained


class SchemaIds(Protocol):
    """Ids of schemas. Any thread may call."""

    def require(self, entries: Iterable[Entry]) -> None:
        """Raises `ConfigurationError` that names every entry whose schema has no id."""

    def id_of(self, entry: Entry) -> int:
        """The id of our schema of an entry."""

    def schema(self, key: int | UUID) -> Any:
        """The schema of an id, or of a GUID, as parsed JSON. Raises `ContractError` for an unknown one."""


class CatalogueIds:
    """Ids by place in the catalogue, from 1: for a cluster that stores nothing and needs no registry."""

    _IDS: Final = {entry.name: number for number, entry in enumerate(CATALOGUE, 1)}

    def require(self, entries: Iterable[Entry]) -> None:
        """Every entry has an id."""

    def id_of(self, entry: Entry) -> int:
        return self._IDS[entry.name]

    def schema(self, key: int | UUID) -> Any:
        if isinstance(key, UUID) or not 0 < key <= len(CATALOGUE):
            raise ContractError(f"schema {key} not found: ids are 1 to {len(CATALOGUE)}")
        return self_contained(CATALOGUE[key - 1].name)
