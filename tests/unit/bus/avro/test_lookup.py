"""How long an id may be looked up, and what is known meanwhile."""

import itertools
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, contextmanager, suppress

import pytest

from orchestrator.bus.avro.lookup import ABSENT_S, SET_ASIDE_S, Listed, SchemaLookup
from orchestrator.bus.errors import SchemaPending, SchemaUnresolved
from orchestrator.errors import ContractError, UnavailableError
from orchestrator.messages.catalogue import Topic
from tests.support.workers import until

OURS = {"name": "ours"}


class Registry:
    """A registry that tests switch off, and a clock that they move."""

    def __init__(self) -> None:
        self.now = 0.0
        self.is_down = False
        self.listed = [Listed((1,), OURS)]
        self.lists = 0

    def read(self, _topic: Topic) -> Iterable[Listed]:
        self.lists += 1
        if self.is_down:
            raise UnavailableError("it does not respond")
        return self.listed


@contextmanager
def looking_up(registry: Registry) -> Iterator[Callable[[int], object]]:
    """Asks for an id: its schema, or the class of the error."""
    with closing(SchemaLookup(registry.read, lambda: registry.now)) as lookup:

        def ask(key: int) -> object:
            try:
                return lookup.schema(key, Topic.TASKS)
            except (ContractError, UnavailableError) as error:
                return type(error)

        yield ask


def settles(ask: Callable[[int], object], registry: Registry, key: int, expected: object) -> None:
    def is_settled() -> bool:
        # Lists have a gap between them, which a clock that stands still never reaches.
        registry.now += 0.01
        return ask(key) == expected

    until(is_settled, f"{key} is {expected}")


def test_an_id_is_pending_until_the_first_list() -> None:
    registry = Registry()
    with looking_up(registry) as ask:
        assert ask(1) is SchemaPending
        settles(ask, registry, 1, OURS)
        settles(ask, registry, 2, ContractError)


def test_a_foreign_id_is_asked_for_again_after_a_while() -> None:
    registry = Registry()
    with looking_up(registry) as ask:
        settles(ask, registry, 2, ContractError)
        lists = registry.lists
        assert [ask(2) for _ in range(100)] == [ContractError] * 100
        assert registry.lists == lists

        registry.listed.append(Listed((2,), OURS))
        registry.now += ABSENT_S
        assert ask(2) is SchemaPending
        settles(ask, registry, 2, OURS)


def test_an_outage_that_ends_sets_nothing_aside() -> None:
    registry = Registry()
    registry.is_down = True
    with looking_up(registry) as ask:
        assert ask(1) is SchemaPending
        until(lambda: registry.lists >= 1, "a list failed")
        registry.now += SET_ASIDE_S - 5
        assert ask(1) is SchemaPending

        registry.is_down = False
        settles(ask, registry, 1, OURS)


def test_after_a_long_outage_unknown_ids_are_set_aside_at_once_and_known_ones_go_on() -> None:
    registry = Registry()
    with looking_up(registry) as ask:
        settles(ask, registry, 1, OURS)
        registry.is_down = True
        ask(2)

        def is_given_up() -> bool:
            registry.now += 0.5
            return ask(2) is SchemaUnresolved

        until(is_given_up, "the id is set aside")
        assert registry.now >= SET_ASIDE_S
        # What comes behind it is tried once more, and does not wait as long again.
        began = registry.now

        def are_given_up() -> bool:
            registry.now += 0.1
            return {ask(key) for key in range(3, 103)} == {SchemaUnresolved}

        until(are_given_up, "the others are set aside")
        assert registry.now - began < SET_ASIDE_S / 2
        assert ask(1) == OURS

        registry.is_down = False
        settles(ask, registry, 2, ContractError)


def test_what_a_slow_list_has_found_counts_at_once_and_nothing_is_set_aside_meanwhile() -> None:
    registry = Registry()
    goes_on = threading.Semaphore(0)

    def read(_topic: Topic) -> Iterable[Listed]:
        for key in range(10):
            goes_on.acquire(timeout=30)
            registry.now += 20.0
            yield Listed((key,), OURS)

    registry.read = read  # type: ignore[method-assign]
    with looking_up(registry) as ask:
        assert ask(9) is SchemaPending
        for key in range(9):
            goes_on.release()
            until(lambda: ask(key) == OURS, "it counts at once")  # noqa: B023
            assert ask(9) is SchemaPending
        # After 180 s, far longer than a record waits for a registry that does not respond:
        goes_on.release()
        until(lambda: ask(9) == OURS, "the last one counts")


def test_after_a_slow_list_the_next_one_comes_soon() -> None:
    registry = Registry()
    listed = registry.read

    def read(topic: Topic) -> Iterable[Listed]:
        registry.now += 25.0
        return listed(topic)

    registry.read = read  # type: ignore[method-assign,assignment]
    with looking_up(registry) as ask:
        settles(ask, registry, 1, OURS)
        registry.listed.append(Listed((2,), OURS))
        began = registry.now

        # When an id comes up right after the list, then the next list answers it.
        settles(ask, registry, 2, OURS)
        assert registry.now - began < SET_ASIDE_S + 5


def test_topics_with_slow_lists_do_not_leave_out_others() -> None:
    registry = Registry()

    def read(_topic: Topic) -> Iterable[Listed]:
        registry.now += 25.0
        return [Listed((1,), OURS)]

    with closing(SchemaLookup(read, lambda: registry.now)) as lookup:
        stranger = itertools.count(100)

        def is_known() -> bool:
            # In two topics strangers' ids come without end.
            for busy in (Topic.TASKS, Topic.CONTROL):
                with suppress(ContractError, UnavailableError):
                    lookup.schema(next(stranger), busy)
            try:
                return bool(lookup.schema(1, Topic.EVENTS))
            except SchemaPending:
                return False

        until(is_known, "the third topic is listed")


def test_a_registry_that_hangs_is_given_up_on() -> None:
    registry = Registry()
    entered = []

    def read(_topic: Topic) -> Iterable[Listed]:
        entered.append(True)
        until(lambda: registry.now > 100, "the test is over")
        raise UnavailableError("it hangs")

    with closing(SchemaLookup(read, lambda: registry.now)) as lookup:
        with pytest.raises(SchemaPending):
            lookup.schema(2, Topic.TASKS)
        until(lambda: bool(entered), "it is asked")
        registry.now = 61
        with pytest.raises(SchemaUnresolved, match="takes too long"):
            lookup.schema(2, Topic.TASKS)
        registry.now = 101
