"""A scanner for risky and missing settings finds nothing in any main shape of an installation."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.charts import SHAPES, Helm, named, shape
from tools import go_tools

OVERRULED = {
    "container-image-pull-policy": "a version's image never changes; to be sure, name it by digest",
    "deployment-has-host-podantiaffinity": "copies are spread by topology constraints",
    "statefulset-has-host-podantiaffinity": "copies are spread by topology constraints",
    "deployment-replicas": "scalers set the number; a sink and the admin tools are one pod",
    "deployment-strategy": "a singleton must end before the next one starts",
}
"""Checks that do not apply, and why."""


def scanned(helm: Helm, values: Path, settings: tuple[str, ...] = ()) -> list[tuple[str, str, str]]:
    """What the scanner objects to: object, check, comment."""
    done = helm.template(values, settings=settings)
    assert done.returncode == 0, done.stderr
    ignored = [word for check in OVERRULED for word in ("--ignore-test", check)]
    score = subprocess.run(
        [go_tools.kube_score(), "score", "--kubernetes-version", "v1.34", "--output-format", "json",
         "--enable-optional-test", "container-security-context-privileged",
         "--enable-optional-test", "container-seccomp-profile", *ignored, "-"],
        input=done.stdout, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert score.stdout.startswith("["), score.stderr
    found: list[dict[str, Any]] = json.loads(score.stdout)
    return [
        (one["object_name"], check["check"]["id"], comment["summary"])
        for one in found
        for check in one["checks"] or ()
        if not check["skipped"] and check["grade"] < 10
        for comment in check["comments"] or ()
    ]


@pytest.mark.parametrize("values", SHAPES, ids=named)
def test_the_scanner_finds_nothing(helm4: Helm, values: Path) -> None:
    assert scanned(helm4, values) == []


def test_the_scanner_finds_what_is_missing(helm4: Helm) -> None:
    """It would report pods without limits, without a policy, or with a root file system that can be written."""
    for setting, check in {
        'services.planner.resources={"limits":{"memory":"1Gi"}}': "container-resources",
        "networkPolicy.enabled=false": "pod-networkpolicy",
        "securityContext.readOnlyRootFilesystem=false": "container-security-context-readonlyrootfilesystem",
        "podDisruptionBudget.enabled=false": "deployment-has-poddisruptionbudget",
        'image.tag="latest"': "container-image-tag",
    }.items():
        assert check in {found for _, found, _ in scanned(helm4, shape("minimal"), (setting,))}, setting
