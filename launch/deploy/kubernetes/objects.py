"""What is common to all Kubernetes objects of a deployment: namespace, names, labels."""

from typing import Any

NAMESPACE = "fedphd"
DOMAIN = "cluster.local"

Tree = dict[str, Any]


def make_object(api_version: str, kind: str, name: str, body: Tree, holder: str | None = None) -> Tree:
    """Make an object of the deployment's namespace; `body` is what follows its metadata."""
    labels = {"app": NAMESPACE} if holder is None else {"app": NAMESPACE, "holder": holder}
    metadata = {"name": name, "namespace": NAMESPACE, "labels": labels}
    return {"apiVersion": api_version, "kind": kind, "metadata": metadata, **body}


def full_name(service: str) -> str:
    """Name a service as every name server of the cluster knows it."""
    return f"{service}.{NAMESPACE}.svc.{DOMAIN}"
