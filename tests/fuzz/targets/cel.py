"""Expressions in CEL: true, false, a value, or an error of the expression; what is evaluated at once costs little."""

from time import process_time
from typing import Any, Final

from orchestrator_services.expressions import ExpressionError, compiled
from orchestrator_services.planner.compilation import steps_needed

from tests.fuzz.target import promise
from tests.fuzz.targets.text import text_target

_MOST_CPU_S: Final = 5.0
"""What is evaluated at once takes some 50 ms: a hundredth of this."""
_VARIABLES: Final = ("outputs", "result", "goal", "task")
_INPUT: Final[dict[str, Any]] = {
    "outputs": {
        "a": {"rows": [{"n": 1, "t": "x"}, {"n": 2.5, "t": None}], "n": 3},
        "b": [1, 2, 3, [4, [5]]],
        "c-d": "x" * 200,
        "e": list(range(40)),
    },
    "result": {"text": "found", "score": 0.5, "big": 1 << 60, "list": ["a", "b"] * 20},
    "goal": "find out why\n",
    "task": {"goal": "a", "context": {}, "agent": "default", "tenant": "t"},
}
_GRAMMAR: Final = {
    "start": ("<bool>", "<bool>", "<value>"),
    "bool": (
        "true",
        "<value> == <value>",
        "<number> < <number>",
        "<bool> && <bool>",
        "!<bool>",
        "<bool> || (<bool>)",
        "<list>.all(x, <bool>)",
        "<list>.exists(y, y == <value>)",
        "<list>.exists_one(x, <bool>)",
        "has(<map>.a)",
        "<value> in <list>",
        "<string>.contains(<string>)",
        "<string>.startsWith('a')",
        "<string>.matches(<regex>)",
        "matches(<string>, <regex>)",
        "<bool> ? <bool> : <bool>",
    ),
    "value": (
        "x",
        "<number>",
        "<string>",
        "<list>",
        "<map>",
        "null",
        "<bool>",
        "<map>.a",
        "<list>[0]",
        "<map>['c-d']",
    ),
    "number": (
        "1",
        "<number> + <number>",
        "<number> * <number>",
        "<number> / <number>",
        "<number> % 0",
        "-9223372036854775808",
        "9223372036854775807",
        "1.5",
        "1e308",
        "0xFFu",
        "size(<list>)",
        "int(<value>)",
        "double(<string>)",
        "outputs.a.n",
        "-<number>",
    ),
    "string": (
        "'a'",
        '"é"',
        "goal",
        "<string> + <string>",
        "'''x'''",
        'r"\\d"',
        "b'\\xff'",
        "string(<value>)",
        "'\\u00e9'",
    ),
    "list": (
        "[]",
        "outputs.e",
        "[<value>, <value>]",
        "<list> + <list>",
        "<list>.map(x, <value>)",
        "<list>.filter(x, <bool>)",
        "result.list",
        "outputs.b",
    ),
    "map": ("outputs", "result", "{'a': <value>}", "outputs.a", "task.context", "{<value>: <value>}"),
    "regex": ("'a+'", "'(a+)+$'", "'[a-z]{1,1000}'", "'\\\\pL{100}'", "goal", "'('", "'(?i)x'"),
}


def check(source: str) -> None:
    try:
        expression = compiled.__wrapped__(source, _VARIABLES)
    except ExpressionError as error:
        _said(error)
        return
    steps_needed(expression, ["a", "b"], frozenset({"a"}))
    for most_steps in (100_000, 100):
        started = process_time()
        try:
            expression.holds(_INPUT, most_steps)
        except ExpressionError as error:
            _said(error)
        spent = process_time() - started
        promise(spent < _MOST_CPU_S, f"an expression took {spent:.1f} s of what is evaluated at once")


def _said(error: ExpressionError) -> None:
    promise(0 < len(str(error)) < 60_000, "an error says what is wrong")


TARGETS: Final = (
    text_target(
        "cel",
        _GRAMMAR,
        check,
        ("orchestrator_services.expressions", "orchestrator_services.expression_cost"),
        inputs=8_000,
        reaches=0.97,
    ),
)
