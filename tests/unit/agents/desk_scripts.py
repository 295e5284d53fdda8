"""Scripts of the models that the agents of these tests ask by the protocol of OpenAI."""

from tests.support.model_server import Call, First, Output, Reply, Request, Say, TooManyRequests


def desk(request: Request) -> Reply:
    """Two tools side by side, one of them with a mistake; an output that does not fit at first; then the answer."""
    match request.turn:
        case 0:
            return [Say("I look."), Call("lookup", {"item": "apple"}), Call("lookup", {"itme": "pear"})]
        case 1:
            return Output({"item": "apple"})
        case _:
            return Output({"item": "apple", "pieces": 3})


def limited(_request: Request) -> Reply:
    return First(TooManyRequests(retry_after=0.1), then=Say("at last"))


SCRIPTS = {"gpt-5-mini": desk, "limited": limited}
