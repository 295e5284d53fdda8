"""How the scripts of all strategies know what is asked, and how they read what tools returned."""

import re
from collections.abc import Callable, Iterable, Mapping

from tests.support.model_server import Reply, Request, Script, ToolResult

_DATA = re.compile(r"<data[^>]*>\n(.*)\n</data>", re.DOTALL)


def by_task(scripts: Mapping[str, Callable[[Request], Reply]]) -> Script:
    """A model that knows several tasks, each by its name: the task's text up to the colon."""
    return lambda request: scripts[request.task.partition(":")[0]](request)


def outputs(results: Iterable[ToolResult]) -> list[str]:
    """What tools returned, without what tells the model that it is data. Raises `ValueError` for a problem."""
    return [output(result) for result in results]


def output(result: ToolResult) -> str:
    found = _DATA.fullmatch(result.text)
    if found is None:
        raise ValueError(f"{result.tool} returned no output: {result.text}")
    return found[1]
