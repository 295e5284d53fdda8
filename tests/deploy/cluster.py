"""A real API server with its controllers, and a stand-in for nodes: pods never run, they end as a test wants."""

import json
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import yaml

from orchestrator.local.ports import lease_free_port
from tests.deploy.charts import Object

READY_S: Final = 180.0
SEEN_S: Final = 120.0
TOKEN: Final = "of-this-test"
CONTROLLERS: Final = (
    "serviceaccount-controller,namespace-controller,garbage-collector-controller,job-controller,"
    "deployment-controller,replicaset-controller,statefulset-controller,resourcequota-controller,"
    "disruption-controller"
)
CUSTOM: Final = {
    "kafka.strimzi.io": ("v1", {"KafkaTopic": "kafkatopics"}),
    "keda.sh": (
        "v1alpha1",
        {"ScaledObject": "scaledobjects", "TriggerAuthentication": "triggerauthentications"},
    ),
    "monitoring.coreos.com": (
        "v1",
        {
            "PodMonitor": "podmonitors",
            "ServiceMonitor": "servicemonitors",
            "PrometheusRule": "prometheusrules",
        },
    ),
}
"""Custom kinds by group, with any content: their operators do not run here."""


@dataclass
class Cluster:
    """The API by paths and JSON. `kubeconfig` is for Helm."""

    port: int
    kubeconfig: Path
    trust: ssl.SSLContext
    ran: list[str] = field(default_factory=list)
    """Names of jobs whose pods ended well, in their order."""
    failing: set[str] = field(default_factory=set)
    """Namespaces in which pods of jobs fail."""
    hanging: set[str] = field(default_factory=set)
    """Namespaces in which they go on and on."""

    def ask(self, method: str, path: str, body: object = None, kind: str = "application/json") -> Any:
        """The response's JSON. Raises `HTTPError`."""
        request = Request(
            f"https://127.0.0.1:{self.port}{path}",
            data=None if body is None else json.dumps(body).encode(),
            method=method,
            headers={"Authorization": f"Bearer {TOKEN}", "Content-Type": kind},
        )
        try:
            with urlopen(request, timeout=30, context=self.trust) as answered:  # noqa: S310 - a URL of ours
                return json.load(answered)
        except HTTPError as error:
            with error:
                error.msg = error.read().decode(errors="replace")[:2000]
            raise

    def merge(self, path: str, body: object) -> Any:
        return self.ask("PATCH", path, body, "application/merge-patch+json")

    def listed(self, path: str) -> list[Object]:
        items: list[Object] = self.ask("GET", path)["items"]
        return items

    def namespace(self, name: str, quota: Mapping[str, str] | None = None) -> str:
        """A namespace in which only restricted pods may run."""
        labels = {"pod-security.kubernetes.io/enforce": "restricted"}
        self.ask("POST", "/api/v1/namespaces", {"metadata": {"name": name, "labels": labels}})
        if quota:
            path = f"/api/v1/namespaces/{name}/resourcequotas"
            self.ask("POST", path, {"metadata": {"name": "all"}, "spec": {"hard": dict(quota)}})
            wait_for(lambda: self.ask("GET", f"{path}/all")["status"].get("hard"), "the quota applies")
        account = f"/api/v1/namespaces/{name}/serviceaccounts"
        wait_for(lambda: self.listed(account), "the namespace has its account")
        return name

    def define(self, group: str, version: str, kinds: Mapping[str, str]) -> None:
        """Adds custom kinds, and waits until they can be used."""
        definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
        for kind, plural in kinds.items():
            self.ask("POST", definitions, _definition(group, version, kind, plural))
        for plural in kinds.values():
            wait_for(partial(self.has, f"/apis/{group}/{version}/{plural}"), f"{plural} are known")

    def has(self, path: str) -> bool:
        """Whether it is there; not while the server begins to store its kind (429)."""
        try:
            self.ask("GET", path)
        except HTTPError as error:
            if error.code not in (404, 429):
                raise
            return False
        return True

    def end_pods(self) -> None:
        """Lets every pod of a job that is there end, as it should."""
        for pod in self.listed("/api/v1/pods?fieldSelector=status.phase%3DPending"):
            owners = pod["metadata"].get("ownerReferences", [])
            if not owners or owners[0]["kind"] != "Job":
                continue
            space, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
            if space in self.hanging:
                continue
            phase = "Failed" if space in self.failing else "Succeeded"
            try:
                self.merge(f"/api/v1/namespaces/{space}/pods/{name}/status", {"status": {"phase": phase}})
            except HTTPError as error:
                if error.code != 404:
                    raise
                continue
            if phase == "Succeeded":
                self.ran.append(f"{space}/{owners[0]['name']}")


