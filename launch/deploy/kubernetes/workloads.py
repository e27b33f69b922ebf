"""Workloads, which keep pods running: deployments, stateful sets and jobs."""

import os
from collections.abc import Iterator, Mapping, Sequence

from fedphd.common.config import TopologyConfig
from fedphd.launch.deploy.keys import CA, NODE, NODE_KEYS, ROOT, SECRET, SERVER, SERVER_KEY, nodes_of
from fedphd.launch.deploy.kubernetes.objects import Tree, full_name, make_object
from fedphd.launch.deploy.kubernetes.pods import Pod, disk, is_keys, volume_name
from fedphd.launch.deploy.services import NODE_PORT, PORT, USER, Mount, Service

IMAGE_VARIABLE, IMAGE = "FEDPHD_IMAGE", "fedphd:latest"
RETRIES = 20  # of a job that is tried again
GPU = "nvidia.com/gpu"
MEMORY_UNITS = {"m": "Mi", "g": "Gi"}  # as Docker counts them
FLOWER, RUN = "flower", "run"  # config maps: Flower's settings for all, and the user's for a run
WAIT = 'until "$@" 2>/dev/null; do echo "not healthy yet"; sleep 2; done'


class Workloads:
    """Makes workloads.

    Parameters
    ----------
    topology : TopologyConfig
        Says who there is.
    services : Mapping[str, Service]
        All services by their names.
    gpu : bool
        Whether what trains or draws images gets a GPU.
    """

    def __init__(self, topology: TopologyConfig, services: Mapping[str, Service], gpu: bool) -> None:
        self.topology = topology
        self.services = services
        self.gpu = gpu
        self.image = os.environ.get(IMAGE_VARIABLE) or IMAGE

    def workload(self, pod: Pod) -> Tree:
        """Make a job, a deployment of what keeps nothing, or a stateful set, of which two never run at once."""
        template: Tree = {"metadata": {"labels": pod.labels}, "spec": self._pod_spec(pod)}
        first = pod.services[0]
        if first.lifetime != "service":
            retried = first.lifetime == "retried job"
            template["spec"]["restartPolicy"] = "OnFailure" if retried else "Never"
            spec: Tree = {"backoffLimit": RETRIES if retried else 0, "template": template}
            return make_object("batch/v1", "Job", pod.name, {"spec": spec}, pod.holder)
        spec = {"replicas": 1, "selector": {"matchLabels": {"pod": pod.name}}, "template": template}
        if disk(first) is None:
            return make_object("apps/v1", "Deployment", pod.name, {"spec": spec}, pod.holder)
        # Before Kubernetes 1.33 a name must be given; only SuperLinks have a Service.
        spec = {"serviceName": pod.name if first.port else "", **spec}
        return make_object("apps/v1", "StatefulSet", pod.name, {"spec": spec}, pod.holder)

    def _pod_spec(self, pod: Pod) -> Tree:
        mounts = {volume_name(mount, pod.holder): mount for service in pod.services for mount in service.mounts}
        waits = {name: service for service in pod.services for name in self._waits(service, service.networks)}
        spec: Tree = {
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "shareProcessNamespace": True,  # brings an init process, which sees to orphans
            "securityContext": {
                "runAsNonRoot": True,
                **dict.fromkeys(("runAsUser", "runAsGroup", "fsGroup"), USER),
                "fsGroupChangePolicy": "OnRootMismatch",
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "initContainers": [self._wait(name, service) for name, service in waits.items()],
            "containers": [self._container(service, index) for index, service in enumerate(pod.services)],
            "volumes": [
                *(self._source(name, mount, pod.holder) for name, mount in mounts.items()),
                *({"name": _temporary(service), "emptyDir": {}} for service in pod.services),
            ],
        }
        if not waits:
            del spec["initContainers"]
        if pod.beside:
            terms = [
                {"labelSelector": {"matchLabels": {"pod": other}}, "topologyKey": "kubernetes.io/hostname"}
                for other in pod.beside
            ]
            spec["affinity"] = {"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
        return spec

    def _waits(self, service: Service, networks: Sequence[str]) -> Iterator[str]:
        """Name what must be healthy before a service starts, itself or for others, as far as it can be asked."""
        for name, need in service.after.items():
            needed = self.services.get(name)
            if needed is not None and need != "healthy":
                yield from self._waits(needed, networks)
            elif needed is not None and set(networks) & set(needed.networks):
                yield name

    def _wait(self, name: str, service: Service) -> Tree:
        """Make an init container that asks another service, by its own health check, until it is well."""
        health = [part.replace("127.0.0.1", name) for part in self.services[name].health or ()]
        return {
            **self._common(f"wait-for-{name}", ["sh", "-c", WAIT, "wait", *health]),
            "volumeMounts": [_mounted(mount, service.holder) for mount in service.mounts if is_keys(mount)],
        }

    def _container(self, service: Service, index: int) -> Tree:
        tree = self._common(service.name, _command(service, index))
        tree["envFrom"] = [{"configMapRef": {"name": FLOWER}}]
        own = [{"name": name, "value": value} for name, value in service.environment.items()]
        if own or service.settings:
            tree["env"] = own + [_setting(name) for name in service.settings]
        if service.port:
            tree["ports"] = [{"containerPort": service.port}]
            tree |= _probes(service.port)
        if limits := _limits(service, self.gpu):
            tree["resources"] = {"limits": limits}
        temporary = {"name": _temporary(service), "mountPath": "/tmp"}
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
        if not is_keys(mount):
            return {"name": name, "persistentVolumeClaim": {"claimName": name}}
        items = [{"key": path.rpartition("/")[2], "path": path} for path in _key_files(holder, self.topology)]
        return {"name": name, "secret": {"secretName": name, "defaultMode": 0o440, "items": items}}


def _probes(port: int) -> Tree:
    # Of a gate, the SuperLink behind it answers; while that is away, to start the gate again would not help.
    well = {"httpGet": {"path": "/health", "port": port, "scheme": "HTTPS"}, "timeoutSeconds": 5}
    return {
        "startupProbe": {**well, "periodSeconds": 5, "failureThreshold": 60},
        "readinessProbe": {**well, "periodSeconds": 10},
        "livenessProbe": {"tcpSocket": {"port": port}, "periodSeconds": 10, "failureThreshold": 6},
    }


def _limits(service: Service, gpu: bool) -> Tree:
    limits: Tree = {}
    if service.cpus is not None:
        limits["cpu"] = f"{service.cpus:g}"
    if service.memory is not None:
        limits["memory"] = service.memory[:-1] + MEMORY_UNITS[service.memory[-1]]
    return limits | ({GPU: 1} if gpu and service.trains else {})


def _command(service: Service, index: int) -> list[str]:
    """Fit a command to Kubernetes; `index` is the container's number in its pod."""
    superlink = f"{service.holder}-superlink"
    changes = {str(NODE_PORT): str(NODE_PORT + index)}  # containers of a pod share their loopback
    if service.port:
        # A gate's nginx asks the name server itself, which knows no short names.
        changes[f"{superlink}:{PORT}"] = f"{full_name(superlink)}:{PORT}"
    return [changes.get(part, part) for part in service.command]


def _setting(name: str) -> Tree:
    return {"name": name, "valueFrom": {"configMapKeyRef": {"name": RUN, "key": name, "optional": True}}}


def _temporary(service: Service) -> str:
    return f"tmp-{service.name}"


def _mounted(mount: Mount, holder: str) -> Tree:
    tree: Tree = {"name": volume_name(mount, holder), "mountPath": str(mount.path)}
    return {**tree, "readOnly": True} if mount.read_only else tree


def _key_files(holder: str, topology: TopologyConfig) -> list[str]:
    """Name the files of a holder's keys (launch/deploy/keys.py)."""
    nodes, files = nodes_of(topology), [CA]
    if holder in nodes:
        files += [SERVER, SERVER_KEY, SECRET, *(f"{NODE_KEYS}/{node}.pub" for node in nodes[holder])]
    return files if holder == ROOT else [*files, NODE, f"{NODE}.pub"]
