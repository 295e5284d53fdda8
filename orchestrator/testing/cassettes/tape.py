"""Recording and replaying by vcrpy, which intercepts the HTTP clients of this process. Imported only if one is used."""

import json
import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from vcr import VCR, mode
from vcr.cassette import Cassette
from vcr.request import Request

from orchestrator.testing.cassettes.differences import first_difference
from orchestrator.testing.cassettes.errors import RECORD, NotRecordedError
from orchestrator.testing.cassettes.scrubbing import Scrubber

_MATCH: Final = ("method", "scheme", "host", "port", "path", "query", "body")
"""Models are asked at one URL: only bodies tell their requests apart."""


class Tape(Cassette):  # type: ignore[misc] # vcrpy has no types
    """A cassette whose error says what differs, and shows nothing that is not in the file.

    `check` raises `NotRecordedError` for a response that must not be recorded; then nothing is written.
    """

    def __init__(self, *arguments: Any, check: Callable[[Request, Any], None], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.refused: list[NotRecordedError] = []
        self._check = check
        self._is_loading = False

    def append(self, request: Request, response: Any) -> None:
        """Records a response. Raises `NotRecordedError` for one that must not be."""
        try:
            if not self._is_loading and (asked := self.filter_request(request)):
                self._check(asked, response)
            super().append(request, response)
        except NotRecordedError as error:
            self.refused.append(error)
            raise

    def _load(self) -> None:
        self._is_loading = True
        super()._load()
        self._is_loading = False

    def _save(self, force: bool = False) -> None:
        if not self.refused:
            super()._save(force)

    def can_play_response_for(self, request: Request) -> bool:
        """Raises `NotRecordedError` where the network would be the only answer, and may not be asked."""
        if super().can_play_response_for(request):
            return True
        if self.write_protected and (asked := self.filter_request(request)):
            error = NotRecordedError(
                f"{self.path} has no response to {asked.method} {asked.uri}: {self._why(asked)}. If the request is "
                f"as it should be, record again: run the test with {RECORD}=1 and the server's credentials"
            )
            self.refused.append(error)
            raise error
        return False

    def _why(self, asked: Request) -> str:
        if not self.data:
            return "nothing is recorded there"
        at_this_url = [index for index, one in enumerate(self.requests) if _place(one) == _place(asked)]
        if not at_this_url:
            return "no request to this URL is recorded"
        unused = [index for index in at_this_url if not self.play_counts[index]]
        if not unused:
            return f"all {len(at_this_url)} recorded responses of this URL are used"
        next_one = unused[0]
        difference = first_difference(_content(self.requests[next_one]), _content(asked))
        return f"its body is not that of request {next_one + 1}, {difference}"


@contextmanager
def recorded(path: Path, ignore_hosts: frozenset[str]) -> Iterator[None]:
    """Requests go to their servers; what the file had is dropped once there is something new."""
    with _tape(path, ignore_hosts, record_mode=mode.ALL, drop_unused_requests=True):
        yield


@contextmanager
def replayed(path: Path, ignore_hosts: frozenset[str]) -> Iterator[None]:
    """Requests are answered from the file."""
    with _tape(path, ignore_hosts, record_mode=mode.NONE):
        yield


@contextmanager
def _tape(path: Path, ignore_hosts: frozenset[str], **options: Any) -> Iterator[None]:
    """What is refused is reported at the end too: senders may hide it."""
    with _quiet(), _used(path, ignore_hosts, **options) as tape:
        try:
            yield
        except Exception as error:
            for one in tape.refused:
                if one is not error:
                    error.add_note(str(one))
            raise
        if tape.refused:
            raise tape.refused[0]


def _used(path: Path, ignore_hosts: frozenset[str], **options: Any) -> Any:
    scrubber = Scrubber(os.environ)
    config = VCR(
        match_on=_MATCH,
        ignore_hosts=ignore_hosts,
        before_record_request=scrubber.request,
        before_record_response=scrubber.response,
        **options,
    ).get_merged_config(path=str(path))
    return Tape.use(**config, check=scrubber.check)


@contextmanager
def _quiet() -> Iterator[None]:
    """The library logs whole responses before anything is removed from them."""
    logger = logging.getLogger("vcr")
    before = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(before)


def _place(request: Request) -> tuple[str, str]:
    return request.method, request.uri


def _content(request: Request) -> Any:
    """The body as JSON data, or as text."""
    text = (request.body or b"").decode("utf-8", "replace")
    try:
        return json.loads(text)
    except ValueError:
        return text
