"""The models of `thoughts`: they look, side by side, charge, look again, and add up what they have found."""

import json
import re
import time
from collections.abc import Iterable
from typing import Any

from tests.chaos.thoughts import PLAIN
from tests.support.model_server import Call, Output, Reply, Request

_TASK = re.compile(r"task (\d+)")
_DATA = re.compile(r"<data[^>]*>\n(.*)\n</data>", re.DOTALL)
_STEP = re.compile(r'<data tool="chaos.look" step="[^"]*">\n(.*?)\n</data>', re.DOTALL)
_UNKNOWN = "may still have had its effect"
_LONGEST_MS = 1_000
_CARELESS = -1


def by_turns(request: Request) -> Reply:
    """Turn by turn."""
    number = _thinks(request)
    match request.turn:
        case 0:
            return [_look(number, 0), _look(number, 1)]
        case 1:
            return [Call("chaos_charge", {"number": number}), _look(number, 2)]
        case 2:
            return _look(number, 3)
        case _:
            return Output({"sum": sum(_values(request)), "charged": _charged(request)})


def by_plans(request: Request) -> Reply:
    """Two plans, in each of which a look waits for the one before; then the result."""
    number = _thinks(request)
    match request.turn:
        case 0:
            return Output({"steps": _looks(number, 0)})
        case 1:
            charge = {"step": "charge", "tool": "chaos.charge", "arguments": {"number": number}}
            return Output({"steps": [charge, *_looks(number, 2)]})
        case _:
            told = "\n".join(str(each["content"]) for each in request.messages if each["role"] == "user")
            found = [json.loads(text)["value"] for text in _STEP.findall(told)]
            charged = "unknown" if _UNKNOWN in told else "yes"
            return Output({"steps": [], "result": {"sum": sum(found), "charged": charged}})


def with_critic(request: Request) -> Reply:
    """As turn by turn, but its first answer is careless, and a critic sees that."""
    if request.system.startswith("You judge the answer"):
        _thinks(request)
        is_careless = f'"sum":{_CARELESS}' in request.task
        return Output({"criticism": "Add up." if is_careless else "", "acceptable": not is_careless})
    reply = by_turns(request)
    if isinstance(reply, Output) and "Add up." not in request.last:
        return Output({**reply.value, "sum": _CARELESS})
    return reply


def _thinks(request: Request) -> int:
    """The number of the task. Takes a while, so that requests are under way when processes are killed."""
    found = _TASK.match(request.task)
    assert found is not None, f"not a task of this script: {request.task}"
    number = int(found[1])
    time.sleep((number * 53 + request.turn * 101) % _LONGEST_MS / 1_000)
    return number


def _look(number: int, place: int) -> Call:
    return Call("chaos_look", {"number": number, "place": place})


def _looks(number: int, place: int) -> list[dict[str, Any]]:
    """Looks at a place and at the one after it, which only the first look tells."""
    steps = {"here": place, "there": {"$output": "here", "at": "/next"}}
    return [
        {"step": name, "tool": "chaos.look", "arguments": {"number": number, "place": where}}
        for name, where in steps.items()
    ]


def _values(request: Request) -> Iterable[int]:
    """What was found at each place; a look that failed is missing, so that the answer is wrong."""
    for each in request.all_results:
        if each.tool == "chaos_look" and (found := _DATA.fullmatch(each.text)):
            yield json.loads(found[1])["value"]


def _charged(request: Request) -> str:
    """An attempt that was cut off may have charged, so it is not tried again."""
    (charged,) = [each for each in request.all_results if each.tool == "chaos_charge"]
    if _DATA.fullmatch(charged.text):
        return "yes"
    assert _UNKNOWN in charged.text, charged.text
    return "unknown"


SCRIPTS = {"react": by_turns, "plan-execute": by_plans, "reflexion": with_critic, PLAIN: by_turns}
