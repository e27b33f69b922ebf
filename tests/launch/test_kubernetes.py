"""The Kubernetes manifests: their schema, who can connect to whom by the policies, and that all they name is there."""

import re
import shlex
import subprocess
from collections.abc import Iterator
from copy import copy, deepcopy
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from cryptography import x509

from fedphd.common.config import Config, compose
from fedphd.common.config.topology import homes
from fedphd.launch.commands import COMMANDS
from fedphd.launch.deploy.keys import nodes_of
from fedphd.launch.deploy.kubernetes import render
from fedphd.launch.deploy.services import services

TOPOLOGIES = {
    "testbed": ["topology=testbed", "partition=iid"],
    "own homes": ["topology.clients=4", "topology.edges=3", "topology.homes=[[0],[2,1],[1],[0,1]]", "partition=iid"],
    "flat": ["topology=flat", "topology.clients=3", "partition=dirichlet"],
}
OLDEST = "1.25"
WORKLOADS = ("Deployment", "StatefulSet", "Job")
PORT = 8000

Tree = dict[str, Any]


@pytest.fixture(scope="module", params=list(TOPOLOGIES.values()), ids=list(TOPOLOGIES))
def config(request: pytest.FixtureRequest) -> Config:
    return compose(request.param)


class Manifests:
    """Rendered objects by kind and name."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.objects: list[Tree] = list(yaml.safe_load_all(text))

    def named(self, *kinds: str) -> dict[str, Tree]:
        found = [one for one in self.objects if one["kind"] in kinds]
        named = {one["metadata"]["name"]: one for one in found}
        assert len(named) == len(found), f"two objects of {kinds} have the same name"
        return named

    @property
    def pods(self) -> dict[str, Tree]:
        """The pod template of each workload."""
        return {name: one["spec"]["template"] for name, one in self.named(*WORKLOADS).items()}

    @property
    def containers(self) -> dict[str, Tree]:
        """All containers that are not for waiting."""
        return {one["name"]: one for pod in self.pods.values() for one in pod["spec"]["containers"]}

    def pod_of(self, service: str) -> str:
        """Name the one pod behind a Service."""
        selector = self.named("Service")[service]["spec"]["selector"]
        (found,) = [name for name, pod in self.pods.items() if selected({"matchLabels": selector}, labels(pod))]
        return found

    def connects(self, source: str, target: str, port: int = PORT) -> bool:
        """Whether the policies at both ends let one pod connect to another."""
        one, other = labels(self.pods[source]), labels(self.pods[target])
        return self._allows("Egress", one, other, port) and self._allows("Ingress", other, one, port)

    def _allows(self, direction: str, own: dict[str, str], peer: dict[str, str], port: int) -> bool:
        specs = [one["spec"] for one in self.named("NetworkPolicy").values()]
        applying = [spec for spec in specs if direction in spec["policyTypes"] and selected(spec["podSelector"], own)]
        rules = [rule for spec in applying for rule in spec.get(direction.lower(), [])]
        return not applying or any(
            port in [one["port"] for one in rule["ports"]]
            and any(self._is_peer(one, peer) for one in rule["from" if direction == "Ingress" else "to"])
            for rule in rules
        )

    @staticmethod
    def _is_peer(rule: Tree, peer: dict[str, str]) -> bool:
        # With a namespaceSelector a rule is about another namespace.
        return "namespaceSelector" not in rule and selected(rule["podSelector"], peer)

    def reaches(self, source: str) -> set[str]:
        return {target for target in self.pods if target != source and self.connects(source, target)}


def labels(pod: Tree) -> dict[str, str]:
    found: dict[str, str] = pod["metadata"]["labels"]
    return found


def selected(selector: Tree, found: dict[str, str]) -> bool:
    """Whether a label selector, of the two kinds that are used, takes these labels; an empty one takes all."""
    assert set(selector) <= {"matchLabels", "matchExpressions"}
    expressions = selector.get("matchExpressions", [])
    assert all(one["operator"] == "Exists" for one in expressions)
    equal = all(found.get(key) == value for key, value in selector.get("matchLabels", {}).items())
    return equal and all(one["key"] in found for one in expressions)


def every_container(pod: Tree) -> list[Tree]:
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def claims(pod: Tree) -> set[str]:
    volumes = pod["spec"]["volumes"]
    return {one["persistentVolumeClaim"]["claimName"] for one in volumes if "persistentVolumeClaim" in one}


@pytest.fixture(scope="module")
def manifests(config: Config) -> Manifests:
    return Manifests(render(config))


# --- the schema -------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", [OLDEST, kubernetes_validate.latest_version()])
def test_every_object_has_kubernetes_schema(config: Config, version: str) -> None:
    limits = config.resources.model_copy(update={"client_cpus": 1.5, "client_memory": "2g"})
    for one in Manifests(render(config.model_copy(update={"resources": limits}), gpu=True)).objects:
        kubernetes_validate.validate(one, version, strict=True)


def test_the_schema_check_finds_what_is_wrong(manifests: Manifests) -> None:
    one = deepcopy(manifests.named("StatefulSet")["root-superlink"])
    one["spec"]["template"]["spec"]["volume"] = []
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(one, OLDEST, strict=True)


# --- who can connect to whom ------------------------------------------------------------------------


def test_a_client_reaches_only_its_homes_gates(config: Config, manifests: Manifests) -> None:
    for client, own in homes(config.topology).items():
        (pod,) = [name for name, one in manifests.pods.items() if labels(one)["holder"] == client]
        expected = {f"{home}-gate" for home in own} if config.topology.edges else {"root-gate"}
        assert manifests.reaches(pod) == expected


def test_an_edge_reaches_itself_and_the_roots_gate(config: Config, manifests: Manifests) -> None:
    for edge in set(nodes_of(config.topology)) - {"root"}:
        assert manifests.reaches(edge) == {f"{edge}-superlink", f"{edge}-gate", "root-gate"}
        assert manifests.reaches(f"{edge}-gate") == {f"{edge}-superlink"}
        assert manifests.reaches(f"{edge}-superlink") == {f"{edge}-gate"}


def test_a_superlink_is_reached_only_from_its_own_tier(config: Config, manifests: Manifests) -> None:
    for tier in nodes_of(config.topology):
        callers = {source for source in manifests.pods if f"{tier}-superlink" in manifests.reaches(source)}
        own = {"root-superexec", "run"} if tier == "root" else {tier}
        assert callers == own | {f"{tier}-gate", f"{tier}-register"}
        assert {labels(manifests.pods[caller])["holder"] for caller in callers} == {tier}


def test_no_other_port_and_nobody_from_elsewhere(manifests: Manifests) -> None:
    assert not any(manifests.connects(one, other, 9094) for one in manifests.pods for other in manifests.pods)
    for policy in manifests.named("NetworkPolicy").values():
        for rule in policy["spec"].get("ingress", []):
            assert [set(peer) for peer in rule["from"]] == [{"podSelector"}]  # of this namespace
        for rule in policy["spec"].get("egress", []):
            away = any("podSelector" not in peer or "namespaceSelector" in peer for peer in rule["to"])
            assert not away or {one["port"] for one in rule["ports"]} == {53}
    assert all("type" not in service["spec"] for service in manifests.named("Service").values())
    for pod in manifests.pods.values():
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(pod["spec"])
        assert not any("hostPort" in port for one in every_container(pod) for port in one.get("ports", []))


def test_without_the_policies_all_could_connect(manifests: Manifests) -> None:
    bare = copy(manifests)
    bare.objects = [one for one in manifests.objects if one["kind"] != "NetworkPolicy"]
    assert bare.connects("root-gate", "root-superlink", 9094)


# --- what is named is there -------------------------------------------------------------------------


def test_every_holder_has_its_own_keys_and_no_others(manifests: Manifests) -> None:
    for pod in manifests.pods.values():
        secrets = [one["secret"]["secretName"] for one in pod["spec"]["volumes"] if "secret" in one]
        assert secrets == [f"keys-{labels(pod)['holder']}"]


def test_claims_are_declared_and_used(manifests: Manifests) -> None:
    used = set().union(*(claims(pod) for pod in manifests.pods.values()))
    assert used == set(manifests.named("PersistentVolumeClaim"))


def test_mounts_have_volumes_and_everybody_has_a_tmp_of_their_own(manifests: Manifests) -> None:
    for pod in manifests.pods.values():
        volumes = [one["name"] for one in pod["spec"]["volumes"]]
        assert len(volumes) == len(set(volumes))
        mounted = [mount["name"] for one in every_container(pod) for mount in one["volumeMounts"]]
        assert set(mounted) == set(volumes)
        for one in pod["spec"]["containers"]:
            (tmp,) = [mount["name"] for mount in one["volumeMounts"] if mount["mountPath"] == "/tmp"]
            assert mounted.count(tmp) == 1


def test_config_maps_exist_or_are_optional(manifests: Manifests) -> None:
    known = manifests.named("ConfigMap")
    for name, one in manifests.containers.items():
        assert {source["configMapRef"]["name"] for source in one["envFrom"]} <= set(known)
        settings = [entry for entry in one.get("env", []) if "valueFrom" in entry]
        assert all(entry["valueFrom"]["configMapKeyRef"]["optional"] for entry in settings)
        assert [entry["name"] for entry in settings] == (["FEDPHD_RUN", "FEDPHD_OVERRIDES"] if name == "run" else [])


def test_services_lead_to_a_pod_that_listens(manifests: Manifests) -> None:
    for name, service in manifests.named("Service").items():
        (port,) = service["spec"]["ports"]
        (container,) = manifests.pods[manifests.pod_of(name)]["spec"]["containers"]
        assert container["ports"] == [{"containerPort": port["targetPort"]}]


def addresses(pod: Tree) -> Iterator[str]:
    """Name the hosts that the commands of a pod connect to."""
    for one in every_container(pod):
        yield from re.findall(r"([a-z0-9-]+-(?:gate|superlink)(?:\.[a-z.]+)?):8000", " ".join(one["command"]))


def test_addresses_are_services_that_may_be_called(manifests: Manifests) -> None:
    for name, pod in manifests.pods.items():
        for host in addresses(pod):
            service, _, domain = host.partition(".")
            assert domain in ("", "fedphd.svc.cluster.local")
            assert manifests.connects(name, manifests.pod_of(service))


def test_a_gate_is_told_the_full_name_since_nginx_knows_no_short_ones(config: Config, manifests: Manifests) -> None:
    for tier in nodes_of(config.topology):
        *_, superlink, port, folder = manifests.containers[f"{tier}-gate"]["command"]
        assert superlink == f"{tier}-superlink.fedphd.svc.cluster.local:8000"
        assert (port, folder) == ("8000", "/keys")


def test_nobody_waits_for_what_it_cannot_reach(manifests: Manifests) -> None:
    for pod in manifests.pods.values():
        waits = [one["name"].removeprefix("wait-for-") for one in pod["spec"].get("initContainers", [])]
        assert len(waits) == len(set(waits))
        assert set(waits) <= manifests.reaches(labels(pod)["pod"])
    for name in ("root-superexec", "root-register", "root-gate", "run"):
        (wait,) = manifests.pods[name]["spec"]["initContainers"]
        assert wait["name"] == "wait-for-root-superlink"


# --- the commands in the header ---------------------------------------------------------------------


@pytest.fixture
def made(manifests: Manifests, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which the header's command has made the keys."""
    monkeypatch.chdir(tmp_path)
    (command,) = re.findall(r"fedphd (keys .*)", header(manifests))
    COMMANDS["keys"](shlex.split(command)[1:])
    return tmp_path


