"""YAML files with several documents, read as JSON data with line numbers."""

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final, TypeAlias

import yaml

from orchestrator.errors import ConfigurationError
from orchestrator.messages.numbers import keeps_digits
from orchestrator.messages.texts import short
from orchestrator.sdk.yaml_bounds import check_nodes, check_text

Path: TypeAlias = tuple[str | int, ...]

SURROGATE: Final = re.compile("[\ud800-\udfff]")
_TAG: Final = "tag:yaml.org,2002:"
_JSON_TAGS: Final = frozenset(_TAG + name for name in ("map", "seq", "str", "int", "float", "bool", "null"))


class _Loader(yaml.SafeLoader):
    """Reads the scalars of YAML 1.2 (core schema, section 10.3).

    YAML 1.1, PyYAML's default, reads `no` as false, `12:30` as 750 and `2026-01-31` as a date. Numbers with
    leading zeros stay text.
    """


_Loader.yaml_implicit_resolvers = {}
_WHOLE: Final = "(0|[1-9][0-9]*)"
_EXPONENT: Final = "[eE][-+]?[0-9]+"
_FORMS: Final = {
    _TAG + "bool": re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"),
    _TAG + "int": re.compile(rf"^[-+]?{_WHOLE}$"),
    _TAG + "float": re.compile(
        rf"^[-+]?(?:(?:{_WHOLE}\.[0-9]*|\.[0-9]+)(?:{_EXPONENT})?|{_WHOLE}{_EXPONENT})$"
    ),
    _TAG + "null": re.compile(r"^(?:~|null|Null|NULL|)$"),
}
for _tag, _form in _FORMS.items():
    _Loader.add_implicit_resolver(_tag, _form, None)
_Loader.add_implicit_resolver(_TAG + "merge", re.compile(r"^<<$"), ["<"])


@dataclass(frozen=True)
class YamlDocument:
    """One document of a file."""

    file: str
    text: str
    """The document as its author wrote it."""
    content: Any
    lines: dict[Path, int]

    def problem(self, path: Path, text: str) -> str:
        """A problem at a path of the document, as `FILE:LINE: path: text`."""
        known = path
        while known and known not in self.lines:
            known = known[:-1]
        place = ".".join(map(str, path))
        return f"{self.file}:{self.lines[known]}: {place + ': ' if place else ''}{text}"


def read_documents(text: str, file: str) -> tuple[list[YamlDocument], list[str]]:
    """The documents of a file, or what is wrong with its YAML, each as `FILE:LINE: text`."""
    documents: list[YamlDocument] = []
    problems: list[str] = []
    try:
        for part, node, loader in _composed(text):
            lines: dict[Path, int] = {(): node.start_mark.line + 1}
            found = [f"{file}:{line}: {problem}" for line, problem in _walk(node, (), lines)]
            problems += found
            if found:
                continue
            documents.append(YamlDocument(file, part, loader.construct_document(node), lines))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        problems.append(f"{file}:{line}: invalid YAML: {error.problem or error.context}")
    except RecursionError:
        problems.append(f"{file}:1: invalid YAML: it is nested too deeply, or an anchor contains itself")
    except (yaml.YAMLError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
        # What the loader raises for a value that does not have the form of its tag is of any of these.
        problems.append(f"{file}:1: invalid YAML: {' '.join(str(error).split())}")
    return [] if problems else documents, problems


def _composed(text: str) -> Iterator[tuple[str, yaml.Node, Any]]:
    """The text and the node of each document; empty documents are left out."""
    starts = [
        event.start_mark.index
        for event in check_text(text, _Loader)
        if isinstance(event, yaml.DocumentStartEvent) and event.start_mark
    ]
    bounds = [0, *starts[1:], len(text)]
    loader: Any = _Loader(text)
    for begin, end in pairwise(bounds):
        if not loader.check_node():
            return
        node = loader.get_node()
        check_nodes(node)
        if node.tag != _TAG + "null":
            yield text[begin:end], node, loader


def _walk(node: yaml.Node, path: Path, lines: dict[Path, int]) -> Iterator[tuple[int, str]]:
    """Fills in the line of each path, and yields what JSON cannot hold."""
    line = node.start_mark.line + 1
    if node.tag not in _JSON_TAGS:
        yield (
            line,
            f"{node.tag.replace(_TAG, '!!')} is not a JSON type: use text, numbers, booleans, lists and mappings",
        )
    elif isinstance(node, yaml.ScalarNode) and SURROGATE.search(node.value):
        yield line, "this text has half of a character (a lone surrogate)"
    elif isinstance(node, yaml.ScalarNode):
        yield from ((line, problem) for problem in _scalar_problems(node))
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            lines[*path, index] = item.start_mark.line + 1
            yield from _walk(item, (*path, index), lines)
    elif isinstance(node, yaml.MappingNode):
        seen: set[str] = set()
        for key, value in node.value:
            yield from _key_problems(key, seen)
            place: Path = path if key.tag == _TAG + "merge" else (*path, str(key.value))
            lines[place] = key.start_mark.line + 1
            yield from _walk(value, place, lines)


def _scalar_problems(node: yaml.ScalarNode) -> Iterator[str]:
    """What is no number or word of YAML 1.2 though its tag says so, and numbers that JSON's readers do not keep."""
    form, written = _FORMS.get(node.tag), node.value
    if form is None:
        return
    is_whole = _FORMS[_TAG + "int"].fullmatch(written) is not None
    if not form.fullmatch(written) and not (node.tag == _TAG + "float" and is_whole):
        tag = node.tag.replace(_TAG, "!!")
        yield f"{short(written)!r} is no {tag} of YAML 1.2: write it as YAML 1.2 does, or leave out the tag"
    elif node.tag == _TAG + "float" and math.isinf(float(written)):
        yield f"the number {short(written)} is too large"
    elif node.tag == _TAG + "float" and not keeps_digits(written):
        yield f"the number {short(written)} has more digits than are kept: write it as text, in quotes"


def _key_problems(key: yaml.Node, seen: set[str]) -> Iterator[tuple[int, str]]:
    line = key.start_mark.line + 1
    if key.tag == _TAG + "merge":
        return
    if key.tag != _TAG + "str":
        yield line, f"the key {key.value} is not text: write it in quotes"
    elif key.value in seen:
        yield line, f"duplicate key {key.value}"
    seen.add(str(key.value))


def read_yaml(text: str, file: str) -> Any:
    """The only document of a text as JSON data, None if it is empty. `file` is what errors call it.

    Raises `ConfigurationError` with every problem, each as `FILE:LINE: text`. It is meant for text that others wrote:
    its size, its depth, and what its aliases stand for are bounded.
    """
    documents, problems = read_documents(text, file)
    if not problems and len(documents) > 1:
        problems.append(f"{file}:{documents[1].lines[()]}: write one document, not {len(documents)}")
    if problems:
        raise ConfigurationError(*problems)
    return documents[0].content if documents else None
