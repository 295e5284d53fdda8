"""Documents and the references into them: filled in, or an error that says which place is missing."""

import json
from typing import Any, Final

from orchestrator.errors import ContractError
from orchestrator.messages.filling import fill_content
from orchestrator.messages.identity import canonical_uuid, claim_of, derived_id
from orchestrator.messages.types import Reference
from orchestrator.messages.values import json_value, read_json, value_of
from orchestrator.sdk.templates import rendered, steps_in, template_problems
from orchestrator.sessions.view import shown
from tests.fuzz.target import promise
from tests.fuzz.targets.text import text_target

_OUTPUTS: Final[dict[str, Any]] = {
    "a": {"rows": [1, {"b": None}], "": 2, "/": 3, "~": [[]], "-": {"x": "y"}},
    "b": [1, 2],
    "c": "t",
}
_GRAMMAR: Final = {
    "start": ('{"content": <any>, "references": [<references>]}', "<any>", "<text>"),
    "references": ("<reference>", "<reference>, <references>", ""),
    "reference": ('{"into": "<pointer>", "step_id": "<step>", "at": "<pointer>"}',),
    "pointer": (
        "",
        "/rows",
        "/rows/0",
        "/rows/-",
        "/-",
        "/a",
        "/a/b",
        "/0",
        "/1",
        "/~",
        "/~2",
        "/~0~1",
        "a",
        "//",
        "/rows/01",
        "/é",
    ),
    "step": ("a", "b", "c", "d", ""),
    "any": (
        "1",
        '"<text>"',
        "[<any>]",
        "[<any>, <any>]",
        '{"a": <any>}',
        '{"rows": [<any>], "": <any>}',
        '{"$from": "a"}',
        "1e400",
        "NaN",
    ),
    "text": (
        "a",
        "${item}",
        "${ item }",
        "$${x}",
        "${",
        "${a}${b}",
        "${{}}",
        "\ud800",
        "0190b2c4-7f3a-7c1e-9d2b-3f4a5b6c7d8e",
    ),
}


def check(text: str) -> None:
    _check_ids(text)
    for media_type in ("application/json", "text/plain"):
        value = value_of(text.encode("utf-8", "surrogatepass"), media_type)
        for read in (read_json, shown):
            try:
                read(value)
            except ContractError as error:
                promise("JSON" in str(error), "an error says what was expected")
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        found = text
    _check_templates(found)
    if not isinstance(found, dict) or not isinstance(found.get("references"), list):
        return
    references = [_reference(one) for one in found["references"]]
    try:
        filled = fill_content(found.get("content"), references, json.loads(json.dumps(_OUTPUTS)))
    except ContractError as error:
        promise(bool(str(error)), "an error says what is missing")
        return
    try:
        json_value(filled)
    except ContractError as error:
        promise("JSON" in str(error), "what cannot be written is named")


def _reference(given: Any) -> Reference:
    fields = given if isinstance(given, dict) else {}
    return Reference(**{name: str(fields.get(name, "")) for name in ("into", "step_id", "at")})


def _check_templates(content: Any) -> None:
    problems = list(template_problems(content, ("x",), ("item",), ("a", "b")))
    steps_in(content)
    if not problems:
        rendered(content, {"item": [1, "x"]})


def _check_ids(text: str) -> None:
    canonical = canonical_uuid(text)
    promise(
        canonical is None or (len(canonical) == 36 and canonical.isascii()), "an id is in its canonical form"
    )
    tenant, _, key = text.partition("/")
    promise(len(claim_of(tenant, key)) == 16, "a claim has its length")
    promise(claim_of(tenant, key) != claim_of(f"{tenant}/", key), "other tenants have other claims")
    if canonical is not None:
        promise(canonical_uuid(derived_id("x", text)) is not None, "derived ids are ids")


TARGETS: Final = (
    text_target(
        "pointers",
        _GRAMMAR,
        check,
        (
            "orchestrator.messages.filling",
            "orchestrator.messages.values",
            "orchestrator.messages.identity",
            "orchestrator.sdk.templates",
        ),
        longest=3_000,
        inputs=22_000,
        reaches=0.81,
    ),
)
