"""Subjects of commits: what is refused and why, and which commits are looked at."""

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest

SCRIPT = Path(__file__).parents[3] / "scripts" / "check_commits.py"
Git = Callable[..., str]


def _loaded() -> Any:
    spec = spec_from_file_location("check_commits", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


check_commits = _loaded()


@pytest.fixture
def git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Git:
    """Runs git in a new repository, which is the working directory."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for who in ("AUTHOR", "COMMITTER"):
        monkeypatch.setenv(f"GIT_{who}_NAME", "Ada")
        monkeypatch.setenv(f"GIT_{who}_EMAIL", "ada@example.org")
    monkeypatch.chdir(tmp_path)

    def run(*words: str) -> str:
        return subprocess.run(["git", *words], capture_output=True, text=True, check=True).stdout.strip()

    run("init", "--quiet", "--initial-branch=main")
    return run


def commit(git: Git, *subjects: str) -> str:
    """Commits these, one after the other; the last one's hash."""
    for subject in subjects:
        git("commit", "--quiet", "--allow-empty", "--message", subject)
    return git("rev-parse", "HEAD")


def checked(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, SCRIPT, *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize(
    "subject",
    [
        "Add a glossary",
        "Pass the deadline down",
        "Embed the broker",
        "Bring up three nodes",
        "Re-read what was aborted",
        "Fix: read `events` first",
        "Move " + "x" * 67,
    ],
)
def test_a_good_subject_is_accepted(subject: str) -> None:
    assert check_commits.problems(subject) == []


@pytest.mark.parametrize(
    ("subject", "problem"),
    [
        ("Move " + "x" * 68, "has 73 characters, at most 72 are allowed"),
        ("Add a glossary.", "ends with a full stop"),
        ("add a glossary", "does not begin with a capital letter"),
        ("Added a glossary", "does not begin with an imperative: 'added'"),
        ("Adding a glossary", "does not begin with an imperative: 'adding'"),
        ("Adds a glossary", "does not begin with an imperative: 'adds'"),
        ("A glossary", "does not begin with an imperative: 'a'"),
        ("The loop aborts", "does not begin with an imperative: 'the'"),
        ("What a session waits for", "does not begin with an imperative: 'what'"),
        ("Who is fenced ends", "does not begin with an imperative: 'who'"),
        ("It's done", 'does not begin with an imperative: "it\'s"'),
        ("`events` come first", "does not begin with an imperative: ''"),
    ],
)
def test_a_bad_subject_is_refused_with_the_reason(subject: str, problem: str) -> None:
    assert problem in check_commits.problems(subject)


def test_all_problems_of_a_subject_are_reported() -> None:
    assert len(check_commits.problems("the subject of " + "x" * 72 + ".")) == 4


def test_commits_since_a_base_are_checked(git: Git) -> None:
    base = commit(git, "what was before")
    commit(git, "Add one", "added two", "Add three")

    done = checked(base)

    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "'added two'" in line
    assert checked("HEAD~1").returncode == 0


def test_merge_commits_may_have_any_subject(git: Git) -> None:
    base = commit(git, "Begin")
    git("switch", "--quiet", "--create", "side")
    commit(git, "Add one")
    git("switch", "--quiet", "main")
    commit(git, "Add two")
    git("merge", "--quiet", "--no-ff", "--message", "side, merged.", "side")

    assert checked(base).returncode == 0


def test_a_branch_is_compared_with_main(git: Git) -> None:
    commit(git, "what was before")
    git("switch", "--quiet", "--create", "side")
    commit(git, "a change")

    done = checked()

    assert done.returncode == 1
    assert "a change" in done.stderr
    assert "before" not in done.stderr


def test_a_branch_is_compared_with_its_upstream_first(git: Git) -> None:
    commit(git, "Begin")
    git("switch", "--quiet", "--create", "topic")
    commit(git, "checked elsewhere")
    git("switch", "--quiet", "--create", "side")
    git("branch", "--quiet", "--set-upstream-to", "topic")
    commit(git, "Add one")

    assert checked().returncode == 0


def test_main_alone_is_checked_from_the_marker_on(
    git: Git, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(check_commits, "UNCHECKED", commit(git, "what was before"))
    monkeypatch.setattr(sys, "argv", ["check_commits.py"])
    commit(git, "Add one")
    assert check_commits.main() == 0

    commit(git, "a change")
    assert check_commits.main() == 1
    assert "a change" in capsys.readouterr().err


def test_a_history_without_the_marker_is_an_error(git: Git) -> None:
    commit(git, "Begin")

    done = checked()

    assert done.returncode == 2
    assert "fetch the whole history" in done.stderr


def test_a_folder_without_a_history_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))

    done = checked("HEAD")

    assert done.returncode == 2
    assert done.stderr.startswith("cannot check commits: ")
