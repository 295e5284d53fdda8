"""The script of the model whose answers are recorded."""

from tests.support.model_server import Call, Reply, Request, Say


def counter(request: Request) -> Reply:
    if request.turn == 0:
        return [Say("Both at once."), *(Call("stock_level", {"item": item}) for item in ("apple", "pear"))]
    return Say(" and ".join(one.text.splitlines()[1] for one in request.results))


SCRIPTS = {"counter": counter}