@contextmanager
def running_cluster(program: Path, folder: Path) -> Iterator[Cluster]:
    """Starts etcd, API server and controllers; ends them with what they hold."""
    leases = [lease_free_port() for _ in range(3)]
    store, peer, api = (lease.port for lease in leases)
    cluster = _prepared(folder, api)
    processes = []
    try:
        for name, words in _commands(folder, store, peer, api).items():
            with folder.joinpath(f"{name}.log").open("wb") as log:
                process = subprocess.Popen([program, name, *words], cwd=folder, stdout=log, stderr=log)
            processes.append(process)
            if name == "apiserver":
                _wait_ready(cluster, process, folder)
        for group, (version, kinds) in CUSTOM.items():
            cluster.define(group, version, kinds)
        with _nodes(cluster):
            yield cluster
    finally:
        # They hold nothing that anybody reads again.
        for process in reversed(processes):
            process.kill()
            process.wait()
        for lease in leases:
            lease.release()


def wait_for(condition: Callable[[], Any], what: str) -> Any:
    """What the condition returns, once it holds."""
    deadline = time.monotonic() + SEEN_S
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {SEEN_S:.0f} s: {what}"
        time.sleep(0.1)
    return found


@contextmanager
def _nodes(cluster: Cluster) -> Iterator[None]:
    """A thread that ends the pods of jobs. What it raises is raised at the end."""
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(0.3):
            cluster.end_pods()

    with ThreadPoolExecutor(1, thread_name_prefix="nodes") as threads:
        working = threads.submit(work)
        try:
            yield
        finally:
            stop.set()
        working.result()


def _prepared(folder: Path, port: int) -> Cluster:
    """Keys, tokens and a kubeconfig in the folder."""
    key = folder / "accounts.key"
    subprocess.run(["openssl", "genrsa", "-out", key, "2048"], check=True, capture_output=True)
    folder.joinpath("tokens.csv").write_text(f'{TOKEN},tester,tester,"system:masters"\n')
    url = f"https://127.0.0.1:{port}"
    kubeconfig = folder / "kubeconfig"
    kubeconfig.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "test", "cluster": {"server": url, "insecure-skip-tls-verify": True}}],
                "users": [{"name": "test", "user": {"token": TOKEN}}],
                "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
                "current-context": "test",
            }
        )
    )
    # Its certificate is made when it starts, and it listens on this machine only.
    trust = ssl.create_default_context()
    trust.check_hostname = False
    trust.verify_mode = ssl.CERT_NONE
    return Cluster(port, kubeconfig, trust)


def _commands(folder: Path, store: int, peer: int, api: int) -> dict[str, list[str]]:
    """Arguments of each program, in the order in which they start."""
    return {
        "etcd": [
            f"--data-dir={folder / 'etcd'}",
            f"--listen-client-urls=http://127.0.0.1:{store}",
            f"--advertise-client-urls=http://127.0.0.1:{store}",
            f"--listen-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-advertise-peer-urls=http://127.0.0.1:{peer}",
            f"--initial-cluster=default=http://127.0.0.1:{peer}",
            "--unsafe-no-fsync",
        ],
        "apiserver": [
            f"--etcd-servers=http://127.0.0.1:{store}",
            "--bind-address=127.0.0.1",
            "--advertise-address=127.0.0.1",
            f"--secure-port={api}",
            f"--cert-dir={folder / 'certificates'}",
            f"--token-auth-file={folder / 'tokens.csv'}",
            "--authorization-mode=RBAC",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={folder / 'accounts.key'}",
            f"--service-account-signing-key-file={folder / 'accounts.key'}",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--endpoint-reconciler-type=none",
        ],
        "controllers": [
            f"--kubeconfig={folder / 'kubeconfig'}",
            "--bind-address=127.0.0.1",
            "--secure-port=0",
            "--leader-elect=false",
            f"--controllers={CONTROLLERS}",
            "--kube-api-qps=500",
            "--kube-api-burst=1000",
        ],
    }


def _wait_ready(cluster: Cluster, process: "subprocess.Popen[bytes]", folder: Path) -> None:
    deadline = time.monotonic() + READY_S
    log = folder / "apiserver.log"
    while True:
        assert process.poll() is None, f"the API server has ended:\n{log.read_text()[-3000:]}"
        assert time.monotonic() < deadline, f"the API server is not ready:\n{log.read_text()[-3000:]}"
        try:
            request = Request(
                f"https://127.0.0.1:{cluster.port}/readyz", headers={"Authorization": f"Bearer {TOKEN}"}
            )
            with urlopen(request, timeout=5, context=cluster.trust):  # noqa: S310 - a URL of ours
                return
        except (HTTPError, URLError, ConnectionError, TimeoutError):
            time.sleep(0.2)


def _definition(group: str, version: str, kind: str, plural: str) -> Object:
    anything = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    served = {"name": version, "served": True, "storage": True, "schema": {"openAPIV3Schema": anything}}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}"},
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {"kind": kind, "plural": plural, "singular": kind.lower()},
            "versions": [served],
        },
    }
