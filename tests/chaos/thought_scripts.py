"""The model of `thoughts`: it looks, side by side, charges, looks again, and adds up what it has found."""

import json
import re
import time
from collections.abc import Iterable

from tests.support.model_server import Call, Output, Reply, Request

_TASK = re.compile(r"task (\d+)")
_DATA = re.compile(r"<data[^>]*>\n(.*)\n</data>", re.DOTALL)
_LONGEST_MS = 1_000


def thinker(request: Request) -> Reply:
    """Thinks for a while, so that requests are under way when processes are killed."""
    found = _TASK.match(request.task)
    assert found is not None, f"not a task of this script: {request.task}"
    number = int(found[1])
    time.sleep((number * 53 + request.turn * 101) % _LONGEST_MS / 1_000)
    match request.turn:
        case 0:
            return [_look(number, 0), _look(number, 1)]
        case 1:
            return [Call("chaos_charge", {"number": number}), _look(number, 2)]
        case 2:
            return _look(number, 3)
        case _:
            return Output({"sum": sum(_values(request)), "charged": _charged(request)})


def _look(number: int, place: int) -> Call:
    return Call("chaos_look", {"number": number, "place": place})


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
    assert "may still have had its effect" in charged.text, charged.text
    return "unknown"


SCRIPTS = {"thinker": thinker}
