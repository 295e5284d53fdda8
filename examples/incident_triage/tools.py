"""Two tools of the example, written as any user would write them.

Load them with `orchestrator run tool-executor --module examples/incident_triage/tools.py`.
"""

import hashlib
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Annotated

from orchestrator_services.tools.paths import files_folder
from orchestrator_services.tools.settings import tool_settings
from pydantic import AwareDatetime, BaseModel, Field, TypeAdapter, ValidationError

from orchestrator.sdk import Context, InvalidInput, PermanentError, TransientError, tool

HALF_LIFE = timedelta(minutes=30)
"""A deploy loses half of its weight with every half hour between it and the change: most releases that break
something do so as soon as they get traffic."""
OTHER_ROUTE = 0.1
"""Weight of a deploy that did not touch the route: shared resources make it possible, not likely."""
LONGEST_DELAY = timedelta(days=1)


class Deploy(BaseModel):
    """One deploy; `routes` are the routes whose code it changed."""

    time: AwareDatetime
    service: str
    version: str
    author: str
    summary: str
    routes: list[str]


class History(BaseModel):
    """Every known deploy, oldest first."""

    deploys: list[Deploy]


class Suspect(BaseModel):
    """A deploy that may explain a change, as one row of a report; `score` is from 0 to 1."""

    time: AwareDatetime
    service: str
    version: str
    author: str
    summary: str
    minutes_before: float
    touches_route: bool
    score: float


class Explanation(BaseModel):
    """The suspects, most likely first, and the first of them in words."""

    verdict: str
    suspects: list[Suspect]


class DeployService:
    """A stand-in for a company's deploy API that sleeps until a client's first request wakes it up.

    That request gets 503, later ones get the history. The known clients are stored next to the history, so that
    a retry may come from another process.
    """

    def __init__(self, history: Path) -> None:
        self._history = history
        self._clients = history.with_name(".deploy-service")

    def get(self, client: str) -> tuple[HTTPStatus, bytes]:
        """Status and body of the response to one request."""
        self._clients.mkdir(exist_ok=True)
        known = self._clients / hashlib.sha256(client.encode()).hexdigest()
        try:
            known.touch(exist_ok=False)
        except FileExistsError:
            return HTTPStatus.OK, self._history.read_bytes()
        return HTTPStatus.SERVICE_UNAVAILABLE, b""


@tool("deploys.history", capability="deploy-history", timeout="10s")
def history(path: str, context: Context) -> History:
    """The deploys that the deploy service knows, oldest first.

    `path` is the JSON file behind the service, relative to the folder that tools may read.
    """
    settings = tool_settings()
    service = DeployService(files_folder(settings).file(path, settings.max_file_bytes))
    try:
        status, body = service.get(context.idempotency_key)
    except OSError as error:
        raise PermanentError(f"the deploy service cannot store its state next to {path}: {error}") from error
    if status == HTTPStatus.SERVICE_UNAVAILABLE:
        raise TransientError("the deploy service answered 503, it is starting; retry", code="http_503")
    try:
        deploys = TypeAdapter(list[Deploy]).validate_json(body)
    except ValidationError as error:
        raise InvalidInput(f"{path} is not a deploy history: {error}") from error
    return History(deploys=sorted(deploys, key=lambda deploy: deploy.time))


@tool("deploys.explain", capability="change-analysis", timeout="10s")
def explain(
    changed_at: AwareDatetime,
    route: str,
    deploys: list[Deploy],
    resolution_minutes: Annotated[float, Field(ge=0)] = 5.0,
    top: Annotated[int, Field(ge=1)] = 5,
) -> Explanation:
    """Ranks the deploys of the day before a change by how likely they explain it.

    A deploy that touches the route scores 1 if the change follows at once, and half as much for every 30 minutes
    in between. One that touches other routes only scores a tenth of that. A deploy after the change is not a
    suspect, unless it is within the `resolution_minutes` that begin at `changed_at`.
    """
    suspects = []
    for deploy in deploys:
        delay = changed_at - deploy.time
        if not timedelta(minutes=-resolution_minutes) < delay <= LONGEST_DELAY:
            continue
        touches = route in deploy.routes
        score = 0.5 ** (max(delay, timedelta(0)) / HALF_LIFE) * (1.0 if touches else OTHER_ROUTE)
        suspects.append(
            Suspect(
                **deploy.model_dump(exclude={"routes"}),
                minutes_before=round(delay / timedelta(minutes=1), 1),
                touches_route=touches,
                score=round(score, 3),
            )
        )
    suspects.sort(key=lambda suspect: (-suspect.score, -suspect.time.timestamp()))
    return Explanation(verdict=_verdict(suspects, route), suspects=suspects[:top])


def _verdict(suspects: list[Suspect], route: str) -> str:
    if not suspects:
        return "No deploy of the day before explains the change."
    first = suspects[0]
    link = f"touches {route}" if first.touches_route else f"does not touch {route}"
    return (
        f"{first.service} {first.version} ({first.summary}; {first.author}), "
        f"deployed {first.minutes_before} minutes before the change, {link}."
    )
