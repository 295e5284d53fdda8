"""Calls that are made in a thread of their own, and abandoned when they do not return."""

import threading

import pytest

from orchestrator.bus.kafka.call_thread import CallThread, CallTimeoutError


def test_calls_are_made_one_after_another_in_one_thread_of_their_own() -> None:
    threads: list[threading.Thread] = []
    calls = CallThread()
    for _ in range(3):
        calls.call(lambda: threads.append(threading.current_thread()), 20)
    calls.close()

    [thread] = set(threads)
    assert thread is not threading.current_thread()
    thread.join(20)
    assert not thread.is_alive()


def test_what_a_call_raises_is_raised_to_its_caller() -> None:
    def broken() -> None:
        raise KeyError("why")

    calls = CallThread()
    with pytest.raises(KeyError, match="why"):
        calls.call(broken, 20)
    calls.close()


def test_a_call_that_does_not_return_is_abandoned_and_its_thread_ends_with_it() -> None:
    begun: list[threading.Thread] = []
    release = threading.Event()

    def endless() -> None:
        begun.append(threading.current_thread())
        release.wait(20)

    calls = CallThread()
    with pytest.raises(CallTimeoutError):
        calls.call(endless, 0.2)
    calls.close()
    release.set()
    for thread in begun:
        thread.join(20)
        assert not thread.is_alive()
