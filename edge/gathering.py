"""Errands: clients do something each for itself, and the edge keeps what each gave until the root fetches it."""

from pathlib import Path

from flwr.app import RecordDict
from flwr.serverapp import Grid

from fedphd.common.flower.expected import expected
from fedphd.common.wire.content_file import ContentFileError, read_content, write_content
from fedphd.common.wire.links import Downlink
from fedphd.common.wire.messages import TASKS, ClientErrand, Errand, Fetch, Gathered
from fedphd.common.wire.records import MessageError
from fedphd.common.wire.traffic import NO_TRAFFIC
from fedphd.edge.edge_site import EdgeSite
from fedphd.edge.errand_question import ErrandQuestion


class Gathering:
    """What the clients of one edge give.

    Parameters
    ----------
    site : EdgeSite
        The edge.
    folder : Path
        Takes what the clients give.
    """

    def __init__(self, site: EdgeSite, folder: Path) -> None:
        self.site = site
        self.folder = folder

    def gather(self, grid: Grid, task: str, errand: Errand, downlink: Downlink) -> Gathered:
        """Send the errand to its clients and keep what they give.

        Parameters
        ----------
        grid : Grid
            This edge's clients.
        task : str
            The message type: LOCAL, DRAW or ASSESS.
        errand : Errand
            The root's.
        downlink : Downlink
            Has begun with the model, and knows which client needs all of it.
        """
        orders = {client: self._order(errand, downlink, client) for client in errand.clients}
        wanted = expected(task, errand.download.structure, self.site.config, errand.images)
        question = ErrandQuestion(self.site, task, orders, wanted)
        up, given = NO_TRAFFIC, set()
        for sound in self.site.boundary.ask(grid, question):
            write_content(self._file(task, errand.root_round, sound.peer), sound.content)
            up += sound.traffic
            given.add(sound.peer)
            del sound  # what it decoded to, before the next one is
        return Gathered(self.site.edge, [client for client in orders if client in given], question.down, up)

    def fetch(self, fetch: Fetch) -> RecordDict:
        """Give what a client gave, as it came.

        Raises
        ------
        MessageError
            If it gave nothing.
        """
        try:
            return read_content(self._file(fetch.errand, fetch.root_round, fetch.client))[0]
        except ContentFileError:
            raise MessageError(f"{self.site.edge} has nothing of {fetch.client} for {fetch.errand}") from None

    def forget(self) -> None:
        """Remove what earlier errands gave."""
        for file in self.folder.glob("*.safetensors"):
            file.unlink()

    def _order(self, errand: Errand, downlink: Downlink, client: str) -> ClientErrand:
        return ClientErrand(
            download=downlink.message(client),
            edge=self.site.edge,
            root_round=errand.root_round + 1,
            edge_round=errand.root_round * self.site.config.topology.edge_rounds,  # after those of this root round
            images=errand.images,
            lineage=errand.lineage,
            generated=errand.generated,
        )

    def _file(self, task: str, root_round: int, client: str) -> Path:
        return self.folder / f"{TASKS.get(task, 'other')}.{root_round}.{Path(client).name}.safetensors"