def header(manifests: Manifests) -> str:
    """The header's commands without their marks, each on one line."""
    lines = [line[1:] for line in manifests.text.split("---")[0].splitlines()]
    return "\n".join(lines).replace("\\\n", "")


def test_the_headers_secrets_have_the_files_that_pods_ask_for(manifests: Manifests, made: Path) -> None:
    (loop,) = re.findall(r"for holder in .*?done", header(manifests), re.DOTALL)
    shell = f'kubectl() {{ echo "$@"; }}\n{loop}'
    printed = subprocess.run(["sh", "-euc", shell], cwd=made, capture_output=True, text=True, check=True).stdout
    created = {}
    for line in printed.splitlines():
        found = re.fullmatch(r"--namespace fedphd create secret generic (\S+)((?: --from-file=\S+)+)", line)
        assert found is not None
        folders = re.findall(r"--from-file=(\S+)", found[2])
        created[found[1]] = {file.name: file for folder in folders for file in (made / folder).iterdir()}
    for pod in manifests.pods.values():
        for secret in (one["secret"] for one in pod["spec"]["volumes"] if "secret" in one):
            own = made / "keys" / secret["secretName"].removeprefix("keys-")
            items = {item["key"]: own / item["path"] for item in secret["items"]}
            files = created[secret["secretName"]]
            assert items == {name: file for name, file in files.items() if file.is_file()}


