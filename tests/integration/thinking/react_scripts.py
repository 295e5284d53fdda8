"""The model of the strategy `react`: turn by turn, by what the tools of the turn before returned."""

from collections.abc import Callable, Mapping, Sequence
from typing import Final

from tests.integration.thinking.faults import RATE_LIMITED, bad_key, break_off
from tests.integration.thinking.tasks import by_task, output, outputs
from tests.support.model_server import Call, ContextTooLong, First, Output, Reply, Request, Say
from tests.support.model_server.replies import Part

MEETING: Sequence[Part] = [
    Say("Both at once."),
    Call("shop_meet", {"me": "left", "other": "right"}),
    Call("shop_meet", {"me": "right", "other": "left"}),
]


def side_by_side(request: Request) -> Reply:
    if request.turn == 0:
        return MEETING
    return _answer(*outputs(request.results))


def fails_once(request: Request) -> Reply:
    if request.turn == 0:
        return Call("stock_price", {"item": "apple"})
    return _answer(*outputs(request.results))


def fails_for_good(request: Request) -> Reply:
    """Orders something else, once it has read why its first order failed."""
    match request.turn:
        case 0:
            return Call("stock_order", {"item": "apple", "pieces": 1})
        case 1:
            assert "the supplier of apple is closed" in request.results[0].text
            return Call("stock_order", {"item": "pear", "pieces": 1})
        case _:
            return _answer(*outputs(request.results))


def bad_tool_name(request: Request) -> Reply:
    match request.turn:
        case 0:
            return Call("stock_amount", {"item": "apple"})
        case 1:
            assert "stock_amount" in request.last
            return Call("stock_level", {"item": "apple"})
        case _:
            return _answer(*outputs(request.results))


def bad_arguments(request: Request) -> Reply:
    match request.turn:
        case 0:
            return Call("stock_level", {"itme": "apple"})
        case 1:
            assert "item" in request.last
            return Call("stock_level", {"item": "apple"})
        case _:
            return _answer(*outputs(request.results))


def bad_output(request: Request) -> Reply:
    if request.turn == 0:
        return Output({"answer": 42})
    assert "answer" in request.last
    return _answer("forty-two")


def rate_limited(request: Request) -> Reply:
    if request.turn == 0:
        return First(*RATE_LIMITED, then=Call("stock_level", {"item": "apple"}))
    return _answer(*outputs(request.results))


def broken_reply(request: Request) -> Reply:
    if request.turn == 0:
        looks: Sequence[Part] = [
            Say("I look how many apples are in stock, and say so."),
            Call("stock_level", {"item": "apple"}),
        ]
        return First(break_off(request), then=looks)
    return _answer(*outputs(request.results))


def waiting(request: Request) -> Reply:
    if request.turn == 0:
        return Call("shop_wait", {})
    return _answer(*outputs(request.results))


def too_long(request: Request) -> Reply:
    if request.turn == 0:
        return Call("stock_level", {"item": "apple"})
    return ContextTooLong()


def everything(request: Request) -> Reply:
    """A task in which all of it goes wrong."""
    match request.turn:
        case 0:
            return MEETING
        case 1:
            return [Call("stock_amount", {}), Call("stock_price", {"item": "pear"})]
        case 2:
            return First(*RATE_LIMITED, then=Call("stock_level", {"itme": "pear"}))
        case 3:
            return [
                Call("stock_order", {"item": "apple", "pieces": 1}),
                Call("stock_level", {"item": "pear"}),
            ]
        case 4:
            failed, level = request.results
            assert "the supplier of apple is closed" in failed.text
            pieces = int(output(level))
            return First(break_off(), then=Call("stock_order", {"item": "pear", "pieces": pieces}))
        case 5:
            return Output({"answer": 42})
        case _:
            last = {each.tool: each for each in request.all_results}
            return _answer(output(last["stock_price"]), output(last["stock_order"]))


def _answer(*found: str) -> Output:
    return Output({"answer": " and ".join(found)})


TASKS: Final[Mapping[str, Callable[[Request], Reply]]] = {
    "side by side": side_by_side,
    "fails once": fails_once,
    "fails for good": fails_for_good,
    "bad tool name": bad_tool_name,
    "bad arguments": bad_arguments,
    "bad output": bad_output,
    "rate limited": rate_limited,
    "broken reply": broken_reply,
    "waiting": waiting,
    "too long": too_long,
    "bad key": bad_key,
    "everything": everything,
}

SCRIPTS = {"react": by_task(TASKS), "plain-agent": by_task(TASKS)}
