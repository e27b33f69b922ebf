"""Who can talk to whom: the names of clients and edges, and the homes of each client."""

from collections import deque

from fedphd.common.config import TopologyConfig

EDGE_SLACK = 60.0  # seconds for an edge to send, average and answer in an edge round, beyond its wait for clients


def client_id(index: int) -> str:
    """Name the client that holds part `index` of the partition."""
    return f"client-{index}"


def edge_id(index: int) -> str:
    """Name an edge."""
    return f"edge-{index}"


def edge_ids(topology: TopologyConfig) -> list[str]:
    """Name all edges. A flat topology has one, which lives within the root."""
    return [edge_id(index) for index in range(max(topology.edges, 1))]


def homes(topology: TopologyConfig) -> dict[str, list[str]]:
    """Map each client's name to the edges that it can reach, its first home first."""
    if topology.homes is None:
        # Every edge is a home; the first ones go round, so that `assignment=fixed` spreads the clients.
        edges = deque(edge_ids(topology))
        every = {}
        for index in range(topology.clients):
            every[client_id(index)] = list(edges)
            edges.rotate(-1)
        return every
    return {client_id(index): [edge_id(edge) for edge in edges] for index, edges in enumerate(topology.homes)}


def members(topology: TopologyConfig, edge: str) -> list[str]:
    """Name the clients that can reach an edge, in the order of their indices."""
    return [client for client, edges in homes(topology).items() if edge in edges]


def edge_timeout(topology: TopologyConfig) -> float:
    """Seconds that an edge may take for a root round: each edge round may use its whole timeout."""
    return topology.edge_rounds * (topology.round_timeout + EDGE_SLACK)