def test_servers_have_certificates_for_the_names_by_which_they_are_called(manifests: Manifests, made: Path) -> None:
    called = {host for pod in manifests.pods.values() for host in addresses(pod)}
    assert called
    for host in called:
        tier = re.sub(r"-(gate|superlink).*", "", host)
        certificate = x509.load_pem_x509_certificate((made / "keys" / tier / "server.pem").read_bytes())
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        assert host in names.get_values_for_type(x509.DNSName)


# --- containers and where they are ------------------------------------------------------------------


def test_every_service_but_the_keys_is_a_container_once(config: Config, manifests: Manifests) -> None:
    described = {one.name: one for one in services(config) if one.name != "keys"}
    assert set(manifests.containers) == set(described)
    assert sum(len(pod["spec"]["containers"]) for pod in manifests.pods.values()) == len(described)
    for name in ("run", "root-superlink", "root-superexec", "root-register"):
        assert manifests.containers[name]["command"] == list(described[name].command)


def test_who_shares_a_disk_is_in_one_pod_with_ports_of_their_own(config: Config, manifests: Manifests) -> None:
    for edge in set(nodes_of(config.topology)) - {"root"}:
        names = {one["name"] for one in manifests.pods[edge]["spec"]["containers"]}
        assert names == {f"{edge}-superexec", f"{edge}-gateway"}
    for pod in manifests.pods.values():
        commands = [one["command"] for one in pod["spec"]["containers"]]
        ports = [command[command.index("--port") + 1] for command in commands if "--port" in command]
        assert len(ports) == len(set(ports))
    for client, own in homes(config.topology).items():
        (pod,) = [one for one in manifests.pods.values() if labels(one)["holder"] == client]
        assert len(pod["spec"]["containers"]) == len(own)
        assert {f"{client}-state", f"data-{client}"} == claims(pod)


