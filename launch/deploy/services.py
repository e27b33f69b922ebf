"""The containers of a deployment in no tool's words: compose files and Kubernetes manifests are rendered from these.

====================  ==========================================================================================
service               what
====================  ==========================================================================================
``keys``              job: makes all keys, each holder's in its own volume
``root-superlink``    the root's SuperLink; every edge has one too, ``edge-0-superlink`` ...
``root-superexec``    runs the root's ServerApp
``root-register``     job: tells the SuperLink the keys of its nodes
``root-gate``         passes the Fleet API to the SuperLink, and nothing else; nodes reach only this
``edge-0-gateway``    the edge's node of the root
``client-0-edge-0``   client 0's node of edge 0, one for each of its homes; ``client-0-root`` if there are no edges
``run``               job: submits the run to the root and follows it to its end
====================  ==========================================================================================

Networks: ``root``, ``edge-0`` ... hold what may reach a tier's SuperLink; ``backbone`` holds the root's gate
and the edges' gateways; ``access-edge-0`` ... hold an edge's gate and its clients' nodes (``access-root`` if there are
no edges).
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from fedphd.common.config import Config, TopologyConfig
from fedphd.common.config.topology import homes
from fedphd.launch.deploy.commands import superexec, superlink, supernode
from fedphd.launch.deploy.keys import CA, ROOT, nodes_of

USER = 10001  # user and group id in the image
PORT = 8000  # of every SuperLink and gate, each in a container of its own
NODE_PORT = 9094  # of a node, on its container's loopback
KEYS, STATE, SPOOL, RUNS, DATA, TURNS = (
    Path(f"/{name}") for name in ("keys", "state", "spool", "runs", "data", "turns")
)
AUTHORITY, BACKBONE = "authority", "backbone"
DATA_VOLUME = "data"  # images that the user provides
TURNS_VOLUME = "turns"
SHAPE = {"clients", "edges", "homes"}  # the topology's settings on which it depends what containers there are
RUN_NAME, OVERRIDES = "FEDPHD_RUN", "FEDPHD_OVERRIDES"  # what the user sets for `run`

Lifetime = Literal["service", "job", "retried job"]
Need = Literal["started", "healthy", "done"]


@dataclass(frozen=True)
class Mount:
    """A volume in a container.

    Attributes
    ----------
    volume : str
        The volume's name.
    path : Path
        Where it is mounted.
    read_only : bool
        Whether the container may only read it.
    """

    volume: str
    path: Path
    read_only: bool = False


@dataclass(frozen=True)
class Service:
    """A container, with `flower.home.ENVIRONMENT` in its environment, a read-only root and a /tmp in memory.

    Attributes
    ----------
    name : str
        Its name, by which containers on the same networks reach it.
    holder : str
        Whose it is: the tier or client whose keys it holds.
    command : tuple[str, ...]
        Its command.
    lifetime : {"service", "job", "retried job"}
        A service is started again whenever it ends, a job never, a retried job until it succeeds.
    networks : tuple[str, ...]
        Those it is in; none at all if empty.
    mounts : tuple[Mount, ...]
        Its volumes.
    after : Mapping[str, Need]
        Services that must be started, healthy, or done with success before it starts.
    port : int or None
        Where it listens for other containers.
    health : tuple[str, ...] or None
        A command, run in the container, that succeeds when it is healthy.
    trains : bool
        Whether it trains or draws images, which a GPU speeds up.
    settings : tuple[str, ...]
        Environment variables whose values are the user's; empty if not set.
    environment : Mapping[str, str]
        More environment variables.
    cpus : float or None
        The most CPUs that it may use.
    memory : str or None
        The most memory that it may use, as 512m or 4g.
    """

    name: str
    holder: str
    command: tuple[str, ...]
    lifetime: Lifetime = "service"
    networks: tuple[str, ...] = ()
    mounts: tuple[Mount, ...] = ()
    after: Mapping[str, Need] = field(default_factory=dict)
    port: int | None = None
    health: tuple[str, ...] | None = None
    trains: bool = False
    settings: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    cpus: float | None = None
    memory: str | None = None


def keys_volume(holder: str) -> str:
    """Name the volume of a holder's folder of keys."""
    return f"keys-{holder}"


