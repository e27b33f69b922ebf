"""Deployments: keys, the commands of each role, and files for Docker Compose and Kubernetes."""
