"""Compose files: a deployment's containers on one machine, for `docker compose` and for docker-compose 1.29."""

import re
from textwrap import indent
from typing import Any

import yaml

from fedphd.common.config import Config
from fedphd.common.flower.home import ENVIRONMENT
from fedphd.launch.deploy.services import DATA_VOLUME, TURNS_VOLUME, USER, Mount, Service, services

IMAGE = "${FEDPHD_IMAGE:-fedphd:latest}"
BUILD = {"context": ".", "dockerfile": "docker/Dockerfile", "args": {"BASE_IMAGE": "${BASE_IMAGE:-python:3.11-slim}"}}
DATA_SOURCE = f"${{FEDPHD_DATA:-{DATA_VOLUME}}}"  # a folder of the host, or else an empty volume
OWNER = "volumes"  # the service that gives new volumes of keys to the image's user
RESTART = {"service": "unless-stopped", "job": "no", "retried job": "on-failure"}
CONDITIONS = {"started": "service_started", "healthy": "service_healthy", "done": "service_completed_successfully"}
# The first check is after an interval, and others wait for it; each check costs a short process.
HEALTH_TIMES = {"interval": "5s", "timeout": "10s", "retries": 6, "start_period": "60s"}

HEADER = """\
# Rendered for {clients} clients and {edges} edges by `fedphd compose{gpu}` with overrides that say so, `topology=...`
# and `partition=...`. A change belongs there, or into an override file. What each container is for stands in
# launch/deploy/services.py.
#
"""
USAGE = """\
#   docker compose up --detach           starts everything and trains as conf/ says
#   docker compose logs --follow run     shows how it goes, until it has ended
#   docker compose exec root-superexec fedphd status     shows who is there; edge-0-superexec: the clients of an edge
#   docker compose cp run:/runs .        brings the run folders with their reports
#   docker compose up --detach run       trains again
#   docker compose down --volumes        ends everything and forgets it, runs and keys too
#
# Environment variables, the first two for each run:
#   FEDPHD_OVERRIDES   its settings, as FEDPHD_OVERRIDES='rounds=3 method=fedavg'
#   FEDPHD_RUN         the name of its folder; by default date, time and method
#   FEDPHD_DATA        folder of images on this machine, as /path/to/data; the root and all clients find it at /data
#   FEDPHD_IMAGE       the image, fedphd:latest; BASE_IMAGE: what it is built on, python:3.11-slim
"""
GPU_USAGE = """\
#   docker compose --file docker-compose.yml --file docker-compose.gpu.yml up --detach
#
# Environment variables:
#   FEDPHD_GPU_ROOT, FEDPHD_GPU_CLIENT_0 ...   number of the GPU that each has, 0; who shares one takes turns to train
"""


def render(config: Config, gpu: bool = False) -> str:
    """Render a compose file.

    Parameters
    ----------
    config : Config
        Its topology says which containers there are. See `services`.
    gpu : bool
        Render the override file that gives GPUs to the clients and the root instead.

    Returns
    -------
    str
        YAML.
    """
    topology = config.topology
    text = HEADER.format(gpu=" --gpu" if gpu else "", clients=topology.clients, edges=topology.edges)
    return text + (_gpu_file(config) if gpu else _file(config))


def _file(config: Config) -> str:
    described = services(config)
    owner, health = _owner(described[0]), next(service.health for service in described if service.health)
    networks = dict.fromkeys(network for service in described for network in service.networks)
    volumes = dict.fromkeys(mount.volume for service in described for mount in service.mounts)
    return "\n".join(
        [
            USAGE,
            _anchored("environment", ENVIRONMENT),
            _anchored("service", _common()),
            _anchored("healthcheck", {"test": ["CMD", *health], **HEALTH_TIMES}),
            _services({OWNER: owner, **{service.name: _service(service) for service in described}}),
            _yaml({"networks": {name: {"internal": True} for name in networks}}),
            _yaml({"volumes": {name: {} for name in volumes}}),
        ]
    )


