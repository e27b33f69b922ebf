"""The edge tier on the root's machine: virtual edges over one grid of clients."""

from pathlib import Path

from flwr.serverapp import Grid

from common.config import Config
from common.ledger import Ledger
from common.topology import edge_ids
from edge.aggregator import EdgeAggregator
from edge.virtual import VirtualEdgeGrid


def virtual_edges(clients: Grid, config: Config, ledger: Ledger, spool: Path) -> VirtualEdgeGrid:
    """Make all edges of the topology within this process; a flat topology's one edge is the root itself."""
    aggregators = [EdgeAggregator(edge, config, ledger, spool / edge) for edge in edge_ids(config.topology)]
    return VirtualEdgeGrid(clients, aggregators)
