"""Scripts of the models of a server that speaks OpenAI's protocol."""

from tests.support.model_server import (
    BadCredentials,
    BreakStream,
    Call,
    ContentRefused,
    ContextTooLong,
    First,
    Output,
    Overloaded,
    QuotaExceeded,
    Reply,
    Request,
    Say,
    Script,
    ServerError,
    TooManyRequests,
)

GOOD = Call("stock_level", {"item": "apple"})


def clerk(request: Request) -> Reply:
    """Two tools side by side, of which one does not exist, and a third with arguments that do not fit."""
    match request.turn:
        case 0:
            return [Say("I look."), GOOD, Call("stock_count", {}), Call("stock_level", '{"item": 3}')]
        case 1:
            return [Call("stock_level", '{"item": "pe'), Call("stock_level", "[1]")]
        case 2:
            return Output({"n": 0})
        case _:
            return Output({"n": len(request.all_results)})


def always(reply: Reply) -> Script:
    return lambda _: reply


SCRIPTS = {
    "gpt-5": always(Say("One two three four five six seven eight nine ten.")),
    "gpt-5-mini": clerk,
    "echo": lambda request: Say(request.last),
    "limited": always(TooManyRequests(retry_after=1.5)),
    "overloaded": always(Overloaded()),
    "failing": always(ServerError()),
    "broken": always(First(BreakStream(), then=Say("whole"))),
    "full": always(ContextTooLong()),
    "locked": always(BadCredentials()),
    "broke": always(QuotaExceeded()),
    "refusing": always(ContentRefused()),
    "lists": always(Output([1, 2])),
}