def test_pods_that_share_a_volume_are_on_the_same_node(manifests: Manifests) -> None:
    def place(name: str) -> str:
        affinity = manifests.pods[name]["spec"].get("affinity", {"podAffinity": {}})["podAffinity"]
        terms = affinity.get("requiredDuringSchedulingIgnoredDuringExecution", [])
        places = {place(term["labelSelector"]["matchLabels"]["pod"]) for term in terms}
        assert len(places) <= 1
        return places.pop() if places else name

    for claim in manifests.named("PersistentVolumeClaim"):
        assert len({place(name) for name, pod in manifests.pods.items() if claim in claims(pod)}) == 1


def test_what_has_a_state_never_runs_twice(manifests: Manifests) -> None:
    kinds = {name: one["kind"] for name, one in manifests.named(*WORKLOADS).items()}
    for name, kind in kinds.items():
        job = name == "run" or name.endswith("-register")
        assert kind == ("Job" if job else "Deployment" if name.endswith("-gate") else "StatefulSet")
    for name, one in manifests.named("StatefulSet").items():
        assert one["spec"]["serviceName"] in ("", *manifests.named("Service"))
        assert (one["spec"]["serviceName"] != "") == name.endswith("-superlink")


def test_jobs_end_and_only_the_registration_is_tried_again(manifests: Manifests) -> None:
    for name, job in manifests.named("Job").items():
        again = (job["spec"]["template"]["spec"]["restartPolicy"], job["spec"]["backoffLimit"] > 0)
        assert again == (("Never", False) if name == "run" else ("OnFailure", True))


def test_containers_have_no_rights(manifests: Manifests) -> None:
    namespace = manifests.named("Namespace")["fedphd"]
    assert namespace["metadata"]["labels"] == {"pod-security.kubernetes.io/enforce": "restricted"}
    for pod in manifests.pods.values():
        context = pod["spec"]["securityContext"]
        assert context["runAsNonRoot"] is True
        assert context["runAsUser"] == context["fsGroup"] == 10001
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod["spec"]["automountServiceAccountToken"] is False
        for one in every_container(pod):
            assert one["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            keys_mount = one["volumeMounts"][0]
            assert (keys_mount["mountPath"], keys_mount["readOnly"]) == ("/keys", True)


def test_what_listens_is_asked_whether_it_is_well(manifests: Manifests) -> None:
    for one in manifests.containers.values():
        if "ports" in one:
            assert one["readinessProbe"]["httpGet"] == {"path": "/health", "port": PORT, "scheme": "HTTPS"}
            assert one["livenessProbe"]["tcpSocket"] == {"port": PORT}
        assert ("ports" in one) == ("readinessProbe" in one) == ("startupProbe" in one)


# --- GPUs, limits, the image ------------------------------------------------------------------------


def test_gpus_are_for_what_computes(config: Config, manifests: Manifests) -> None:
    assert not any("resources" in one for one in manifests.containers.values())
    for name, one in Manifests(render(config, gpu=True)).containers.items():
        computes = name == "root-superexec" or name.startswith("client-")
        assert one.get("resources") == ({"limits": {"nvidia.com/gpu": 1}} if computes else None)


def test_limits_are_in_kubernetes_units() -> None:
    # 512m is 512 MiB to Docker, half a byte to Kubernetes.
    config = compose([*TOPOLOGIES["testbed"], "resources.client_cpus=2", "resources.client_memory=512m"])
    for name, one in Manifests(render(config)).containers.items():
        limits = {"limits": {"cpu": "2", "memory": "512Mi"}}
        assert one.get("resources") == (limits if name.startswith("client-") else None)


def test_the_image_can_be_named(config: Config, manifests: Manifests, monkeypatch: pytest.MonkeyPatch) -> None:
    assert {one["image"] for pod in manifests.pods.values() for one in every_container(pod)} == {"fedphd:latest"}
    monkeypatch.setenv("FEDPHD_IMAGE", "registry.example/fedphd:1")
    named = Manifests(render(config))
    assert {one["image"] for pod in named.pods.values() for one in every_container(pod)} == {
        "registry.example/fedphd:1"
    }
