"""Scripts of the model server for strategies."""

from typing import Any

from tests.support.model_server import Call, Output, Reply, Request, Say


def planner(request: Request) -> Reply:
    """A plan with a tool that does not exist, one with a step that does not exist, and a good one."""
    match request.turn:
        case 0:
            return _plan(("price", "stock.price", {}))
        case 1:
            return _plan(("both", "stock.add", {"amounts": [{"$output": "apples"}]}))
        case _:
            apples = ("apples", "stock.level", {"item": "apple"})
            both = ("both", "stock.add", {"amounts": [{"$output": "apples"}, 4]})
            return _plan(apples, both, result={"fruit": {"$output": "both", "at": "/sum"}})


def critic(request: Request) -> Reply:
    """Calls a tool, and answers better when it has criticised itself."""
    if "You judge the answer" in request.system:
        good = "three apples" in request.task
        return Output({"criticism": "" if good else "Three what?", "acceptable": good})
    if request.turn == 0:
        return Call("stock.level", {"item": "apple"})
    return Say("three apples" if "Three what?" in request.last else "three")


def chooser(request: Request) -> Reply:
    return Output({"choice": "agent planning"})


def _plan(*steps: tuple[str, str, dict[str, Any]], **more: Any) -> Reply:
    written = [{"step": name, "tool": tool, "arguments": arguments} for name, tool, arguments in steps]
    return Output({"steps": written, **more})


SCRIPTS = {"planner": planner, "critic": critic, "chooser": chooser}
