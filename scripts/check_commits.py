"""Checks the subjects of commits: at most 72 characters, imperative, capitalised, no full stop at the end.

`python scripts/check_commits.py [BASE]` checks the commits that HEAD has and BASE lacks. It exits 1 and names each
subject that breaks a rule, 2 if it cannot read the history. Merge commits are left out.
"""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from typing import Final

LONGEST: Final = 72
"""Characters that `git log` shows in 80 columns, after its indentation."""

UNCHECKED: Final = "dc86471c91c140f2e224dbde35747fcc01c552a8"
"""The last commit that the rules do not hold for: subjects up to here are older than the rules. It is the base where no
other is found, as in a fresh clone of the main branch."""

UPSTREAM: Final = ("@{upstream}", "origin/main", "main")
"""What a branch is compared with, the first that exists and that HEAD has commits beyond."""

_ARTICLES: Final = {
    "a",
    "an",
    "the",
    "this",
    "that",
    "these",
    "those",
    "all",
    "each",
    "every",
    "no",
    "one",
    "two",
    "three",
}
_PRONOUNS: Final = {
    "it",
    "they",
    "their",
    "we",
    "our",
    "you",
    "your",
    "nobody",
    "nothing",
    "none",
    "there",
    "here",
}
_QUESTIONS: Final = {"what", "who", "whoever", "which", "where", "when", "why", "how", "if"}
_LINKS: Final = {"and", "but", "not", "with", "without", "for", "from", "in", "on", "to"}
NO_VERBS: Final = _ARTICLES | _PRONOUNS | _QUESTIONS | _LINKS
"""First words of sentences that do not say what the commit does."""

VERBS: Final = {"bring", "embed", "feed", "focus", "need", "ping", "proceed", "process", "seed", "speed"}
"""Bare verbs that end like an inflected one."""


def problems(subject: str) -> list[str]:
    """What is wrong with a subject, for people; empty where nothing is."""
    found = []
    if len(subject) > LONGEST:
        found.append(f"has {len(subject)} characters, at most {LONGEST} are allowed")
    if subject.endswith("."):
        found.append("ends with a full stop")
    if not subject[:1].isupper():
        found.append("does not begin with a capital letter")
    word = re.split(r"[^\w'-]", subject, maxsplit=1)[0].lower()
    if not _may_be_imperative(word):
        found.append(f"does not begin with an imperative: {word!r}")
    return found


def _may_be_imperative(word: str) -> bool:
    """Whether a word may be a bare verb: it is no article or pronoun, and is not inflected."""
    if word in VERBS:
        return True
    is_inflected = word.endswith(("ed", "ing")) or (word.endswith("s") and not word.endswith("ss"))
    return bool(word) and word not in NO_VERBS and not is_inflected


def base() -> str:
    """The newest commit that is not checked."""
    for name in UPSTREAM:
        shared = _git("merge-base", "HEAD", name, check=False)
        if shared and shared != _git("rev-parse", "HEAD"):
            return shared
    if not _git("rev-parse", "--verify", "--quiet", f"{UNCHECKED}^{{commit}}", check=False):
        raise OSError(f"commit {UNCHECKED} is not in this clone: fetch the whole history, or name a base")
    return UNCHECKED


def subjects(since: str) -> Iterator[tuple[str, str]]:
    """Short hash and subject of each commit from `since` to HEAD, merges left out."""
    for line in _git("log", "--no-merges", "--format=%h %s", f"{since}..HEAD", "--").splitlines():
        short, _, subject = line.partition(" ")
        yield short, subject


def report(commits: Iterable[tuple[str, str]]) -> list[str]:
    """A line for each commit whose subject breaks a rule."""
    return [
        f"{short} {subject!r} {'; '.join(found)}"
        for short, subject in commits
        if (found := problems(subject))
    ]


def _git(*words: str, check: bool = True) -> str:
    """What git prints. Raises `OSError` with what it says, unless `check` is off: then a failure is empty."""
    git = shutil.which("git")
    if git is None:
        raise OSError("git is not installed")
    done = subprocess.run([git, *words], capture_output=True, text=True, check=False)
    if done.returncode and check:
        raise OSError(done.stderr.strip())
    return "" if done.returncode else done.stdout.strip()


def main() -> int:
    try:
        wrong = report(subjects(sys.argv[1] if len(sys.argv) > 1 else base()))
    except OSError as error:
        print(f"cannot check commits: {error}", file=sys.stderr)
        return 2
    for line in wrong:
        print(line, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    raise SystemExit(main())