def _gpu_file(config: Config) -> str:
    described = services(config, turns=_gpu)
    overrides = {service.name: _gpu_override(service) for service in described if service.trains}
    return "\n".join([GPU_USAGE, _services(overrides), _yaml({"volumes": {TURNS_VOLUME: {}}})])


def _common() -> dict[str, Any]:
    """Collect what holds for every container: no rights, and no place to write but /tmp and its volumes."""
    return {
        "image": IMAGE,
        "environment": "*environment",
        "init": True,
        "read_only": True,
        "tmpfs": ["/tmp"],
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
    }


def _owner(keys: Service) -> dict[str, Any]:
    """Describe the one container that is root: new volumes are, and each holder's keys are the image's user's."""
    return {
        "<<": "*service",
        "build": BUILD,
        "user": "0:0",
        "cap_add": ["CHOWN"],
        "command": ["chown", f"{USER}:{USER}", *(str(mount.path) for mount in keys.mounts)],
        "network_mode": "none",
        "volumes": _volumes(keys),
        "restart": RESTART["job"],
    }


def _service(service: Service) -> dict[str, Any]:
    tree: dict[str, Any] = {"<<": "*service", "command": _command(service)}
    variables = {**service.environment, **{name: f"${{{name}:-}}" for name in service.settings}}
    if variables:
        tree["environment"] = {"<<": "*environment", **variables}
    limits = {"cpus": service.cpus, "mem_limit": service.memory}
    tree |= {key: value for key, value in limits.items() if value is not None}
    after = {name: {"condition": CONDITIONS[need]} for name, need in service.after.items()}
    if service.networks:
        tree["networks"] = list(service.networks)
    else:
        tree["network_mode"] = "none"
    tree["volumes"] = _volumes(service)
    tree["depends_on"] = after or {OWNER: {"condition": CONDITIONS["done"]}}
    if service.health:
        tree["healthcheck"] = "*healthcheck"
    tree["restart"] = RESTART[service.lifetime]
    return tree


def _gpu_override(service: Service) -> dict[str, Any]:
    """Give a container its GPU; a client's command also says with whom it takes turns."""
    device = {"driver": "nvidia", "device_ids": [_gpu(service.holder)], "capabilities": ["gpu"]}
    tree: dict[str, Any] = {"deploy": {"resources": {"reservations": {"devices": [device]}}}}
    turns = [_volume(mount) for mount in service.mounts if mount.volume == TURNS_VOLUME]
    if turns:
        # Not escaped: the folder has the name of the GPU.
        tree = {"command": list(service.command), "volumes": turns, **tree}
    return tree


def _gpu(holder: str) -> str:
    """Name the variable that says which GPU a tier or a client has."""
    return f"${{FEDPHD_GPU_{holder.upper().replace('-', '_')}:-0}}"


def _command(service: Service) -> list[str]:
    """Escape what compose would take for its own variables."""
    return [part.replace("$", "$$") for part in service.command]


def _volumes(service: Service) -> list[str]:
    return [_volume(mount) for mount in service.mounts]


def _volume(mount: Mount) -> str:
    source = DATA_SOURCE if mount.volume == DATA_VOLUME else mount.volume
    return f"{source}:{mount.path}{':ro' if mount.read_only else ''}"


def _anchored(name: str, tree: dict[str, Any]) -> str:
    """Write a mapping at the top that services refer to as ``*name``."""
    return f"x-{name}: &{name}\n" + indent(_yaml(tree, flow=False if name == "environment" else None), "  ")


def _services(trees: dict[str, dict[str, Any]]) -> str:
    return "services:\n" + "\n".join(indent(_yaml({name: tree}), "  ") for name, tree in trees.items())


def _yaml(tree: dict[str, Any], flow: bool | None = None) -> str:
    """Write YAML, in which texts as ``*name`` and ``<<`` refer to what is anchored."""
    text = yaml.safe_dump(tree, sort_keys=False, width=116, default_flow_style=flow)
    return re.sub(r"'(<<|\*[a-z]+)'", r"\1", text)
