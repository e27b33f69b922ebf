"""The ServerApp for a grid of clients: its edges live within the root.

So in a simulation, and in the deployment of a flat topology, whose one edge is the root itself.
"""

import shutil
from pathlib import Path

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from fedphd.common.config import Config, from_run_config, run_folder
from fedphd.common.config.topology import edge_ids
from fedphd.common.run.ledger import Ledger
from fedphd.common.run.run_folder import CLIENTS, EDGES, IMAGES, SPOOL
from fedphd.edge.aggregator import EdgeAggregator
from fedphd.edge.virtual import VirtualEdgeGrid
from fedphd.server.serve import serve
from fedphd.server.state import GlobalState

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run the whole training on Flower's grid of clients."""
    config = from_run_config(context.run_config)
    simulate(grid, config, run_folder(context.run_config, context.run_id))


def simulate(clients: Grid, config: Config, run_dir: Path) -> GlobalState:
    """Train with all edges of the topology within this process.

    Parameters
    ----------
    clients : Grid
        Its nodes are the clients.
    config : Config
        The run's configuration.
    run_dir : Path
        The run folder; made if needed.

    Returns
    -------
    GlobalState
        The state after the last round.

    Raises
    ------
    FedPhDError
        If the run cannot start or go on; the ledger's last line has the reason.
    """

    def edges(ledger: Ledger) -> VirtualEdgeGrid:
        spool, kept = run_dir / SPOOL, run_dir / EDGES
        names = edge_ids(config.topology)
        return VirtualEdgeGrid(
            clients, [EdgeAggregator(edge, config, ledger, spool / edge, kept / edge) for edge in names]
        )

    try:
        return serve(edges, config, run_dir)
    finally:  # decoded images are as private as the originals, and quickly made anew
        shutil.rmtree(run_dir / CLIENTS / IMAGES, ignore_errors=True)
