"""Ids of the catalogue, for a cluster without a registry."""

from uuid import uuid4

import pytest

from orchestrator.bus.avro.schema_ids import CatalogueIds
from orchestrator.errors import ContractError
from orchestrator.messages import events
from orchestrator.messages.catalogue import CATALOGUE, entry_of
from orchestrator.messages.schemas import self_contained

ENTRY = entry_of(events.PlanCreated)


def test_ids_of_the_catalogue_need_no_server() -> None:
    ids = CatalogueIds()
    ids.require(CATALOGUE)
    assert len({ids.id_of(entry) for entry in CATALOGUE}) == len(CATALOGUE)
    assert ids.schema(ids.id_of(ENTRY), ENTRY.topic) == self_contained(ENTRY.name)
    for unknown in (0, len(CATALOGUE) + 1, uuid4()):
        with pytest.raises(ContractError, match="not found: ids are 1 to"):
            ids.schema(unknown, ENTRY.topic)
