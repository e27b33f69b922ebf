"""Kubernetes manifests: a deployment's containers in one namespace of a cluster.

Services that write to the same volume are containers of one pod, since most volumes can be mounted on one node only;
so are an edge's two faces, and the nodes of a client with several homes. A job that shares a volume with a pod is
placed on that pod's node. The networks of `services` are labels of pods: policies deny everything but connections to
those that serve a network, from those in it.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from common.config import Config, TopologyConfig
from common.deploy.keys import CA, NODE, NODE_KEYS, ROOT, SECRET, SERVER, SERVER_KEY, nodes_of
from common.deploy.services import AUTHORITY, DATA_VOLUME, NODE_PORT, PORT, USER, Mount, Service, keys_volume, services
from common.flower.home import ENVIRONMENT

NAMESPACE = "fedphd"
DOMAIN = "cluster.local"
IMAGE_VARIABLE, IMAGE = "FEDPHD_IMAGE", "fedphd:latest"
SIZE = "10Gi"  # of each volume
RETRIES = 20  # of a job that is tried again
GPU = {"nvidia.com/gpu": 1}
FLOWER, RUN = "flower", "run"  # config maps: Flower's settings for all, and the user's for a run
SERVES, CALLS = "serves", "calls"  # what a pod does in a network: values of its labels
WAIT = 'until "$@" 2>/dev/null; do echo "not healthy yet"; sleep 2; done'

HEADER = """\
# Rendered for {clients} clients and {edges} edges by `fedphd kubernetes{gpu}` with overrides that say so,
# `topology=...` and `partition=...`. A change belongs there, or into an overlay, as kustomize's. What each container
# is for stands in common/deploy/services.py; how to go about it, in docs/cluster.md. In a folder of your own:
#
#   fedphd keys keys {keys}
#   kubectl create namespace {namespace}
#   for holder in {holders}; do
#     kubectl --namespace {namespace} create secret generic keys-$holder --from-file=keys/$holder \\
#       $(test -d keys/$holder/{node_keys} && echo --from-file=keys/$holder/{node_keys})
#   done
#   kubectl --namespace {namespace} create configmap run --from-literal=FEDPHD_OVERRIDES='rounds=3'   # if you like
#   kubectl apply --filename THIS_FILE
#
# The image's name was taken from the environment variable FEDPHD_IMAGE.
"""

Tree = dict[str, Any]


@dataclass(frozen=True)
class Pod:
    """Containers that are placed together: services that share a volume, or one job.

    Attributes
    ----------
    name : str
        That of its service, or its holder's if it has several.
    services : tuple[Service, ...]
        Its containers; all of one holder.
    beside : str or None
        The pod on whose node it must be.
    """

    name: str
    services: tuple[Service, ...]
    beside: str | None = None

    @property
    def holder(self) -> str:
        """The tier or client whose keys it has."""
        return self.services[0].holder

    @property
    def labels(self) -> dict[str, str]:
        """How it is found: by workload, service and policies."""
        networks = {network: CALLS for service in self.services for network in service.networks}
        networks |= {network: SERVES for service in self.services if service.port for network in service.networks}
        roles = {_label(network): role for network, role in networks.items()}
        return {"app": NAMESPACE, "holder": self.holder, "pod": self.name, **roles}


def render(config: Config, gpu: bool = False) -> str:
    """Render the manifests of a deployment.

    Parameters
    ----------
    config : Config
        Its topology says which containers there are. See `services`.
    gpu : bool
        Give a GPU to each container that trains or draws images.

    Returns
    -------
    str
        YAML, one document for each object.
    """
    topology = config.topology
    described = {service.name: service for service in services(config) if service.holder != AUTHORITY}
    networks = dict.fromkeys(network for service in described.values() for network in service.networks)
    pods = _pods(list(described.values()))
    maker = _Maker(topology, described, gpu)
    documents = [
        _namespace(),
        _object("v1", "ConfigMap", FLOWER, {"data": dict(ENVIRONMENT)}),
        *_policies(networks),
        *_claims(pods),
        *(_service(pod, service) for pod in pods for service in pod.services if service.port),
        *(maker.workload(pod) for pod in pods),
    ]
    text = yaml.dump_all(documents, Dumper=_Plain, sort_keys=False, width=116, default_flow_style=None)
    return _header(topology, gpu) + "---\n" + text


def _header(topology: TopologyConfig, gpu: bool) -> str:
    hosts = [f"--host {tier}={_full_name(f'{tier}-superlink')}" for tier in nodes_of(topology)]
    shape = [f"topology.{key}={value}" for key, value in (("clients", topology.clients), ("edges", topology.edges))]
    if topology.homes is not None:
        shape.append(f"topology.homes={str(topology.homes).replace(' ', '')}")
    return HEADER.format(
        clients=topology.clients,
        edges=topology.edges,
        gpu=" --gpu" if gpu else "",
        keys=" \\\n#     ".join([*hosts, " ".join(shape)]),
        holders=" ".join(_holders(topology)),
        namespace=NAMESPACE,
        node_keys=NODE_KEYS,
    )


def _pods(described: Sequence[Service]) -> list[Pod]:
    groups: dict[str, list[Service]] = {}
    for service in described:
        if service.lifetime == "service":
            groups.setdefault(_disk(service) or service.name, []).append(service)
    names = {disk: own[0].name if len(own) == 1 else own[0].holder for disk, own in groups.items()}
    jobs = [service for service in described if service.lifetime != "service"]
    return [
        *(Pod(names[disk], tuple(own)) for disk, own in groups.items()),
        *(Pod(job.name, (job,), names.get(_disk(job) or "")) for job in jobs),
    ]


def _disk(service: Service) -> str | None:
    """Name the volume that a service writes to."""
    return next((mount.volume for mount in service.mounts if not mount.read_only), None)


class _Maker:
    """Makes workloads: deployments of what keeps nothing, stateful sets, which never run twice, and jobs."""

    def __init__(self, topology: TopologyConfig, described: Mapping[str, Service], gpu: bool) -> None:
        self.topology = topology
        self.described = described
        self.gpu = gpu
        self.image = os.environ.get(IMAGE_VARIABLE) or IMAGE

    def workload(self, pod: Pod) -> Tree:
        """Make the object that keeps a pod running."""
        template: Tree = {"metadata": {"labels": pod.labels}, "spec": self._pod_spec(pod)}
        first = pod.services[0]
        if first.lifetime != "service":
            retried = first.lifetime == "retried job"
            template["spec"]["restartPolicy"] = "OnFailure" if retried else "Never"
            spec: Tree = {"backoffLimit": RETRIES if retried else 0, "template": template}
            return _object("batch/v1", "Job", pod.name, {"spec": spec}, pod.holder)
        spec = {"replicas": 1, "selector": {"matchLabels": {"pod": pod.name}}, "template": template}
        if _disk(first) is None:
            return _object("apps/v1", "Deployment", pod.name, {"spec": spec}, pod.holder)
        # Its Service is that of its SuperLink; the other sets serve nothing, and have none.
        spec = {"serviceName": pod.name if first.port else "", **spec}
        return _object("apps/v1", "StatefulSet", pod.name, {"spec": spec}, pod.holder)

    def _pod_spec(self, pod: Pod) -> Tree:
        mounts = {_volume(mount, pod.holder): mount for service in pod.services for mount in service.mounts}
        waits = {name: service for service in pod.services for name in self._waits(service, service.networks)}
        spec: Tree = {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "shareProcessNamespace": True,  # an init process that sees to orphans, as Flower's may be
            "securityContext": {
                "runAsNonRoot": True,
                **{key: USER for key in ("runAsUser", "runAsGroup", "fsGroup")},
                "fsGroupChangePolicy": "OnRootMismatch",
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "initContainers": [self._wait(name, service) for name, service in waits.items()],
            "containers": [self._container(service, index) for index, service in enumerate(pod.services)],
            "volumes": [
                *(self._source(name, mount, pod.holder) for name, mount in mounts.items()),
                *({"name": f"tmp-{service.name}", "emptyDir": {}} for service in pod.services),
            ],
        }
        if pod.beside is not None:
            place = {"labelSelector": {"matchLabels": {"pod": pod.beside}}, "topologyKey": "kubernetes.io/hostname"}
            spec["affinity"] = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [place]}}
        return {key: value for key, value in spec.items() if value}

    def _waits(self, service: Service, networks: Sequence[str]) -> Iterator[str]:
        """Name what must be healthy before a service starts, itself or for others, as far as it can be asked."""
        for name, need in service.after.items():
            needed = self.described.get(name)
            if needed is not None and need != "healthy":
                yield from self._waits(needed, networks)
            elif needed is not None and set(networks) & set(needed.networks):
                yield name

    def _wait(self, name: str, service: Service) -> Tree:
        """Make an init container that asks another container, by its own health check, until it is well."""
        health = [part.replace("127.0.0.1", name) for part in self.described[name].health or ()]
        return {
            **self._common(f"wait-for-{name}", ["sh", "-c", WAIT, "wait", *health]),
            "volumeMounts": [_mounted(mount, service.holder) for mount in service.mounts if _is_keys(mount)],
        }

    def _container(self, service: Service, index: int) -> Tree:
        tree = self._common(service.name, _command(service, index))
        tree["envFrom"] = [{"configMapRef": {"name": FLOWER}}]
        if service.settings:
            tree["env"] = [_setting(name) for name in service.settings]
        if service.port:
            tree["ports"] = [{"containerPort": service.port}]
            well = {"httpGet": {"path": "/health", "port": service.port, "scheme": "HTTPS"}, "timeoutSeconds": 5}
            tree["startupProbe"] = {**well, "periodSeconds": 5, "failureThreshold": 60}
            tree["readinessProbe"] = {**well, "periodSeconds": 10}
            # A gate is ready when its SuperLink is, but starting the gate again would not help that.
            tree["livenessProbe"] = {"tcpSocket": {"port": service.port}, "periodSeconds": 10, "failureThreshold": 6}
        if self.gpu and service.trains:
            tree["resources"] = {"limits": dict(GPU)}
        temporary = {"name": f"tmp-{service.name}", "mountPath": "/tmp"}
        tree["volumeMounts"] = [*(_mounted(mount, service.holder) for mount in service.mounts), temporary]
        return tree

    def _common(self, name: str, command: list[str]) -> Tree:
        """Collect what holds for every container: no rights, and no place to write but /tmp and its volumes."""
        return {
            "name": name,
            "image": self.image,
            "imagePullPolicy": "IfNotPresent",
            "command": command,
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            },
        }

    def _source(self, name: str, mount: Mount, holder: str) -> Tree:
        if not _is_keys(mount):
            return {"name": name, "persistentVolumeClaim": {"claimName": name}}
        items = [{"key": path.rpartition("/")[2], "path": path} for path in _key_files(holder, self.topology)]
        return {"name": name, "secret": {"secretName": name, "defaultMode": 0o440, "items": items}}


def _command(service: Service, index: int) -> list[str]:
    """Fit a command to Kubernetes; `index` is the container's number in its pod."""
    superlink = f"{service.holder}-superlink:{PORT}"
    changes = {str(NODE_PORT): str(NODE_PORT + index)}  # containers of a pod share their loopback
    if service.port and superlink in service.command:
        # A gate's nginx asks the name server itself, which knows no short names.
        changes[superlink] = f"{_full_name(f'{service.holder}-superlink')}:{PORT}"
    return [changes.get(part, part) for part in service.command]


