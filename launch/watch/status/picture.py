"""The whole picture: what the run folder and the SuperLinks tell, side by side."""

from collections.abc import Iterable, Mapping, Sequence

from fedphd.common.run.figures import HOPS
from fedphd.launch.deploy.keys import ROOT, nodes_of
from fedphd.launch.watch.status.schema import (
    FORMAT,
    UNKNOWN,
    FlowerRunStatus,
    NodeStatus,
    Quality,
    RunStatus,
    Status,
    TierStatus,
)
from fedphd.launch.watch.status.standing import Bytes, Standing
from fedphd.launch.watch.status.superlinks import Answer, FlowerNode, FlowerRun, SuperLink

GONE = "unregistered"  # Flower's status of a node whose key was taken away


def picture(
    standing: Standing | None, superlinks: Sequence[SuperLink], answers: Sequence[Answer], now: float
) -> Status:
    """Put together what was found out.

    Parameters
    ----------
    standing : Standing or None
        What the run folder tells, if there is one.
    superlinks : Sequence[SuperLink]
        Those that were asked.
    answers : Sequence[Answer]
        What each of them told.
    now : float
        Seconds since the epoch.
    """
    expected = nodes_of(standing.config.topology) if standing and standing.config else {}
    asked = {superlink.tier: (superlink, answer) for superlink, answer in zip(superlinks, answers, strict=True)}
    tiers = [_tier(tier, standing, expected.get(tier, []), *asked.get(tier, (None, None))) for tier in expected | asked]
    hops = {hop: standing.total(hop=hop) for hop in reversed(HOPS)} if standing else {}
    return Status(FORMAT, now, _run(standing, tiers) if standing else None, hops, tiers)


def _run(standing: Standing, tiers: Iterable[TierStatus]) -> RunStatus:
    history, latest = standing.history, standing.history.latest
    runs = [run for tier in tiers if tier.tier == ROOT for run in tier.runs if run.counted]
    return RunStatus(
        folder=str(standing.path),
        method=standing.config.method if standing.config else None,
        state=history.state,
        lost=history.state in ("starting", "training") and bool(runs) and all(run.ended for run in runs),
        doing=standing.doing,
        round=history.round,
        committed=history.committed,
        rounds=standing.rounds,
        metrics_round=latest.round if latest else None,
        phase=latest.phase if latest else None,
        loss=latest.loss if latest else None,
        quality=Quality(*latest.quality) if latest and latest.quality else None,
        heard=standing.heard.get(("", ROOT)),
    )


def _tier(
    tier: str, standing: Standing | None, expected: Iterable[str], superlink: SuperLink | None, answer: Answer | None
) -> TierStatus:
    runs = _runs(standing, answer.runs) if answer else []
    counted = [run for run in runs if run.counted]
    told = answer is not None and answer.error is None
    return TierStatus(
        tier=tier,
        superlink=superlink.address if superlink else None,
        error=answer.error if answer else None,
        runs=runs,
        nodes=_nodes(tier, standing, expected, superlink.names if superlink else {}, answer.nodes if answer else ()),
        ledger=standing.total(tier=tier) if standing else None,
        as_of=standing.as_of.get(tier) if standing else None,
        flower=Bytes(sum(run.down for run in counted), sum(run.up for run in counted)) if told else None,
    )


def _runs(standing: Standing | None, runs: Sequence[FlowerRun]) -> list[FlowerRunStatus]:
    """Mark the runs that were going on while the run folder was written to."""
    first, last = (standing.history.first, standing.history.last) if standing else (None, None)
    if first is None or last is None:
        return [FlowerRunStatus(**vars(run), counted=index == 0) for index, run in enumerate(runs)]
    return [
        FlowerRunStatus(**vars(run), counted=(run.began or 0.0) <= last and (run.ended or last) >= first)
        for run in runs
    ]


def _nodes(
    tier: str, standing: Standing | None, expected: Iterable[str], ids: Mapping[str, str], told: Sequence[FlowerNode]
) -> list[NodeStatus]:
    """List the nodes that the topology names or that have registered keys, then those without a name."""
    there = {node.id: node for node in told if node.status != GONE}
    nodes = []
    for name in dict.fromkeys((*expected, *ids)):
        node = there.pop(ids.get(name, ""), None)
        traffic = standing.total(tier=tier, node=name) if standing else None
        nodes.append(
            NodeStatus(
                name=name,
                id=ids.get(name),
                status=node.status if node else UNKNOWN,
                since=_since(node) if node else None,
                heard=standing.heard.get((tier, name)) if standing else None,
                down=traffic.down if traffic else None,
                up=traffic.up if traffic else None,
            )
        )
    return nodes + [NodeStatus(None, node.id, node.status, _since(node), None, None, None) for node in there.values()]


def _since(node: FlowerNode) -> float | None:
    return node.online_at if node.status == "online" else node.offline_at