def services(config: Config, turns: Callable[[str], str] | None = None) -> list[Service]:
    """Describe all containers of a deployment, with TLS and authenticated nodes.

    Parameters
    ----------
    config : Config
        Its topology says which containers there are, and `run` submits its topology and partition. All else
        that a run needs is given when it is submitted.
    turns : Callable[[str], str], optional
        Names, for each client, a folder below /turns: clients that have the same take turns to train. By default
        only the nodes of one client do.
    """
    topology = config.topology
    tiers = nodes_of(topology)
    described = [_keys(topology)]
    for tier in tiers:
        described += _tier(tier, _outside(tier, topology))
    described += [_gateway(edge) for edge in tiers if edge != ROOT]
    for tier in tiers:
        if tier != ROOT or not topology.edges:
            clients = (_client(node, tier, _outside(tier, topology), turns) for node in tiers[tier])
            limits = config.resources
            described += [replace(one, cpus=limits.client_cpus, memory=limits.client_memory) for one in clients]
    return [*described, _run(config)]


def _keys(topology: TopologyConfig) -> Service:
    holders = dict.fromkeys([AUTHORITY, *nodes_of(topology), *homes(topology)])
    return Service(
        name="keys",
        holder=AUTHORITY,
        command=("fedphd", "keys", str(KEYS), *_shape(topology)),
        lifetime="job",
        mounts=tuple(Mount(keys_volume(holder), KEYS / holder) for holder in holders),
    )


def _tier(tier: str, outside: str) -> Iterator[Service]:
    """Describe a tier's SuperLink, and what stands around it; its nodes are on the network `outside`."""
    name, address = f"{tier}-superlink", f"{tier}-superlink:{PORT}"
    keys, state = _keys_of(tier), Mount(f"{tier}-state", STATE)
    ready: dict[str, Need] = {name: "healthy"}
    yield Service(
        name=name,
        holder=tier,
        command=tuple(superlink("0.0.0.0", PORT, STATE / "superlink.db", KEYS)),
        networks=(tier,),
        mounts=(keys, state),
        after={"keys": "done"},
        port=PORT,
        health=_health(),
    )
    work = (Mount("runs", RUNS), _data()) if tier == ROOT else (Mount(f"{tier}-spool", SPOOL),)
    nodes = STATE / "nodes.json"
    yield Service(
        name=f"{tier}-superexec",
        holder=tier,
        command=tuple(superexec(address, KEYS)),
        networks=(tier,),
        mounts=(keys, *work, replace(state, read_only=True)),
        after=ready,
        trains=tier == ROOT,
        environment={  # for `fedphd status`, which has a shell here
            "FEDPHD_TIER": tier,
            "FEDPHD_SUPERLINK": address,
            "FEDPHD_ROOT_CERTIFICATES": str(KEYS / CA),
            "FEDPHD_NODES": str(nodes),
            **({"FEDPHD_RUNS": str(RUNS)} if tier == ROOT else {}),
        },
    )
    yield Service(
        name=f"{tier}-register",
        holder=tier,
        command=("fedphd", "register", str(KEYS), "--superlink", address, "--nodes", str(nodes)),
        lifetime="retried job",
        networks=(tier,),
        mounts=(keys, state),
        after=ready,
    )
    yield Service(
        name=f"{tier}-gate",
        holder=tier,
        command=("/opt/gate/gate", address, str(PORT), str(KEYS)),
        networks=(tier, outside),
        mounts=(keys,),
        after=ready,
        port=PORT,
        health=_health(),
    )


