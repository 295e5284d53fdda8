"""Settings and servers of all tests."""

import logging
import signal
from collections.abc import Generator, Iterator
from typing import Any

import pytest
from hypothesis import settings
from xdist.scheduler import LoadFileScheduling  # type: ignore[import-untyped]

from orchestrator.local import StackAddress
from tests.support.kafka_stack import provide_stack

_CHAOS = "tests/chaos/"
# The same examples in every run, and no timeout for an example: a busy machine must not fail a test.
settings.register_profile("same-everywhere", deadline=None, derandomize=True)
settings.load_profile("same-everywhere")

# A run in the background of a shell ignores Ctrl-C, and so would all processes that tests interrupt.
signal.signal(signal.SIGINT, signal.default_int_handler)


class _Files(LoadFileScheduling):  # type: ignore[misc]  # xdist has no types
    """Each process takes whole files, because their fixtures are shared. The chaos trials, which keep all cores busy,
    run one after the other."""

    def _split_scope(self, nodeid: str) -> str:
        return _CHAOS if nodeid.startswith(_CHAOS) else super()._split_scope(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadFileScheduling:
    """How processes share the tests, whatever `--dist` says."""
    return _Files(config, log)


@pytest.fixture(autouse=True)
def root_logger() -> Iterator[None]:
    """What a test does to the root logger ends with it: the stream that its logs went to is closed by then."""
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="session")
def kafka_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StackAddress]:
    """One Kafka node and one registry for the whole run: use topics and subjects of your own."""
    with provide_stack(tmp_path_factory.mktemp("stack")) as address:
        yield address


@pytest.hookimpl(wrapper=True)
def pytest_report_to_serializable() -> Generator[None, Any, Any]:
    """Logs of tests may hold halves of characters, which cannot be sent to the process that reports."""
    return _encodable((yield))


def _encodable(content: Any) -> Any:
    match content:
        case str():
            return content.encode("utf-8", "backslashreplace").decode()
        case dict():
            return {name: _encodable(value) for name, value in content.items()}
        case list() | tuple():
            return type(content)(map(_encodable, content))
        case _:
            return content


def pytest_sessionfinish(session: pytest.Session) -> None:
    """No test may be skipped: one that did not run must not look like one that passed."""
    reporter = session.config.pluginmanager.getplugin("terminalreporter")
    if reporter is not None and reporter.stats.get("skipped"):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
