"""The model of the example: a script that runs anywhere, or a provider's model that a variable names.

Load it with `orchestrator run all --module examples/research_desk/desk.py`.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from orchestrator_services.models import Asked, Says, scripted_model

from orchestrator.sdk import Model, PluginSettings

SCRIPTED = "scripted:desk"


class DeskSettings(PluginSettings, prefix="RESEARCH_DESK"):
    """The model that the agent asks."""

    model: str = SCRIPTED
    """PROVIDER:MODEL, such as openai:gpt-5-mini; the default is a script, which needs no provider."""


@dataclass(frozen=True)
class Reply:
    """A call that the model made earlier, and what came of it."""

    tool: str
    arguments: Mapping[str, Any]
    text: str
    problem: bool

    @cached_property
    def step(self) -> str:
        found = re.search(r'step="([^"]+)"', self.text)
        return found[1] if found else ""

    @cached_property
    def length(self) -> int:
        """Characters of a file's text of which only the beginning is shown; 0 where all of it is."""
        found = re.search(r'"text":"text of (\d+) characters"', self.text)
        return int(found[1]) if found else 0

    @cached_property
    def data(self) -> dict[str, Any]:
        """What the tool returned; empty where only a part of it is shown, or where it failed."""
        inside = re.search(r"<data[^>]*>\n(.*)\n</data>", self.text, re.DOTALL)
        return json.loads(inside[1]) if inside and not self.length and not self.problem else {}

    @property
    def header(self) -> str:
        """The first line of a file."""
        if not self.length:
            return str(self.data.get("text", "")).partition("\n")[0]
        found = re.search(r'"text":"(.*?)\\n', self.text)
        return found[1] if found else ""


@dataclass(frozen=True)
class Seen:
    """What the conversation holds up to now."""

    replies: list[Reply]

    @classmethod
    def of(cls, asked: Asked) -> "Seen":
        calls = {one.call_id: one for one in asked.messages if one.by == "model" and one.call_id}
        return cls(
            [
                Reply(one.tool, _object(calls[one.call_id].arguments), one.text, one.problem)
                for one in asked.messages
                if one.by == "tool" and one.call_id in calls
            ]
        )

    def of_tool(self, tool: str) -> Iterator[Reply]:
        return (one for one in self.replies if one.tool == tool and not one.problem)

    @cached_property
    def documents(self) -> dict[str, str]:
        """Texts that were read, by path."""
        read = {str(one.arguments["path"]): one.data.get("text", "") for one in self.of_tool("files.read")}
        return {path: text for path, text in read.items() if path.endswith(".md")}

    @property
    def missing(self) -> list[str]:
        """Files that could not be read."""
        failed = (one for one in self.replies if one.tool == "files.read" and one.problem)
        return [one.arguments["path"] for one in failed]

    def table(self, *columns: str) -> str:
        """Path of the table that has these columns; empty where none was seen."""
        for one in self.of_tool("files.read"):
            if set(columns) <= set(one.header.split(",")):
                return str(one.arguments["path"])
        return ""

    def rows(self, *columns: str) -> list[dict[str, Any]]:
        """Rows of the query that returned these columns."""
        for one in self.of_tool("sql.query"):
            if list(columns) == one.data.get("columns"):
                return list(one.data["rows"])
        return []


def look_around(_seen: Seen, question: str) -> Iterator[tuple[str, dict[str, Any]]]:
    names = re.findall(r"(?<=\w )[A-Z]\w+", question)
    topics = re.findall(r"warranty|price|delivery", question)
    yield "files.list", {}
    yield "files.search", {"pattern": "|".join([*names, *topics]), "regex": True, "ignore_case": True}


