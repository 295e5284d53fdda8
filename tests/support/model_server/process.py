"""The server as tests control it."""

import http.client
import json
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import urlencode

from orchestrator.local.ports import lease_free_port
from tests.support.model_server.faults import Fault, to_json
from tests.support.model_server.ledger import Entry, Outcome, entry_of
from tests.support.model_server.requests import Request
from tests.support.model_server.usage import Usage

_ROOT: Final = Path(__file__).parents[3]
_START_S: Final = 60.0
_WAIT_S: Final = 180.0


class ModelServer:
    """A model server on a port that stays its own while it is stopped.

    `scripts` are modules with a table SCRIPTS. With `log`, a file, the log of requests outlives a stop; planted
    faults and what the prompt cache has seen never do.
    """

    def __init__(self, *scripts: str, log: Path | None = None) -> None:
        self._lease = lease_free_port()
        self._command = [sys.executable, "-m", "tests.support.model_server", "--port", str(self.port)]
        self._command += ["--scripts", *scripts]
        if log is not None:
            self._command += ["--log", str(log)]
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self._lease.release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        self._lease.release()

    @property
    def port(self) -> int:
        return self._lease.port

    @property
    def url(self) -> str:
        """What clients call the base URL."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def environment(self) -> dict[str, str]:
        """What makes models `openai-chat:NAME` those of this server."""
        return {"OPENAI_BASE_URL": self.url, "OPENAI_API_KEY": "not-a-secret"}

    @property
    def pid(self) -> int:
        assert self._process is not None, "the server is stopped: start it first"
        return self._process.pid

    def start(self) -> None:
        """Returns once it listens. Raises `AssertionError` with its output if it ends instead."""
        assert self._process is None, "the server runs already"
        self._process = subprocess.Popen(self._command, cwd=_ROOT, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        timeout = threading.Timer(_START_S, self._process.kill)
        timeout.start()
        try:
            line = self._process.stdout.readline()
        finally:
            timeout.cancel()
        if line != f"ready {self.url}\n":
            self.stop()
            raise AssertionError(
                f"the model server did not start; its errors are above. It printed: {line!r}"
            )

    def stop(self) -> None:
        """Kills it: open connections break, and new ones are refused."""
        if self._process is None:
            return
        self._process.kill()
        self._process.wait()
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process = None

    def plant(
        self,
        fault: Fault,
        *,
        about: str = "",
        model: str | None = None,
        turn: int | None = None,
        times: int = 1,
    ) -> None:
        """Lets the fault befall requests the first `times` times that each comes, in each conversation whose first
        user message contains the text `about`; of this model and turn only, if given."""
        where = {"about": about, "model": model, "turn": turn, "times": times}
        self._ask("POST", "/control/fault", {"fault": to_json(fault), **where})

    def release(self, gate: str) -> None:
        """Opens a gate, for requests that hang at it and for those to come."""
        self._ask("POST", "/control/release", {"gate": gate})

    def wait_held(self, gate: str, count: int = 1) -> None:
        """Waits until so many requests hang at this gate at once."""
        query = urlencode({"gate": gate, "count": count, "wait_s": _WAIT_S})
        assert self._ask("GET", f"/control/held?{query}")["held"], f"not {count} requests hang at {gate!r}"

    def wait_settled(self) -> None:
        """Waits until no request is open: those whose clients have gone are lost then."""
        query = urlencode({"wait_s": _WAIT_S})
        assert self._ask("GET", f"/control/settled?{query}")["settled"], "requests are still open"

    def requests(self, about: str = "") -> list[Entry]:
        """The log: all requests, or those whose first user message contains the text, as they came.

        Raises `AssertionError` if a script failed.
        """
        entries = [entry_of(each) for each in self._ask("GET", "/control/requests")["requests"]]
        wrong = [f"{each.error} (turn {each.turn})" for each in entries if each.outcome == Outcome.INVALID]
        assert not wrong, "; ".join(wrong)
        return [each for each in entries if about in each.task]

    def charged(self, about: str = "", *, lost: bool = True) -> Usage:
        """The usage of these requests together; without `lost`, of those that were sent to their end."""
        counted = [
            each.usage
            for each in self.requests(about)
            if each.usage is not None and (lost or each.outcome == Outcome.ANSWERED)
        ]
        return Usage(
            sum(each.prompt_tokens for each in counted),
            sum(each.completion_tokens for each in counted),
            sum(each.cached_tokens for each in counted),
        )

    def last(self, about: str = "") -> Request:
        """The latest request of the only conversation whose first user message contains the text, without headers."""
        bodies = self._ask("GET", f"/control/last?{urlencode({'about': about})}")["bodies"]
        assert len(bodies) == 1, f"{len(bodies)} conversations are about {about!r}, not one"
        return Request(bodies[0], {})

    def _ask(self, method: str, path: str, document: Mapping[str, Any] | None = None) -> dict[str, Any]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=2 * _WAIT_S)
        try:
            connection.request(method, path, None if document is None else json.dumps(document))
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        assert response.status == 200, text
        answer: dict[str, Any] = json.loads(text)
        return answer
