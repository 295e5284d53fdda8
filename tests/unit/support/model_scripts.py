"""Scripts of the models that these tests talk to."""

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


def counting(request: Request) -> Reply:
    """Asks for two tools side by side, and says what they returned."""
    if request.turn == 0:
        return [Say("Both at once."), Call("size", {"path": "a.md"}), Call("lines", {"path": "b.md"})]
    return Say("; ".join(f"{result.tool}: {result.text}" for result in request.results))


def answering(request: Request) -> Reply:
    return Output({"answer": "forty-two", "sure": True})


def clumsy(request: Request) -> Reply:
    """Makes each mistake of form that models make, one a turn, and sees what comes back."""
    match request.turn:
        case 0:
            return Call("size", '{"path": "a.m')
        case 1:
            return Call("volume", {"path": "a.md"})
        case 2:
            return Output({"answer": 42})
        case _:
            return Output({"answer": f"turn {request.turn}", "sure": True})


def shaky(request: Request) -> Reply:
    """Fails twice on its second turn."""
    if request.turn == 0:
        return Call("size", {"path": "a.md"})
    return First(
        TooManyRequests(retry_after=1.5), BreakStream(after_chunks=2), then=Say("It holds after all.")
    )


def always(reply: Reply) -> Script:
    return lambda _: reply


SCRIPTS = {
    "counting": counting,
    "answering": answering,
    "clumsy": clumsy,
    "shaky": shaky,
    "talking": always(Say("One two three four five six seven eight nine ten.")),
    "calling": always(Call("size", {"path": "a-long-name.md"})),
    "echoing": lambda request: Say(request.last),
    "refusing": always(ContentRefused()),
    "failing": always(ServerError()),
    "limited": always(TooManyRequests(retry_after=7)),
    "broke": always(QuotaExceeded()),
    "overloaded": always(Overloaded()),
    "locked": always(BadCredentials()),
    "full": always(ContextTooLong()),
    "wrong": lambda request: Say(request.results[0].text),
}
