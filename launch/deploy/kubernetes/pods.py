"""Which containers are placed together.

Services that write to the same volume are containers of one pod: an edge's two faces, which share the spool, and the
nodes of a client with several homes. Most volumes can be mounted on one node of the cluster only, so a pod that uses
a volume of another one's is placed on that one's node.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from fedphd.launch.deploy.kubernetes.objects import NAMESPACE
from fedphd.launch.deploy.kubernetes.policies import network_labels
from fedphd.launch.deploy.services import DATA_VOLUME, Mount, Service, keys_volume


@dataclass(frozen=True)
class Pod:
    """Containers that are placed together.

    Attributes
    ----------
    name : str
        That of its service or job, or its holder's if it has several services.
    services : tuple[Service, ...]
        Its containers; all of one holder.
    beside : tuple[str, ...]
        Pods on whose node it must be.
    """

    name: str
    services: tuple[Service, ...]
    beside: tuple[str, ...] = ()

    @property
    def holder(self) -> str:
        """The tier or client whose keys it has."""
        return self.services[0].holder

    @property
    def labels(self) -> dict[str, str]:
        """How workloads, services and policies find it."""
        return {"app": NAMESPACE, "holder": self.holder, "pod": self.name, **network_labels(self.services)}


def pods(services: Sequence[Service]) -> list[Pod]:
    """Group services into pods; each job has its own."""
    groups: dict[str, list[Service]] = {}
    for service in services:
        key = disk(service) if service.lifetime == "service" else None
        groups.setdefault(key or service.name, []).append(service)
    named = {own[0].name if len(own) == 1 else own[0].holder: tuple(own) for own in groups.values()}
    writers: dict[str, str] = {}  # the first that writes to a volume is its home
    for name, own in named.items():
        for volume in (volume for service in own if (volume := disk(service))):
            writers.setdefault(volume, name)
    return [Pod(name, own, tuple(_beside(name, own, writers))) for name, own in named.items()]


def disk(service: Service) -> str | None:
    """Name the volume that a service writes to."""
    return next((mount.volume for mount in service.mounts if not mount.read_only), None)


def is_keys(mount: Mount) -> bool:
    """Whether a volume is a holder's keys."""
    return mount.volume.startswith(keys_volume(""))


def volume_name(mount: Mount, holder: str) -> str:
    """Name a volume; everybody's images are their own."""
    return f"{DATA_VOLUME}-{holder}" if mount.volume == DATA_VOLUME else mount.volume


def _beside(name: str, services: tuple[Service, ...], writers: dict[str, str]) -> Iterator[str]:
    used = dict.fromkeys(mount.volume for service in services for mount in service.mounts)
    homes = dict.fromkeys(writers[volume] for volume in used if volume in writers)
    yield from (home for home in homes if home != name)