def _gateway(edge: str) -> Service:
    facts: dict[str, str | int] = {
        "edge-id": edge,
        "spool": str(SPOOL),
        "superlink": f"{edge}-superlink:{PORT}",
        "root-certificates": str(KEYS / CA),
    }
    return Service(
        name=f"{edge}-gateway",
        holder=edge,
        command=tuple(supernode(f"{ROOT}-gate:{PORT}", NODE_PORT, facts, KEYS)),
        networks=(BACKBONE, edge),
        mounts=(_keys_of(edge), Mount(f"{edge}-spool", SPOOL)),
        after={f"{ROOT}-gate": "healthy", f"{ROOT}-register": "done", f"{edge}-superlink": "healthy"},
    )


def _client(client: str, home: str, network: str, turns: Callable[[str], str] | None) -> Service:
    facts: dict[str, str | int] = {"partition-id": int(client.rpartition("-")[2]), "state-dir": str(STATE)}
    mounts = [_keys_of(client), Mount(f"{client}-state", STATE), _data()]
    if turns is not None:
        facts["turns-dir"] = str(TURNS / turns(client))
        mounts.append(Mount(TURNS_VOLUME, TURNS))
    return Service(
        name=f"{client}-{home}",
        holder=client,
        command=tuple(supernode(f"{home}-gate:{PORT}", NODE_PORT, facts, KEYS)),
        networks=(network,),
        mounts=tuple(mounts),
        after={f"{home}-gate": "healthy", f"{home}-register": "done"},
        trains=True,
    )


def _run(config: Config) -> Service:
    """Describe the submission: the user's overrides come after the file's own, but before who there is."""
    topology, partition = config.topology.model_dump(exclude=SHAPE), config.partition.model_dump(exclude_none=True)
    command = ["fedphd", "runtime=deployment", f"runtime.superlink={ROOT}-superlink:{PORT}"]
    command += [f"runtime.root_certificates={KEYS / CA}"]
    command += [f"topology.{key}={value}" for key, value in topology.items()]
    # ++: another partition, which the user may choose, leaves them out.
    kind = str(partition.pop("kind"))
    command.append(f"{'++partition.kind' if ':' in kind else 'partition'}={kind}")
    command += [f"++partition.{key}={_compact(value)}" for key, value in sorted(partition.items())]
    command += [f"${{{RUN_NAME}:+hydra.run.dir={RUNS}/${RUN_NAME}}}", f"${OVERRIDES}", *_shape(config.topology)]
    return Service(
        name="run",
        holder=ROOT,
        # From / a run without a name gets Hydra's own below /runs. -f: brackets are Hydra's, not the shell's.
        command=("sh", "-fc", f"cd / && exec {' '.join(command)}"),
        lifetime="job",
        networks=(ROOT,),
        mounts=(_keys_of(ROOT), Mount("runs", RUNS), _data()),
        after={f"{ROOT}-superexec": "started", f"{ROOT}-register": "done"},
        settings=(RUN_NAME, OVERRIDES),
    )


def _shape(topology: TopologyConfig) -> list[str]:
    """Say who there is, as Hydra overrides."""
    values = topology.model_dump(include=SHAPE)
    return [f"topology.{key}={_compact(value)}" for key, value in values.items()]


def _compact(value: object) -> str:
    """Write a value without the spaces at which a shell would cut it."""
    return value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))


def _outside(tier: str, topology: TopologyConfig) -> str:
    """Name the network of a tier's gate and the nodes outside."""
    return BACKBONE if tier == ROOT and topology.edges else f"access-{tier}"


def _keys_of(holder: str) -> Mount:
    return Mount(keys_volume(holder), KEYS, read_only=True)


def _data() -> Mount:
    return Mount(DATA_VOLUME, DATA, read_only=True)


def _health() -> tuple[str, ...]:
    """Build the command that asks a SuperLink, or a gate and the SuperLink behind it, whether it is well."""
    code = (
        "import ssl, urllib.request as u; "
        f"u.urlopen('https://127.0.0.1:{PORT}/health', timeout=5, "
        f"context=ssl.create_default_context(cafile='{KEYS / CA}'))"
    )
    return ("python", "-c", code)
