"""The manifests of a deployment as one YAML file."""

import json
from collections.abc import Iterable

import yaml

from fedphd.common.config import Config, TopologyConfig
from fedphd.common.flower.home import ENVIRONMENT
from fedphd.launch.deploy.keys import NODE_KEYS, nodes_of
from fedphd.launch.deploy.kubernetes.objects import NAMESPACE, Tree, full_name, make_object
from fedphd.launch.deploy.kubernetes.pods import Pod, is_keys, pods, volume_name
from fedphd.launch.deploy.kubernetes.policies import policies
from fedphd.launch.deploy.kubernetes.workloads import FLOWER, IMAGE_VARIABLE, RUN, Workloads
from fedphd.launch.deploy.services import AUTHORITY, OVERRIDES, Service, services

SIZE = "10Gi"  # of each volume

HEADER = """\
# Rendered for {clients} clients and {edges} edges by `fedphd kubernetes{gpu}` with overrides that say so,
# `topology=...` and `partition=...`. A change belongs there, or into an overlay, as kustomize's. What each container
# is for stands in launch/deploy/services.py; how to use this, in docs/cluster.md. In an empty folder:
#
#   fedphd keys keys {keys}
#   kubectl create namespace {namespace}
#   for holder in {holders}; do
#     kubectl --namespace {namespace} create secret generic keys-$holder --from-file=keys/$holder \\
#       $(test -d keys/$holder/{node_keys} && echo --from-file=keys/$holder/{node_keys})
#   done
#   kubectl --namespace {namespace} create configmap {run} --from-literal={overrides}='rounds=3'   # if any
#   kubectl apply --filename THIS_FILE
#
# The name of the image is that in the environment variable {image} when this was rendered.
"""


class _Plain(yaml.SafeDumper):
    """Writes what occurs twice out twice."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002
        return True


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
        YAML, one document for each object. The image is the one that the environment variable FEDPHD_IMAGE names,
        by default fedphd:latest.
    """
    described = [service for service in services(config) if service.holder != AUTHORITY]
    placed = pods(described)
    workloads = Workloads(config.topology, {service.name: service for service in described}, gpu)
    documents = [
        _namespace(),
        make_object("v1", "ConfigMap", FLOWER, {"data": dict(ENVIRONMENT)}),
        *policies(dict.fromkeys(network for service in described for network in service.networks)),
        *_claims(placed),
        *(_service(pod, service) for pod in placed for service in pod.services if service.port),
        *(workloads.workload(pod) for pod in placed),
    ]
    text = yaml.dump_all(documents, Dumper=_Plain, sort_keys=False, width=116, default_flow_style=None)
    return f"{_header(config.topology, gpu)}---\n{text}"


def _header(topology: TopologyConfig, gpu: bool) -> str:
    nodes = nodes_of(topology)
    hosts = [f"--host {tier}={full_name(f'{tier}-superlink')}" for tier in nodes]
    homes = json.dumps(topology.homes, separators=(",", ":"))
    shape = f"topology.clients={topology.clients} topology.edges={topology.edges} topology.homes={homes}"
    return HEADER.format(
        clients=topology.clients,
        edges=topology.edges,
        gpu=" --gpu" if gpu else "",
        keys=" \\\n#     ".join([*hosts, shape]),
        holders=" ".join(dict.fromkeys([*nodes, *(node for own in nodes.values() for node in own)])),
        namespace=NAMESPACE,
        node_keys=NODE_KEYS,
        run=RUN,
        overrides=OVERRIDES,
        image=IMAGE_VARIABLE,
    )


def _namespace() -> Tree:
    labels = {"pod-security.kubernetes.io/enforce": "restricted"}
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": labels}}


def _claims(placed: Iterable[Pod]) -> list[Tree]:
    holders = {
        volume_name(mount, pod.holder): pod.holder
        for pod in placed
        for service in pod.services
        for mount in service.mounts
        if not is_keys(mount)
    }
    spec = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": SIZE}}}
    return [
        make_object("v1", "PersistentVolumeClaim", name, {"spec": spec}, holder) for name, holder in holders.items()
    ]


def _service(pod: Pod, service: Service) -> Tree:
    spec = {"selector": {"pod": pod.name}, "ports": [{"port": service.port, "targetPort": service.port}]}
    return make_object("v1", "Service", service.name, {"spec": spec}, pod.holder)