def _setting(name: str) -> Tree:
    return {"name": name, "valueFrom": {"configMapKeyRef": {"name": RUN, "key": name, "optional": True}}}


def _key_files(holder: str, topology: TopologyConfig) -> list[str]:
    """Name the files of a holder's keys (common/deploy/keys.py)."""
    nodes = nodes_of(topology)
    server = [SERVER, SERVER_KEY, SECRET, *(f"{NODE_KEYS}/{node}.pub" for node in nodes[holder])]
    return [CA, *(server if holder in nodes else ()), *([NODE, f"{NODE}.pub"] if holder != ROOT else [])]


def _holders(topology: TopologyConfig) -> list[str]:
    nodes = nodes_of(topology)
    return list(dict.fromkeys([*nodes, *(node for own in nodes.values() for node in own)]))


def _is_keys(mount: Mount) -> bool:
    return mount.volume.startswith(keys_volume(""))


def _volume(mount: Mount, holder: str) -> str:
    """Name a volume; everybody's images are their own."""
    return f"{DATA_VOLUME}-{holder}" if mount.volume == DATA_VOLUME else mount.volume


def _mounted(mount: Mount, holder: str) -> Tree:
    tree: Tree = {"name": _volume(mount, holder), "mountPath": str(mount.path)}
    return {**tree, "readOnly": True} if mount.read_only else tree


