"""The whole picture: what the run folder and the SuperLinks tell, side by side."""

from collections.abc import Iterable, Mapping, Sequence

from fedphd.common.run.figures import HOPS, quality
from fedphd.launch.deploy.keys import ROOT, nodes_of
from fedphd.launch.watch.status.folder import RunFolder, Traffic
from fedphd.launch.watch.status.structure import (
    FORMAT,
    UNKNOWN,
    FlowerRunStatus,
    NodeStatus,
    Quality,
    RunStatus,
    Status,
    TierStatus,
)
from fedphd.launch.watch.status.superlinks import Answer, FlowerNode, FlowerRun, SuperLink

GONE = "unregistered"  # Flower's status of a node whose key was taken away


def picture(folder: RunFolder | None, superlinks: Sequence[SuperLink], answers: Sequence[Answer], now: float) -> Status:
    """Put together what was found out.

    Parameters
    ----------
    folder : RunFolder or None
        The run folder, if there is one.
    superlinks : Sequence[SuperLink]
        Those that were asked.
    answers : Sequence[Answer]
        What each of them told.
    now : float
        Seconds since the epoch.
    """
    expected = nodes_of(folder.config.topology) if folder and folder.config else {}
    asked = {superlink.tier: (superlink, answer) for superlink, answer in zip(superlinks, answers, strict=True)}
    tiers = [_tier(tier, folder, expected.get(tier, []), *asked.get(tier, (None, None))) for tier in expected | asked]
    hops = {hop: folder.total(hop=hop) for hop in reversed(HOPS)} if folder else {}
    return Status(FORMAT, now, _run(folder, tiers) if folder else None, hops, tiers)


def _run(folder: RunFolder, tiers: Iterable[TierStatus]) -> RunStatus:
    measured = quality(folder.metrics)
    runs = [run for tier in tiers if tier.tier == ROOT for run in tier.runs if run.counted]
    return RunStatus(
        folder=str(folder.path),
        method=folder.config.method if folder.config else None,
        state=folder.state,
        lost=folder.state in ("starting", "training") and bool(runs) and all(run.ended for run in runs),
        doing=folder.doing,
        round=folder.round,
        committed=folder.committed,
        rounds=folder.rounds,
        metrics_round=folder.metrics.get("round"),
        phase=folder.metrics.get("phase"),
        loss=folder.metrics.get("loss"),
        quality=Quality(*measured) if measured else None,
        heard=folder.heard.get(("", ROOT)),
    )


def _tier(
    tier: str, folder: RunFolder | None, expected: Iterable[str], superlink: SuperLink | None, answer: Answer | None
) -> TierStatus:
    runs = _runs(folder, answer.runs) if answer else []
    counted = [run for run in runs if run.counted]
    told = answer is not None and answer.error is None
    return TierStatus(
        tier=tier,
        superlink=superlink.address if superlink else None,
        error=answer.error if answer else None,
        runs=runs,
        nodes=_nodes(tier, folder, expected, superlink.names if superlink else {}, answer.nodes if answer else ()),
        ledger=folder.total(tier=tier) if folder else None,
        as_of=folder.as_of.get(tier) if folder else None,
        flower=Traffic(sum(run.down for run in counted), sum(run.up for run in counted)) if told else None,
    )


def _runs(folder: RunFolder | None, runs: Sequence[FlowerRun]) -> list[FlowerRunStatus]:
    """Mark the runs that were going on while the run folder was written to."""
    if folder is None or folder.first is None or folder.last is None:
        return [FlowerRunStatus(**vars(run), counted=index == 0) for index, run in enumerate(runs)]
    first, last = folder.first, folder.last
    return [
        FlowerRunStatus(**vars(run), counted=(run.began or 0.0) <= last and (run.ended or last) >= first)
        for run in runs
    ]


def _nodes(
    tier: str, folder: RunFolder | None, expected: Iterable[str], ids: Mapping[str, str], told: Sequence[FlowerNode]
) -> list[NodeStatus]:
    """List the nodes that the topology names or that have registered keys, then those without a name."""
    there = {node.id: node for node in told if node.status != GONE}
    nodes = []
    for name in dict.fromkeys((*expected, *ids)):
        node = there.pop(ids.get(name, ""), None)
        traffic = folder.total(tier=tier, node=name) if folder else None
        nodes.append(
            NodeStatus(
                name=name,
                id=ids.get(name),
                status=node.status if node else UNKNOWN,
                since=_since(node) if node else None,
                heard=folder.heard.get((tier, name)) if folder else None,
                down=traffic.down if traffic else None,
                up=traffic.up if traffic else None,
            )
        )
    return nodes + [NodeStatus(None, node.id, node.status, _since(node), None, None, None) for node in there.values()]


def _since(node: FlowerNode) -> float | None:
    return node.online_at if node.status == "online" else node.offline_at
