"""Expressions in CEL (Common Expression Language, cel-spec), compiled once and evaluated over plain data.

Integers and floats do not mix in arithmetic (`double(x) + 1.5`), but compare with each other.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import cel

from orchestrator_services.expression_cost import MACROS, MOST_NESTED, Form, form_of, size_of, steps

LONGEST: Final = 4_000
"""Longest expression, characters. The parser is recursive: 100,000 overflowed its stack and killed the process."""

_TOKEN: Final = re.compile(
    r"""
    (?P<skip> \s+ | //[^\n]* )
  | (?P<raw> (?: [rR][bB]? | [bB][rR] ) (?:
        \"{3} (?: (?!\"{3}). )*+ \"{3} | '{3} (?: (?!'{3}). )*+ '{3} | " [^"\n]*+ " | ' [^'\n]*+ '
    ) )
  | (?P<string> [bB]? (?:
        \"{3} (?: \\. | (?!\"{3})[^\\] )*+ \"{3} | '{3} (?: \\. | (?!'{3})[^\\] )*+ '{3}
      | " (?: \\. | [^"\\\n] )*+ " | ' (?: \\. | [^'\\\n] )*+ '
    ) )
  | (?P<name> [A-Za-z_][A-Za-z0-9_]* )
  | (?P<number> [0-9][0-9a-fA-FxX.]* (?: [eE][+-]?[0-9]+ )? [uU]? )
  | (?P<other> . )
    """,
    re.VERBOSE | re.DOTALL,
)
_TYPES: Final = frozenset(
    {"int", "uint", "double", "bool", "string", "bytes", "list", "map", "null_type", "type"}
)


class ExpressionError(ValueError):
    """An expression that cannot be compiled or evaluated. The text says why, for people."""


class CostlyExpressionError(ExpressionError):
    """It was not evaluated, or not to its end, because it costs too much over this input."""


MOST_STEPS: Final = 100_000
"""What is evaluated at once: some 50 ms, in which nothing else happens in the process."""


@dataclass(frozen=True)
class Expression:
    """A compiled expression."""

    source: str
    program: cel.Program
    tokens: tuple[tuple[str, str], ...]
    """Kind and text of each token."""

    form: Form

    def evaluate(self, variables: Mapping[str, Any], most_steps: int | None = MOST_STEPS) -> Any:
        """Its result.

        Raises `ExpressionError`; `CostlyExpressionError` if it may take more than `most_steps` (None: any number).
        """
        variables = self.projected(variables)
        if most_steps is not None:
            cost = steps(self.form, size_of(variables, most_steps))
            if cost > most_steps:
                raise CostlyExpressionError(
                    f"it may take {cost:.0e} steps over this input, more than {most_steps}: make it simpler, or give "
                    "it less input"
                )
        try:
            return self.program.execute(dict(variables))
        except KeyError as error:
            raise ExpressionError(f"{error.args[0]} not found") from error
        except Exception as error:
            raise ExpressionError(_first_sentences(str(error))) from error

    def holds(self, variables: Mapping[str, Any], most_steps: int | None = MOST_STEPS) -> bool:
        """Whether it is true. Raises as `evaluate` does, also if it is neither true nor false."""
        result = self.evaluate(variables, most_steps)
        if not isinstance(result, bool):
            raise ExpressionError(f"it must be true or false, not {type(result).__name__}")
        return result

    def projected(self, variables: Mapping[str, Any]) -> dict[str, Any]:
        """Variables with only those members that it uses: the rest would be copied for nothing."""
        found: dict[str, Any] = {}
        for name, value in variables.items():
            members = self.members(name)
            if members is not None and isinstance(value, Mapping):
                found[name] = {member: value[member] for member in members if member in value}
            else:
                found[name] = value
        return found

    def names(self, variable: str) -> bool:
        """Whether it uses a variable."""
        return any(self._starts(index, variable) for index in range(len(self.tokens)))

    def members(self, variable: str) -> frozenset[str] | None:
        """Members of a variable that it uses: `x` and `y-z` of `v.x > 0 && v["y-z"] > 0`.

        None if it also uses the variable as a whole, or a member whose name is computed.
        """
        found: set[str] = set()
        for index in range(len(self.tokens)):
            if not self._starts(index, variable):
                continue
            member = _member(self.tokens[index + 1 : index + 4])
            if member is None:
                return None
            found.add(member)
        return frozenset(found)

    def _starts(self, index: int, variable: str) -> bool:
        """Whether the token is the variable, and not a member of the same name."""
        return self.tokens[index] == ("name", variable) and (index == 0 or self.tokens[index - 1][1] != ".")

    def bound_names(self) -> frozenset[str]:
        """Names that macros such as `rows.all(row, ...)` bind."""
        texts = [text for _, text in self.tokens]
        return frozenset(
            texts[index + 2]
            for index in range(len(texts) - 3)
            if texts[index] in MACROS and texts[index + 1] == "(" and texts[index + 3] == ","
        )


@lru_cache(maxsize=4096)
def compiled(source: str, variables: tuple[str, ...]) -> Expression:
    """The expression over these variables. Raises `ExpressionError` if it is invalid."""
    if len(source) > LONGEST:
        raise ExpressionError(f"the expression has {len(source)} characters; at most {LONGEST} are allowed")
    try:
        program = cel.compile(source)
    except Exception as error:
        raise ExpressionError(f"{source!r} is not valid CEL: {_syntax(str(error))}") from error
    tokens = _tokens(source)
    form = form_of(tokens)
    if form.nested > MOST_NESTED:
        raise ExpressionError(
            f"{source!r:.300} has {form.nested} macros (all, exists, map …) inside each other; at most {MOST_NESTED} "
            "are allowed, because each multiplies the work"
        )
    expression = Expression(source, program, tokens, form)
    unknown = set(program.variables()) - set(variables) - _TYPES - expression.bound_names()
    if unknown:
        raise ExpressionError(
            f"{source!r} uses unknown names: {', '.join(sorted(unknown))}; it may use {', '.join(variables)}"
        )
    return expression


def _tokens(source: str) -> tuple[tuple[str, str], ...]:
    return tuple(
        (str(match.lastgroup), match.group())
        for match in _TOKEN.finditer(source)
        if match.lastgroup != "skip"
    )


def text_of(literal: str) -> str | None:
    """The text of a literal as it is written, in its quotes; None for bytes."""
    text = cel.evaluate(literal)
    return text if isinstance(text, str) else None


def _member(following: Sequence[tuple[str, str]]) -> str | None:
    """The member that the tokens after a variable name; None if they name none."""
    match following:
        case [("other", "."), ("name", name), *rest] if rest[:1] != [("other", "(")]:
            return name
        case [("other", "["), ("string" | "raw", literal), ("other", "]")]:
            return text_of(literal)
        case _:
            return None


def _syntax(text: str) -> str:
    """The parser's message, without the expression that it quotes and underlines."""
    found = re.search(r"ERROR: <input>:(\d+):(\d+): (?:Syntax error: )?(.*)", text)
    if not found:
        return _first_sentences(text)
    complaint = found[3].partition(" expecting {")[0]
    return f"line {found[1]}, column {found[2]}: {complaint}"[:300]


def _first_sentences(text: str) -> str:
    undefined = re.match(r"Undefined variable or function: '(.*?)'", text)
    if undefined:
        return f"{undefined[1]} is not a function, or not one that values of this type have"
    return text.partition(" CEL does not coerce")[0].partition("\n")[0][:300]
