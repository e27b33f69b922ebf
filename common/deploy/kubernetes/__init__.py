"""Kubernetes manifests: a deployment's containers in one namespace of a cluster."""

from common.deploy.kubernetes.manifests import render

__all__ = ["render"]
