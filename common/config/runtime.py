"""Where the tiers run (`conf/runtime/`); the runtimes are in launch/runtimes/."""

from typing import Annotated, ClassVar, Literal

from pydantic import ConfigDict, Field, NonNegativeFloat, PositiveInt

from fedphd.common.choices import Affects, Choices, Section
from fedphd.common.paths import UserPath


class RuntimeConfig(Section):
    """Where the tiers run.

    Attributes
    ----------
    name : str
        Of the runtime.
    target : str
        ``_target_`` in the YAML files: import path of the function that trains, given configuration and run folder.
    device : str
        What each process computes on.
    secure : bool
        Whether the tiers know each other by keys.
    elsewhere : bool
        Whether clients and edges are on machines of their own.
    own_disks : bool
        Whether each client has a folder of its own, its `state-dir`, and not one of the run folder.
    """

    affects: ClassVar[Affects] = Affects.NOTHING
    elsewhere: ClassVar[bool] = False
    own_disks: ClassVar[bool] = False

    name: Annotated[str, Affects.COURSE]
    target: str = Field(alias="_target_")
    device: Annotated[Literal["auto", "cpu", "cuda"], Affects.COURSE]

    @property
    def secure(self) -> bool:
        """Whether the tiers know each other by keys; within one process there is nobody else."""
        return True


class OwnRuntime(RuntimeConfig):
    """A user's own runtime: ``_target_`` names its function, which reads its options from the section."""

    model_config = ConfigDict(extra="allow")

    @property
    def secure(self) -> bool:
        """Whether there are keys and TLS, as far as an option of that name says."""
        return not getattr(self, "insecure", False)


RUNTIMES = Choices("runtime", RuntimeConfig, lenient=True, named_by="name", otherwise=OwnRuntime)


@RUNTIMES.register("ray")
class Ray(RuntimeConfig):
    """Flower's Ray simulation on this machine."""

    parallel_clients: PositiveInt
    gpus_per_client: NonNegativeFloat


@RUNTIMES.register("inprocess")
class InProcess(RuntimeConfig):
    """All tiers in this one process; clients take turns."""


class _Connected(RuntimeConfig):
    """Tiers that reach each other over sockets."""

    own_disks: ClassVar[bool] = True

    insecure: bool

    @property
    def secure(self) -> bool:
        """Whether there are keys and TLS."""
        return not self.insecure


@RUNTIMES.register("processes")
class Processes(_Connected):
    """A whole deployment in processes on this machine's loopback."""

    parallel_clients: PositiveInt


@RUNTIMES.register("deployment")
class Deployment(_Connected):
    """A deployment that is running."""

    elsewhere: ClassVar[bool] = True

    superlink: str | None
    root_certificates: UserPath | None
