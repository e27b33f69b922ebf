"""Errands of the root at single clients, through their edges: a local model, images, or what they say of a model."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping

from flwr.serverapp import Grid

from fedphd.common.data.images import Pixels
from fedphd.common.errors import FedPhDError
from fedphd.common.flower.expected import ExpectedAssessment, ExpectedDrawing, ExpectedModel
from fedphd.common.network.build import pixel_shape
from fedphd.common.network.packing import PackedModel
from fedphd.common.network.structure import Structure
from fedphd.common.wire.codec.coded import code
from fedphd.common.wire.links import Download, standalone
from fedphd.common.wire.messages import ASSESS, DRAW, LOCAL, Assessment, Drawing, Errand
from fedphd.common.wire.parts import PARTS, Parts, restrict
from fedphd.common.wire.traffic import total
from fedphd.server.fetch_question import FetchQuestion
from fedphd.server.gather_question import GatherQuestion
from fedphd.server.root_site import RootSite


class ErrandError(FedPhDError):
    """A client did not give what the run cannot go on without."""


class Errands:
    """Sends clients on errands.

    Parameters
    ----------
    grid : Grid
        Its nodes are the edges.
    site : RootSite
        The root.
    """

    def __init__(self, grid: Grid, site: RootSite) -> None:
        self.grid = grid
        self.site = site

    def local_models(self, clients: Iterable[str], start: PackedModel) -> "LocalModels":
        """Let clients train models of their own from `start`, when the first one is asked for."""
        return LocalModels(self, list(clients), start)

    def drawings(self, images: int) -> Iterator[Drawing]:
        """Let every client draw images with its own parts of the present model, and yield them one by one.

        Clients that do not answer, or not soundly, are left out; the ledger says why.
        """
        wanted = ExpectedDrawing((images, *pixel_shape(self.site.config.model)))
        for client in self.gather(DRAW, list(self.site.registry.profiles), self.site.state.model, images):
            question = FetchQuestion(self.site, DRAW, client, wanted)
            yield from (sound.answer for sound in self.site.boundary.ask(self.grid, question))

    def assessments(self, images: int = 0, generated: Pixels | None = None) -> Iterator[Assessment]:
        """Let every client say how good the model is for its own images, and yield what they say one by one.

        It is the model that is evaluated; where clients keep parts of their own, the present one with these.
        Clients that do not answer, or not soundly, are left out; the ledger says why.

        Parameters
        ----------
        images : int
            Generated images that each compares with its own.
        generated : NDArray[uint8], optional
            These, shape (n, C, H, W); without, each client draws them with its own model.
        """
        config, state = self.site.config, self.site.state
        model = state.model if config.exchange.keeps_parts else state.best
        wanted = ExpectedAssessment(config, images)
        for client in self.gather(ASSESS, list(self.site.registry.profiles), model, images, generated):
            question = FetchQuestion(self.site, ASSESS, client, wanted)
            yield from (sound.answer for sound in self.site.boundary.ask(self.grid, question))

    def gather(
        self,
        task: str,
        clients: Iterable[str],
        model: PackedModel,
        images: int = 0,
        generated: Pixels | None = None,
    ) -> list[str]:
        """Let edges gather what their clients give.

        Parameters
        ----------
        task : str
            The message type: LOCAL, DRAW or ASSESS.
        clients : Iterable[str]
            Who is asked, each at its first home.
        model : PackedModel
            What they work with.
        images : int
            Images that each is to draw, or to compare with its own.
        generated : NDArray[uint8], optional
            These, where the root drew them.

        Returns
        -------
        list[str]
            The clients that gave something, in the order of the registry.
        """
        at: dict[str, list[str]] = defaultdict(list)
        for client in clients:
            at[self.site.registry.homes[client][0]].append(client)
        question = GatherQuestion(self.site, task, self._errands(at, model, images, generated))
        answers = [sound.answer for sound in self.site.boundary.ask(self.grid, question)]
        if task == LOCAL:  # what only measures is not the method's traffic
            self.site.state.count("backbone_down", question.down)
            self.site.state.count("access_down", total(answer.down for answer in answers))
            self.site.state.count("access_up", total(answer.up for answer in answers))
        given = {client for answer in answers for client in answer.clients}
        return [client for client in self.site.registry.profiles if client in given]

    def fetch_model(self, client: str, structure: Structure) -> PackedModel:
        """Fetch the model that one client trained for itself.

        Raises
        ------
        ErrandError
            If its edge does not have it, or it cannot be used.
        """
        question = FetchQuestion(self.site, LOCAL, client, ExpectedModel(structure))
        for sound in self.site.boundary.ask(self.grid, question):
            self.site.state.count("backbone_up", sound.traffic)
            return sound.answer
        raise ErrandError(f"{client}'s local model cannot be used: {question.failures[client]}")

    def _errands(
        self, at: Mapping[str, list[str]], model: PackedModel, images: int, generated: Pixels | None
    ) -> dict[str, Errand]:
        downloads: dict[Parts, Download] = {}
        errands = {}
        for edge, clients in at.items():
            parts = self._parts(edge, model)
            if parts not in downloads:
                downloads[parts] = self._download(model, parts)
            state = self.site.state
            errands[edge] = Errand(downloads[parts], state.round, clients, images, state.lineage, generated)
        return errands

    def _parts(self, edge: str, model: PackedModel) -> Parts:
        downlink = self.site.downlink
        known = downlink.holds(edge) and downlink.sent.structure == model.structure
        return downlink.shared if known else PARTS

    def _download(self, model: PackedModel, parts: Parts) -> Download:
        config = self.site.config
        coded = code(model.select(restrict(model.structure, parts)), standalone(config.backbone.down))
        return Download(coded, model.structure, parts, config.exchange.shared)


class LocalModels:
    """Models that clients train on their own images only (FedDDPM's warm-up); fetched one at a time.

    Parameters
    ----------
    errands : Errands
        Reaches the clients.
    clients : list[str]
        Whose models will be asked for.
    start : PackedModel
        The model that they begin with.
    """

    def __init__(self, errands: Errands, clients: list[str], start: PackedModel) -> None:
        self.errands = errands
        self.clients = clients
        self.start = start
        self._given: list[str] | None = None

    def __call__(self, client: str) -> PackedModel:
        """Give one client's local model.

        Raises
        ------
        ErrandError
            If the client did not train one, or it cannot be used.
        """
        if self._given is None:
            self._given = self.errands.gather(LOCAL, self.clients, self.start)
        if client not in self._given:
            raise ErrandError(f"{client} gave no local model; see the ledger, and resume the run when it is there")
        return self.errands.fetch_model(client, self.start.structure)
