"""Which missing key an expression about a step names itself: only such a key makes a rule not apply to the step."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from orchestrator_services.expression_cost import MACROS, Token
from orchestrator_services.expressions import Expression, compiled, text_of

STEP: Final = "step"
Path = tuple[str, ...]


@dataclass(frozen=True)
class Keys:
    """The keys that an expression reads."""

    direct: tuple[Path, ...] = ()
    """Paths from `step`, as in `step.arguments.path`, that are read outside of macros."""
    others: frozenset[str] = frozenset()
    """Names that are read of anything else: of items of lists above all, which a step may have any number of."""
    is_hidden: bool = False
    """Whether an error of one part may hide behind that of another, or a key is computed."""

    def excuse(self, key: object, step: Mapping[str, Any]) -> bool:
        """Whether the rule does not apply to the step, because this key of its arguments is missing."""
        if key in self.others or (self.is_hidden and self.others):
            return False
        # Every step has all other keys.
        missing = [_missing(path, step) for path in self.direct if path[:1] == ("arguments",)]
        # What hides the error of an argument that is there, and is null, may be that of a missing one.
        return key in missing and (not self.is_hidden or set(missing) == {key})


def alternatives(expression: Expression, variables: tuple[str, ...]) -> tuple[Expression, ...]:
    """The expressions of which one has to be true, so that an error of one does not hide behind that of another: `a`
    and `b` of `a || b`."""
    if ("other", "?") in expression.tokens:
        return (expression,)
    parts: list[list[Token]] = [[]]
    depth = 0
    for index, token in enumerate(expression.tokens):
        if token[0] == "other" and token[1] in "()[]{}":
            depth += 1 if token[1] in "([{" else -1
        if not depth and _is_bar(expression.tokens, index):
            if _is_bar(expression.tokens, index - 1):
                parts.append([])
        else:
            parts[-1].append(token)
    if len(parts) == 1:
        return (expression,)
    return tuple(compiled(_source(part), variables) for part in parts)


def keys_of(expression: Expression) -> Keys:
    """What an expression reads. If that is not only paths from `step`, those in macros do not count as direct: what
    else the macro reads may be missing too, and either is reported."""
    if STEP in expression.bound_names():
        return Keys()
    tokens, inside = expression.tokens, _inside_macros(expression.tokens)
    outer: list[Path] = []
    inner: list[Path] = []
    taken: set[int] = set()
    for index, token in enumerate(tokens):
        if token == ("name", STEP) and (not index or tokens[index - 1][1] != "."):
            path, end = _path(tokens, index + 1)
            taken.update(range(index, end))
            if tokens[max(0, index - 2) : index] == (("name", "has"), ("other", "(")):
                # It asks whether the last one is there.
                path = path[:-1]
            (inner if inside[index] else outer).append(path)
    others = {name for index, name in _members(tokens) if index not in taken}
    is_computed = any(index not in taken for index in _computed(tokens))
    if is_computed:
        others.add("")
    if not others:
        outer += inner
    return Keys(tuple(outer), frozenset(others), is_computed or _hides_errors(tokens, inside))


def _hides_errors(tokens: Sequence[Token], inside: Sequence[bool]) -> bool:
    """Whether the error of what would be true alone may be reported as another's: in `a || b`, in `a && b` where
    somebody may ask whether it is false, and where it depends what is read at all."""
    depth = 0
    for (kind, text), is_inside, after in zip(tokens, inside, (*tokens[1:], ("", "")), strict=True):
        if kind != "other" or is_inside:
            continue
        depth += (text in "([{") - (text in ")]}")
        if text == "?" or text == "|" == after[1] or (text == "&" == after[1] and depth):
            return True
    return False


def _missing(path: Path, step: Mapping[str, Any]) -> str | None:
    """The first key of the path that the step lacks; None if none is missing."""
    value: Any = step
    for key in path:
        if not isinstance(value, Mapping):
            return None
        if key not in value:
            return key
        value = value[key]
    return None


def _path(tokens: Sequence[Token], start: int) -> tuple[Path, int]:
    """The names of members from a token on, and where they end."""
    names: list[str] = []
    index = start
    while True:
        match tokens[index : index + 4]:
            case [("other", "."), ("name", name), *rest] if rest[:1] != [("other", "(")]:
                names.append(name)
                index += 2
            case [("other", "["), ("string" | "raw", literal), ("other", "]"), *_]:
                names.append(text_of(literal) or "")
                index += 3
            case _:
                return tuple(names), index


def _members(tokens: Sequence[Token]) -> Iterator[tuple[int, str]]:
    """Where a member is read, and its name."""
    for index in range(len(tokens)):
        match tokens[index : index + 3]:
            case [("other", "."), ("name", name), *rest] if rest != [("other", "(")]:
                yield index, name
            case [("other", "["), ("string" | "raw", literal), ("other", "]")] if _is_index(tokens, index):
                yield index, text_of(literal) or ""


def _computed(tokens: Sequence[Token]) -> Iterator[int]:
    """Where an index is neither a text nor a number."""
    for index, token in enumerate(tokens):
        if token == ("other", "[") and _is_index(tokens, index):
            match tokens[index + 1 : index + 3]:
                case [("string" | "raw" | "number", _), ("other", "]")]:
                    pass
                case _:
                    yield index


def _is_index(tokens: Sequence[Token], index: int) -> bool:
    """Whether a bracket follows a value; otherwise it begins a list."""
    kind, text = tokens[index - 1] if index else ("other", "")
    return (kind == "name" and text != "in") or kind in ("string", "raw") or text in (")", "]", "}")


def _inside_macros(tokens: Sequence[Token]) -> list[bool]:
    """Of each token whether it is what a macro evaluates for each item."""
    found: list[bool] = []
    brackets: list[bool] = []
    for index, (kind, text) in enumerate(tokens):
        if kind == "other" and text in ")]}" and brackets:
            brackets.pop()
        found.append(any(brackets))
        if kind == "other" and text in "([{":
            before = tokens[max(0, index - 2) : index]
            brackets.append(
                text == "(" and len(before) == 2 and before[0][1] == "." and before[1][1] in MACROS
            )
    return found


def _is_bar(tokens: Sequence[Token], index: int) -> bool:
    return index >= 0 and tokens[index] == ("other", "|")


def _source(tokens: Sequence[Token]) -> str:
    """The text of tokens, with a space where two would become one."""
    text = ""
    for index, (kind, part) in enumerate(tokens):
        apart = index and "other" not in (kind, tokens[index - 1][0])
        text += f" {part}" if apart else part
    return text
