"""Calls that are made in a thread of their own, and left behind where they do not return."""

import threading

import pytest

from orchestrator.bus.kafka.aside import Aside, Stuck


def test_calls_are_made_one_after_the_other_in_one_thread_of_their_own() -> None:
    threads: list[threading.Thread] = []
    aside = Aside()
    for _ in range(3):
        aside.call(lambda: threads.append(threading.current_thread()), 20)
    aside.close()

    [thread] = set(threads)
    assert thread is not threading.current_thread()
    thread.join(20)
    assert not thread.is_alive()


def test_what_a_call_raises_is_raised_to_its_caller() -> None:
    def broken() -> None:
        raise KeyError("why")

    aside = Aside()
    with pytest.raises(KeyError, match="why"):
        aside.call(broken, 20)
    aside.close()


def test_a_call_that_does_not_return_is_left_behind_and_its_thread_ends_with_it() -> None:
    begun: list[threading.Thread] = []
    release = threading.Event()

    def endless() -> None:
        begun.append(threading.current_thread())
        release.wait(20)

    aside = Aside()
    with pytest.raises(Stuck):
        aside.call(endless, 0.2)
    aside.close()
    release.set()
    for thread in begun:
        thread.join(20)
        assert not thread.is_alive()
