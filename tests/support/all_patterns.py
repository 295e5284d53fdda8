"""Every regular expression in our modules: those that they hold, and those that are written where they are used."""

import ast
import importlib
import pkgutil
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from inspect import getsourcefile
from pathlib import Path
from types import ModuleType
from typing import Any, Final

PACKAGES: Final = ("orchestrator", "orchestrator_services")
_FUNCTIONS: Final = frozenset(
    {"compile", "sub", "subn", "match", "search", "fullmatch", "findall", "finditer", "split"}
)
_AT_ONE_PLACE: Final = frozenset({"match", "fullmatch"})


@dataclass(frozen=True)
class Found:
    """An expression, where it is from, and how it is applied."""

    place: str
    pattern: re.Pattern[str]
    methods: frozenset[str] = field(default=frozenset())
    """Its methods that are called; none if it is not known."""

    def run(self, text: str) -> None:
        if self.methods and self.methods <= _AT_ONE_PLACE:
            for method in self.methods:
                getattr(self.pattern, method)(text)
        else:
            for _ in self.pattern.finditer(text):
                pass


@cache
def all_patterns() -> tuple[Found, ...]:
    """Each expression once."""
    modules = list(_modules())
    called = _methods(modules)
    found: dict[tuple[str, int], Found] = {}
    for module in modules:
        for one in (*_held(module, called), *_written(module)):
            found.setdefault((one.pattern.pattern, one.pattern.flags), one)
    return tuple(found.values())


def computed_patterns() -> set[str]:
    """Where an expression is made of something that is known only when it is used."""
    return {
        f"{_name(module)}: {ast.unparse(call.args[0])}"
        for module in _modules()
        for call in _calls(_tree(module))
        if _value(call.args[0], module) is None
    }


def _modules() -> Iterator[ModuleType]:
    for package in PACKAGES:
        root = importlib.import_module(package)
        yield root
        for info in pkgutil.walk_packages(root.__path__, f"{package}."):
            if not info.name.endswith("__main__"):
                yield importlib.import_module(info.name)


def _held(module: ModuleType, called: Mapping[str, frozenset[str]]) -> Iterator[Found]:
    """Those in the module's variables, however deep."""
    for name, value in vars(module).items():
        own = not isinstance(value, type) or value.__module__ == module.__name__
        if own and not name.startswith("__"):
            for pattern in _patterns_in(value, 0):
                if isinstance(pattern.pattern, str):
                    yield Found(f"{_name(module)}: {name}", pattern, called.get(name, frozenset()))


def _patterns_in(value: Any, depth: int) -> Iterator[re.Pattern[str]]:
    if depth > 5:
        return
    match value:
        case re.Pattern():
            yield value
        case dict():
            for one in value.values():
                yield from _patterns_in(one, depth + 1)
        case list() | tuple() | set() | frozenset():
            for one in value:
                yield from _patterns_in(one, depth + 1)
        case type():
            for one in vars(value).values():
                yield from _patterns_in(one, depth + 1)


def _written(module: ModuleType) -> Iterator[Found]:
    """Those in calls of `re`, and those of fields (`pattern=`) and of JSON schemas (`"pattern":`)."""
    tree = _tree(module)
    for call in _calls(tree):
        pattern = _value(call.args[0], module)
        if isinstance(pattern, str):
            name = call.func.attr if isinstance(call.func, ast.Attribute) else ""
            methods = frozenset() if name == "compile" else frozenset({name})
            yield Found(f"{_name(module)}:{call.lineno}", re.compile(pattern, _flags(call, module)), methods)
    for node in ast.walk(tree):
        for value in _of_fields(node):
            pattern = _value(value, module)
            if isinstance(pattern, str):
                yield Found(f"{_name(module)}:{value.lineno}", re.compile(pattern))


def _of_fields(node: ast.AST) -> Iterator[ast.expr]:
    match node:
        case ast.keyword(arg="pattern", value=value):
            yield value
        case ast.Dict(keys=keys, values=values):
            for key, value in zip(keys, values, strict=True):
                if isinstance(key, ast.Constant) and key.value == "pattern":
                    yield value


def _calls(tree: ast.AST) -> Iterator[ast.Call]:
    for node in ast.walk(tree):
        match node:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="re"), attr=name)) if name in _FUNCTIONS:
                yield node


def _flags(call: ast.Call, module: ModuleType) -> int:
    for argument in [*call.args[1:], *(keyword.value for keyword in call.keywords if keyword.arg == "flags")]:
        flags = _value(argument, module)
        if isinstance(flags, re.RegexFlag):
            return flags
    return 0


def _value(expression: ast.expr, module: ModuleType) -> Any:
    """What the expression is with the module's variables; None if it needs others."""
    # Calls may do anything, and what they return depends on more than the module.
    if any(isinstance(node, ast.Call) for node in ast.walk(expression)):
        return None
    try:
        return eval(compile(ast.Expression(expression), "", "eval"), dict(vars(module)))  # noqa: S307 - our own code
    except NameError:
        return None


def _methods(modules: list[ModuleType]) -> dict[str, frozenset[str]]:
    """Of each name in any module, the methods of expressions that are called on it."""
    found: defaultdict[str, set[str]] = defaultdict(set)
    for module in modules:
        for node in ast.walk(_tree(module)):
            match node:
                case ast.Attribute(value=ast.Name(id=name), attr=method) if method in _FUNCTIONS:
                    found[name].add(method)
                case ast.Attribute(value=ast.Attribute(attr=name), attr=method) if method in _FUNCTIONS:
                    found[name].add(method)
    return {name: frozenset(methods) for name, methods in found.items()}


@cache
def _tree(module: ModuleType) -> ast.Module:
    return ast.parse(Path(getsourcefile(module) or "").read_text(encoding="utf-8"))


def _name(module: ModuleType) -> str:
    return module.__name__
