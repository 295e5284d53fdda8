"""The model of the strategy `plan-execute`: whole plans, whose steps use what others return."""

import re
from collections.abc import Mapping
from typing import Any

from tests.integration.thinking.faults import RATE_LIMITED, bad_key, break_off
from tests.integration.thinking.tasks import by_task
from tests.support.model_server import ContextTooLong, First, Output, Reply, Request

_DATA = re.compile(r'<data tool="[^"]*" step="plan\d+-([^"]*)">\n(.*?)\n</data>', re.DOTALL)
MEETING: tuple[Mapping[str, Any], ...] = (
    {"step": "left", "tool": "shop.meet", "arguments": {"me": "left", "other": "right"}},
    {"step": "right", "tool": "shop.meet", "arguments": {"me": "right", "other": "left"}},
)


def side_by_side(request: Request) -> Reply:
    if request.turn == 0:
        return _plan(*MEETING)
    told = _told(request)
    return _answer(told["left"], told["right"])


def fails_once(request: Request) -> Reply:
    """Plans a result that does not fit, as shows when the step has run: the price is a number."""
    if request.turn == 0:
        return _plan(_step("price", "stock.price", item="apple"), result={"answer": _of("price")})
    assert "The result cannot be made of these outputs" in request.last
    return _answer(_told(request)["price"])


def fails_for_good(request: Request) -> Reply:
    """Orders something else, once it has read why its first order failed."""
    if request.turn == 0:
        return _plan(_order("apple", 1), result={"answer": _of("order")})
    assert "the supplier of apple is closed" in request.last
    return _plan(_order("pear", 1), result={"answer": _of("order")})


def bad_tool_name(request: Request) -> Reply:
    match request.turn:
        case 0:
            return _plan(_step("level", "stock.amount", item="apple"))
        case 1:
            assert "tool" in request.last
            return _plan(_level("apple"))
        case _:
            return _answer(_told(request)["level"])


def bad_arguments(request: Request) -> Reply:
    match request.turn:
        case 0:
            return _plan(_step("level", "stock.level", itme="apple"))
        case 1:
            assert "the arguments of step" in request.last
            return _plan(_level("apple"))
        case _:
            return _answer(_told(request)["level"])


def bad_output(request: Request) -> Reply:
    if request.turn == 0:
        return _plan(result={"answer": 42})
    assert "the result does not fit its schema" in request.last
    return _answer("forty-two")


def rate_limited(request: Request) -> Reply:
    if request.turn == 0:
        return First(*RATE_LIMITED, then=_plan(_level("apple")))
    return _answer(_told(request)["level"])


def broken_reply(request: Request) -> Reply:
    if request.turn == 0:
        return First(break_off(request), then=_plan(_level("apple")))
    return _answer(_told(request)["level"])


def waiting(request: Request) -> Reply:
    if request.turn == 0:
        return _plan(_step("wait", "shop.wait"))
    return _answer(_told(request)["wait"])


def too_long(request: Request) -> Reply:
    if request.turn == 0:
        return _plan(_level("apple"))
    return ContextTooLong()


def everything(request: Request) -> Reply:
    """A task in which all of it goes wrong."""
    match request.turn:
        case 0:
            return _plan(*MEETING)
        case 1:
            return _plan(_step("amount", "stock.amount"))
        case 2:
            return First(*RATE_LIMITED, then=_plan(_step("level", "stock.level", itme="pear")))
        case 3:
            price = _step("price", "stock.price", item="pear")
            return _plan(price, _level("pear"), _order("apple", _of("level")))
        case 4:
            assert "the supplier of apple is closed" in request.last
            return First(break_off(), then=_plan(_level("pear"), _order("pear", _of("level"))))
        case 5:
            return _plan(result={"answer": 42})
        case _:
            told = _told(request)
            return _answer(told["price"], told["order"])


def _plan(*steps: Mapping[str, Any], result: Any = None) -> Output:
    return Output({"why": "it leads there", "steps": steps, **({} if result is None else {"result": result})})


def _answer(*found: str) -> Output:
    return _plan(result={"answer": " and ".join(found)})


def _step(name: str, tool: str, **arguments: Any) -> Mapping[str, Any]:
    return {"step": name, "tool": tool, "arguments": arguments}


def _level(item: str) -> Mapping[str, Any]:
    return _step("level", "stock.level", item=item)


def _order(item: str, pieces: Any) -> Mapping[str, Any]:
    return _step("order", "stock.order", item=item, pieces=pieces)


def _of(step: str) -> Mapping[str, str]:
    return {"$output": step}


def _told(request: Request) -> Mapping[str, str]:
    """What steps have returned, by their names."""
    said = [each["content"] for each in request.messages if each["role"] == "user"]
    return dict(found for text in said for found in _DATA.findall(text))


SCRIPTS = {
    "plan-execute": by_task(
        {
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
    )
}
