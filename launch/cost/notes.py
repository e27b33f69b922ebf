"""What one must know to read an estimate."""

from fedphd.launch.cost.estimate import Estimate


def notes(estimate: Estimate) -> list[str]:
    """Say where the run may count otherwise, and what neither counts."""
    said = []
    if estimate.unknown is not None:
        said.append(
            f"not exact: who trains where depends on histograms that only the run will know; {estimate.unknown}"
        )
    if estimate.compressed:
        said.append(
            "at most: these bytes are before zstd; what it takes off (where nothing, it adds a few) is known afterwards"
        )
    exchange = estimate.config.exchange
    if exchange.keeps_parts:
        said.append(
            f"not counted, here and in the run: images that clients draw for evaluations (exchange={exchange.kind})"
        )
    return said