def _claims(pods: Sequence[Pod]) -> list[Tree]:
    holders = {
        _volume(mount, pod.holder): pod.holder
        for pod in pods
        for service in pod.services
        for mount in service.mounts
        if not _is_keys(mount)
    }
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": SIZE}}}
    return [_object("v1", "PersistentVolumeClaim", name, {"spec": spec}, holder) for name, holder in holders.items()]


def _service(pod: Pod, service: Service) -> Tree:
    spec = {"selector": {"pod": pod.name}, "ports": [{"port": service.port, "targetPort": service.port}]}
    return _object("v1", "Service", service.name, {"spec": spec}, pod.holder)


def _policies(networks: Mapping[str, None]) -> Iterator[Tree]:
    """Deny everything but the name server, and connections within a network to those that serve it."""
    yield _policy("default-deny", {}, {}, ["Ingress", "Egress"])
    names = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}},
        "podSelector": {"matchLabels": {"k8s-app": "kube-dns"}},
    }
    ports = [{"port": 53, "protocol": protocol} for protocol in ("UDP", "TCP")]
    yield _policy("dns", {}, {"egress": [{"to": [names], "ports": ports}]}, ["Egress"])
    for network in networks:
        members = {"matchExpressions": [{"key": _label(network), "operator": "Exists"}]}
        servers, ports = {"matchLabels": {_label(network): SERVES}}, [{"port": PORT, "protocol": "TCP"}]
        inward = {"ingress": [{"from": [{"podSelector": members}], "ports": ports}]}
        outward = {"egress": [{"to": [{"podSelector": servers}], "ports": ports}]}
        yield _policy(f"{network}-in", servers, inward, ["Ingress"])
        yield _policy(f"{network}-out", members, outward, ["Egress"])


def _policy(name: str, pods: Tree, allowed: Tree, types: list[str]) -> Tree:
    spec = {"podSelector": pods, "policyTypes": types, **allowed}
    return _object("networking.k8s.io/v1", "NetworkPolicy", name, {"spec": spec})


def _label(network: str) -> str:
    return f"network-{network}"


def _full_name(service: str) -> str:
    return f"{service}.{NAMESPACE}.svc.{DOMAIN}"


def _namespace() -> Tree:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}


def _object(version: str, kind: str, name: str, body: Tree, holder: str | None = None) -> Tree:
    labels = {"app": NAMESPACE} if holder is None else {"app": NAMESPACE, "holder": holder}
    metadata = {"name": name, "namespace": NAMESPACE, "labels": labels}
    return {"apiVersion": version, "kind": kind, "metadata": metadata, **body}


class _Plain(yaml.SafeDumper):
    """Writes what occurs twice out twice."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002
        return True
