"""The tests of the recorder and its store on SQLite, run on a real PostgreSQL."""

from collections.abc import Iterator
from itertools import count

import psycopg
import pytest

from orchestrator.sessions.store import SessionStore
from tests.support.postgres_server import postgres_server
from tests.unit.sessions.test_recorder import (  # noqa: F401 - tests
    test_a_batch_that_fails_leaves_neither_events_nor_positions,
    test_a_batch_that_is_written_twice_is_stored_once,
    test_a_message_that_is_in_its_topic_twice_is_stored_once,
    test_a_recorder_that_lost_its_partition_changes_nothing,
    test_a_restart_anywhere_repeats_nothing,
    test_an_escalated_session_has_not_ended,
    test_any_event_survives_the_way_through_the_store,
    test_everything_that_was_delivered_comes_back_as_it_was,
    test_it_is_declared_as_any_sink_is,
    test_odd_names_block_nothing,
    test_positions_move_on_over_what_is_not_recorded,
    test_sessions_are_found_by_phase_agent_tenant_and_time,
    test_the_list_shows_a_completed_session,
)
from tests.unit.sessions.test_store import (  # noqa: F401 - tests
    test_a_newer_store_is_refused,
    test_a_reader_sees_one_state_while_a_writer_writes,
    test_a_second_program_finds_the_tables,
    test_a_transaction_that_fails_leaves_nothing,
    test_an_older_store_gets_what_it_lacks,
    test_programs_that_start_together_create_the_tables_once,
)

NUMBERS = count()


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with postgres_server() as url:
        yield url


@pytest.fixture
def url(server: str) -> str:
    """A database of its own for each test."""
    name = f"sessions_{next(NUMBERS)}"
    plain = server.replace("+psycopg", "")
    with psycopg.connect(f"{plain}/postgres", autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}".encode())
    return f"{server}/{name}"


@pytest.fixture
def store(url: str) -> Iterator[SessionStore]:
    store = SessionStore(url)
    yield store
    store.close()
