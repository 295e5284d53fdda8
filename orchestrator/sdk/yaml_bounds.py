"""Bounds of YAML that others write: what a short text may stand for, before any of it is built.

An alias is a few bytes that stand for all that its anchor holds, so nested ones grow exponentially; and the parser
itself takes quadratic time for nesting. `check_text` reads events one by one and stops at the first excess;
`check_nodes` counts what the aliases of a document come to.
"""

from collections.abc import Iterator
from typing import Any, Final

import yaml

MOST_CHARACTERS: Final = 300_000
"""Of a file. The parser takes some ten seconds for a megabyte."""
MOST_NODES: Final = 20_000
"""Scalars, lists and mappings of a file, with every alias as its anchor's content."""
MOST_NESTED: Final = 50
"""Lists and mappings inside each other, with every alias as its anchor's content."""
MOST_ANCHORS: Final = 1_000

_OPENING: Final = (yaml.SequenceStartEvent, yaml.MappingStartEvent)
_CLOSING: Final = (yaml.SequenceEndEvent, yaml.MappingEndEvent)
_NODES: Final = (*_OPENING, yaml.ScalarEvent, yaml.AliasEvent)


def check_text(text: str, loader: Any) -> Iterator[yaml.Event]:
    """The events of a text. Raises `yaml.MarkedYAMLError` for the first excess, other `yaml.YAMLError` for what is
    no YAML."""
    if len(text) > MOST_CHARACTERS:
        raise _excess(f"the text has {len(text)} characters; at most {MOST_CHARACTERS} are allowed", None)
    nested = nodes = anchors = 0
    for event in yaml.parse(text, Loader=loader):
        nested += isinstance(event, _OPENING) - isinstance(event, _CLOSING)
        nodes += isinstance(event, _NODES)
        anchors += isinstance(event, (*_OPENING, yaml.ScalarEvent)) and event.anchor is not None
        if nested > MOST_NESTED:
            raise _excess(_too_nested(), event.start_mark)
        if nodes > MOST_NODES:
            raise _excess(f"more than {MOST_NODES} values; divide the file", event.start_mark)
        if anchors > MOST_ANCHORS:
            raise _excess(f"more than {MOST_ANCHORS} anchors; write the values out", event.start_mark)
        yield event


def check_nodes(root: yaml.Node) -> None:
    """Raises `yaml.MarkedYAMLError` if a document is too large or too deeply nested, with every alias as what its
    anchor holds. Takes time by what is written, not by what it stands for."""
    sizes: dict[int, tuple[int, int]] = {}
    _measured(root, sizes, set())


def _measured(node: yaml.Node, sizes: dict[int, tuple[int, int]], within: set[int]) -> tuple[int, int]:
    """Values and levels of a node."""
    known = sizes.get(id(node))
    if known is not None:
        return known
    if id(node) in within:
        raise _excess("an anchor holds an alias of itself; write the value out", node.start_mark)
    within.add(id(node))
    size, levels = 1, 0
    for part in _parts(node):
        of_part, below = _measured(part, sizes, within)
        size, levels = size + of_part, max(levels, below + 1)
        if size > MOST_NODES:
            raise _excess(
                f"its aliases stand for more than {MOST_NODES} values; use fewer aliases of aliases",
                node.start_mark,
            )
        if levels > MOST_NESTED:
            raise _excess(_too_nested(), node.start_mark)
    within.discard(id(node))
    sizes[id(node)] = size, levels
    return size, levels


def _parts(node: yaml.Node) -> Iterator[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        yield from node.value
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            yield key
            yield value


def _too_nested() -> str:
    return f"values are nested more than {MOST_NESTED} levels deep; make them flatter"


def _excess(problem: str, mark: Any) -> yaml.MarkedYAMLError:
    return yaml.MarkedYAMLError(problem=problem, problem_mark=mark)
