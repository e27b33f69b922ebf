"""Averaging client updates: our ordered, streaming average beside Flower's, in one run.

Prints time and peak memory for 2 to 16 clients with the 20.3 M parameters of the pruned CIFAR-10
U-Net. Flower's function needs all updates at once; ours takes them one by one.
"""

import tempfile
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import numpy as np
from flwr.app import Array, ArrayRecord, MetricRecord, RecordDict
from flwr.serverapp.strategy.strategy_utils import aggregate_arrayrecords

from fedphd.common.averaging.aggregation import OrderedAverage
from fedphd.common.network.packing import Vector

SIZE = 20_339_904
REPEATS = 3


def update(client: int) -> Vector:
    return np.random.default_rng(client).standard_normal(SIZE, dtype=np.float32)


def flower(clients: int) -> None:
    records = [
        RecordDict({"arrays": ArrayRecord({"w": Array(update(k))}), "metrics": MetricRecord({"num-examples": 100})})
        for k in range(clients)
    ]
    aggregate_arrayrecords(records, "num-examples")


def ours(clients: int) -> None:
    names = [str(k) for k in range(clients)]
    with tempfile.TemporaryDirectory() as spool, OrderedAverage(names, Path(spool)) as average:
        for k, name in enumerate(names):
            average.add(name, update(k), 100.0)
        average.result()


def measure(work: Callable[[int], None], clients: int) -> tuple[float, float]:
    """Best wall seconds of a few runs, and peak megabytes of one more."""
    seconds = []
    for _ in range(REPEATS):
        started = time.perf_counter()
        work(clients)
        seconds.append(time.perf_counter() - started)
    tracemalloc.start()
    work(clients)
    peak = tracemalloc.get_traced_memory()[1] / 1e6
    tracemalloc.stop()
    return min(seconds), peak


def main() -> None:
    print(f"averaging updates of {SIZE:,} float32 numbers, making them included")
    print("clients  flower s  ours s  ratio  flower MB  ours MB")
    for clients in (2, 4, 8, 16):
        (flower_s, flower_mb), (our_s, our_mb) = measure(flower, clients), measure(ours, clients)
        print(f"{clients:7}  {flower_s:8.2f}  {our_s:6.2f}  {our_s / flower_s:5.2f}  {flower_mb:9.0f}  {our_mb:7.0f}")


if __name__ == "__main__":
    main()
