"""Kubernetes manifests: a deployment's containers in one namespace of a cluster."""

from fedphd.launch.deploy.kubernetes.manifests import render

__all__ = ["render"]