def read_what_was_found(seen: Seen, _question: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Documents in which something was found, tables that exist, and documents that other documents name."""
    found = {match["path"] for one in seen.of_tool("files.search") for match in one.data["matches"]}
    listed = {file["path"] for one in seen.of_tool("files.list") for file in one.data["files"]}
    named = {path for text in seen.documents.values() for path in re.findall(r"[\w-]+/[\w-]+\.md", text)}
    tables = {path for path in listed if path.endswith(".csv")}
    for path in sorted(found | tables | named):
        yield "files.read", {"path": path}


def read_on(seen: Seen, _question: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The newest lines of a table stand at its end."""
    for one in seen.of_tool("files.read"):
        if one.length:
            yield "values.read", {"step": one.step, "pointer": "/text", "offset": one.length - 1_000}


def think_around(seen: Seen, _question: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The subject of a document that is not there may be in another one."""
    for path in seen.missing:
        subject = path.rpartition("/")[2].removesuffix(".md").partition("-")[0]
        yield "files.search", {"pattern": subject, "ignore_case": True, "glob": "*.md"}


def compare(seen: Seen, question: str) -> Iterator[tuple[str, dict[str, Any]]]:
    returns, sales = seen.table("sku", "reason", "country"), seen.table("sku", "units", "country")
    sku = product(seen, question)
    if not (returns and sales and sku):
        return
    yield "sql.query", {"sql": RATES, "files": {"returns": returns, "sales": sales}}
    yield "sql.query", {"sql": REASONS.format(sku=sku), "file": returns}
    if reasons := seen.rows("reason", "returned"):
        query = COUNTRIES.format(sku=sku, reason=reasons[0]["reason"])
        yield "sql.query", {"sql": query, "files": {"returns": returns, "sales": sales}}


RATES = """\
SELECT sku, sold, returned, round(100.0 * returned / sold, 1) AS percent
FROM (SELECT sku, sum(units)::INT AS sold FROM sales GROUP BY sku)
JOIN (SELECT sku, count(*) AS returned FROM returns GROUP BY sku) USING (sku) ORDER BY percent DESC"""
REASONS = """\
SELECT reason, count(*) AS returned FROM data WHERE sku = '{sku}' GROUP BY reason ORDER BY returned DESC, reason"""
COUNTRIES = """\
SELECT country, sold, returned, round(100.0 * returned / sold, 1) AS percent
FROM (SELECT country, sum(units)::INT AS sold FROM sales WHERE sku = '{sku}' GROUP BY country)
JOIN (SELECT country, count(*) AS returned FROM returns WHERE sku = '{sku}' AND reason = '{reason}' GROUP BY country)
USING (country) ORDER BY percent DESC"""


def product(seen: Seen, question: str) -> str:
    """The number of the product that the question names, from the catalogue; empty where it is not known."""
    for one in seen.of_tool("files.read"):
        for line in str(one.data.get("text", "")).splitlines():
            sku, _, rest = line.partition(",")
            name = rest.partition(",")[0]
            if "," in rest and name and name in question:
                return sku
    return ""


def months_of(part: str, text: str) -> int:
    """For how many months a document says that a part is covered; 0 where it does not say."""
    found = re.search(rf"{part}s? (?:is|are) covered for (\d+) months", text, re.IGNORECASE)
    return int(found[1]) if found else 0


def sentence(pattern: str, text: str) -> str:
    """The first sentence that matches; empty without one."""
    lines = [re.sub(r"^(\d+\.|-|#+) ", "\n", line) for line in text.splitlines() if not line.startswith("|")]
    paragraphs = re.split(r"\n\s*\n", "\n".join(line or "\n" for line in lines))
    sentences = [one for part in paragraphs for one in re.split(r"(?<=[.!?]) ", " ".join(part.split()))]
    return next((one for one in sentences if re.search(pattern, one)), "")


@dataclass
class Draft:
    """The answer, as it is being written: each statement with its source."""

    statements: list[str]
    citations: list[dict[str, str]]
    conflicts: list[str]

    def state(self, text: str) -> None:
        self.statements.append(text)

    def cite(self, source: str, says: str) -> None:
        self.citations.append({"source": source, "says": says})


def answer(seen: Seen, question: str) -> dict[str, Any]:
    """What the model says in the end, from what it has read and counted."""
    draft = Draft([], [], [])
    reason = _how_often(seen, product(seen, question), draft)
    _why(seen, reason, draft)
    if "warranty" in question:
        _warranty(seen, reason, draft)
    return {
        "answer": " ".join(draft.statements) or "The files do not say.",
        "citations": draft.citations,
        "conflicts": draft.conflicts,
        "missing": seen.missing,
    }


def _how_often(seen: Seen, sku: str, draft: Draft) -> str:
    """The reason that most returns have; empty where there are none."""
    rates = {row["sku"]: row for row in seen.rows("sku", "sold", "returned", "percent")}
    reasons = seen.rows("reason", "returned")
    if sku not in rates or not reasons:
        return ""
    one, first = rates.pop(sku), reasons[0]
    others = ", ".join(f"{row['sku']}: {row['percent']} %" for row in rates.values())
    draft.state(
        f"Customers returned {one['returned']} of {one['sold']} {sku}, {one['percent']} % ({others}), "
        f"{first['returned']} of them for the reason {first['reason']}."
    )
    draft.cite(seen.table("sku", "units", "country"), f"{one['sold']} {sku} sold")
    returned = ", ".join(f"{row['reason']} {row['returned']}" for row in reasons)
    draft.cite(seen.table("sku", "reason", "country"), f"{one['returned']} {sku} returned: {returned}")
    for end in seen.of_tool("values.read"):
        newest = [line for line in end.data["text"].splitlines() if f",{sku}," in line]
        if newest:
            draft.state(f"The newest of them: {newest[-1].rpartition(',')[2]}.")
            draft.cite(seen.table("sku", "reason", "country"), newest[-1])
    return str(first["reason"])


def _why(seen: Seen, reason: str, draft: Draft) -> None:
    countries = seen.rows("country", "sold", "returned", "percent")
    if countries:
        shares = ", ".join(f"{row['country']} {row['percent']} %" for row in countries)
        draft.state(f"It depends on where they live: {shares} of what was sold there.")
        draft.cite(seen.table("sku", "reason", "country"), f"returns for {reason} by country: {shares}")
    for path, text in seen.documents.items():
        # A cause is a sentence about what happens to the part, in a document that measured it.
        if cause := sentence(r"overheats|wears|breaks because", text):
            draft.state(f"The cause is known: {cause}")
            draft.cite(path, cause)


def _warranty(seen: Seen, part: str, draft: Draft) -> None:
    said = {path: months for path, text in seen.documents.items() if (months := months_of(part, text))}
    rule = next((found for text in seen.documents.values() if (found := sentence(r"differ", text))), "")
    holds = next((path for path in said if rule and _title(path) in rule.partition(",")[2]), "")
    if len(set(said.values())) > 1:
        claims = "; ".join(f"{path} says {months} months" for path, months in said.items())
        decided = f"{holds} holds: {rule}" if holds else "nothing says which of them holds."
        draft.conflicts.append(f"{part}: {claims}. {decided}")
    elif said:
        holds = next(iter(said))
    if not holds:
        draft.state("Whether the warranty covers it is open.")
        return
    draft.state(f"The warranty covers it for {said[holds]} months.")
    draft.cite(holds, sentence(rf"(?i){part}.*months", seen.documents[holds]))
    for introduction, pattern in (
        ("There is an exception:", r"are covered, unless"),
        ("The manual does not ask for descaling:", r"descaling.*at present it does not"),
    ):
        for path, text in seen.documents.items():
            if found := sentence(pattern, text):
                draft.state(f"{introduction} {found}")
                draft.cite(path, found)


def _title(path: str) -> str:
    return path.rpartition("/")[2].removesuffix(".md").replace("-", " ")


RULES = {
    look_around: "I look which files there are, and where the words of the question stand.",
    read_what_was_found: "I read what was found, and what it names.",
    read_on: "The newest lines of the table were not shown: I read on.",
    compare: "I count and compare.",
    think_around: "A document is not there: I look for its subject elsewhere.",
}
"""What the model does, and how it says so."""


@scripted_model(SCRIPTED, input_price="0.25", output_price="2")
def scripted(asked: Asked) -> Says:
    """Asks for everything that a rule wants and that was not asked for yet; answers when there is nothing more.

    The prices are those of a small model, so that the session shows what one costs.
    """
    seen, question = Seen.of(asked), next(one.text for one in asked.messages if one.by == "user")
    made = [(one.tool, one.arguments) for one in seen.replies]
    wanted = {
        says: [call for call in rule(seen, question) if call not in made] for rule, says in RULES.items()
    }
    calls = [call for some in wanted.values() for call in some]
    if not calls or "last turn" in asked.prompt:
        return Says(output=answer(seen, question))
    return Says(text=" ".join(says for says, some in wanted.items() if some), calls=calls)


def build() -> Any:
    """The script, or the model of the provider that the setting names."""
    name = DeskSettings.read().model
    if name == SCRIPTED:
        return scripted.build()
    # Imported here: it takes seconds, and only the planner asks models.
    from pydantic_ai.models import infer_model

    return infer_model(name)


desk = Model("research-desk", build)


def _object(arguments: Any) -> dict[str, Any]:
    return json.loads(arguments) if isinstance(arguments, str) else dict(arguments or {})
