"""Who may connect to whom: the networks of a deployment as labels of pods, and policies over these.

A pod has a label for each of its networks. It says whether the pod serves the network or only calls those that do.
"""

from collections.abc import Iterable, Iterator

from fedphd.launch.deploy.kubernetes.objects import Tree, make_object
from fedphd.launch.deploy.services import PORT, Service

SERVES, CALLS = "serves", "calls"


def network_labels(services: Iterable[Service]) -> dict[str, str]:
    """Give the labels of a pod in which these services are."""
    services = list(services)
    labels = {_label(network): CALLS for service in services for network in service.networks}
    return labels | {_label(network): SERVES for service in services if service.port for network in service.networks}


def policies(networks: Iterable[str]) -> Iterator[Tree]:
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
    return make_object("networking.k8s.io/v1", "NetworkPolicy", name, {"spec": spec})


def _label(network: str) -> str:
    return f"network-{network}"
