"""The model of the strategy `reflexion`: as of `react`, with a critic of its answers.

In some tasks its first answer is careless. The critic says so, and it answers as it should.
"""

from collections.abc import Callable

from tests.integration.thinking.react_scripts import TASKS
from tests.integration.thinking.tasks import by_task
from tests.support.model_server import First, Output, Overloaded, Reply, Request

CARELESS = "I do not know"
CRITICISM = "Say what you have found."


def reflecting(script: Callable[[Request], Reply]) -> Callable[[Request], Reply]:
    """Answers as the script does, once its careless answer was not accepted."""

    def reply(request: Request) -> Reply:
        if _is_critique(request):
            return _verdict(request)
        thought = script(_without_careless_answer(request))
        is_answer = isinstance(thought, Output) and isinstance(thought.value["answer"], str)
        return Output({"answer": CARELESS}) if is_answer and CRITICISM not in request.last else thought

    return reply


def contented(script: Callable[[Request], Reply]) -> Callable[[Request], Reply]:
    """Answers as the script does, and accepts it at once."""
    return lambda request: _verdict(request) if _is_critique(request) else script(request)


def _is_critique(request: Request) -> bool:
    return request.system.startswith("You judge the answer")


def _verdict(request: Request) -> Reply:
    """What the critic says. In the task in which everything goes wrong, it is overloaded at first."""
    assert '<data name="answer">' in request.task
    careless = CARELESS in request.task
    verdict = Output({"criticism": CRITICISM if careless else "", "acceptable": not careless})
    return First(Overloaded(), then=verdict) if request.task.startswith("everything") else verdict


def _without_careless_answer(request: Request) -> Request:
    """The request as if the careless answer had not been given."""
    messages = request.messages
    given = [at for at, each in enumerate(messages) if each["role"] == "assistant" and CARELESS in str(each)]
    return Request({**request.body, "messages": messages[: given[0]] if given else messages}, request.headers)


_REFLECTING = ("side by side", "fails for good", "everything")

SCRIPTS = {
    "reflexion": by_task(
        {task: (reflecting if task in _REFLECTING else contented)(script) for task, script in TASKS.items()}
    )
}
