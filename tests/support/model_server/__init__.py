"""A model server for tests: a process of its own that speaks OpenAI's chat protocol, answers by scripts, and fails on
request.

A script is a function of a request to a reply, and a module of scripts is a table of them by model:

    def researcher(request: Request) -> Reply:
        match request.turn:
            case 0:
                return [Say("Both at once."), Call("find", {"pattern": "*.md"}), Call("count", {})]
            case 1:
                return First(TooManyRequests(retry_after=1), Overloaded(), then=Call("read", {"path": "a.md"}))
            case _:
                return Output({"answer": request.results[0].text})

    SCRIPTS = {"researcher": researcher}

A test starts it with `ModelServer`, and the client under test finds it by `ModelServer.environment`:

    with ModelServer("tests.integration.models.scripts") as server:
        server.plant(BreakStream(after_chunks=2), about="Compare", turn=1)
"""

from tests.support.model_server.faults import (
    BadCredentials,
    BreakStream,
    ContextTooLong,
    Fault,
    Hang,
    Overloaded,
    QuotaExceeded,
    ServerError,
    TooManyRequests,
)
from tests.support.model_server.process import ModelServer
from tests.support.model_server.replies import Call, ContentRefused, First, Output, Reply, Say, Script
from tests.support.model_server.requests import Request, ToolResult
from tests.support.model_server.usage import Usage, tokens

__all__ = [
    "BadCredentials",
    "BreakStream",
    "Call",
    "ContentRefused",
    "ContextTooLong",
    "Fault",
    "First",
    "Hang",
    "ModelServer",
    "Output",
    "Overloaded",
    "QuotaExceeded",
    "Reply",
    "Request",
    "Say",
    "Script",
    "ServerError",
    "TooManyRequests",
    "ToolResult",
    "Usage",
    "tokens",
]
