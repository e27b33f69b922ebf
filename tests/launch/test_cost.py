"""What `fedphd cost` says beside what the papers' formulas say, and beside what real runs count.

The runs are whole ones: every tier, in this process, on a few digits.
"""

import json
from collections import defaultdict
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest

from fedphd.common.config import Config, compose
from fedphd.common.errors import SettingError
from fedphd.common.network.structure import Structure
from fedphd.common.run.json_lines import read_lines
from fedphd.common.wire.codec import CODECS
from fedphd.common.wire.traffic import LANES, NO_TRAFFIC, Traffic, total
from fedphd.launch.compare.standing import standings
from fedphd.launch.cost.estimate import Estimate, estimate
from fedphd.launch.cost.notes import notes
from fedphd.launch.cost.profiles import registry
from fedphd.launch.cost.reference import label
from fedphd.launch.cost.replay import Sender
from fedphd.launch.cost.sizes import Sizes
from fedphd.launch.report.recorded_run import RecordedRun
from fedphd.launch.runtimes.inprocess import in_process_grid
from fedphd.server.simulation import simulate

TINY = [
    "runtime=inprocess",
    "rounds=3",
    "ema_decay=null",
    "data.limit=40",
    "partition=dirichlet",
    "partition.min_samples=3",
    "topology.clients=5",
    "topology.participation=1",
    "training.batch_size=50",
    "sampler.steps=1",
    "evaluation=grid",
    "evaluation.every=3",
    "evaluation.grid_images=1",
]


def images(file: Path, count: int, side: int = 28, classes: int = 10) -> Path:
    """Write a data set of noise."""
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 256, (count, side, side), np.uint8), np.arange(count) % classes
    np.savez(file, train_x=x, train_y=y, test_x=x, test_y=y)
    return file


# --- the papers' formulas ------------------------------------------------------------------------

# Parameters of FedDiffuse's U-Net: of its parts, and of all.
ENCODER, BOTTLENECK, DECODER = 1_280_642, 999_376, 716_297
P = 2_996_315
# FedDiffuse's column N in 1e6 (main table). USPLIT's for 5 clients, 343.73, depends on coins. UDEC's for 5 clients is
# printed as 118.85, which is 2.5 times the rounded number for 2 clients; 5 x 23,768,928 = 118,844,640 rounds to 118.84.
PRINTED = {
    "full": {2: "179.78", 5: "449.45", 10: "898.89"},
    "usplit": {2: "134.83", 5: None, 10: "674.17"},
    "ulatdec": {2: "105.50", 5: "263.75", 10: "527.51"},
    "udec": {2: "47.54", 5: "118.84", 10: "237.69"},
}


def feddiffuse(data: Path, mode: str, clients: int) -> Config:
    return compose(
        [
            f"method=feddiffuse_{mode}",
            "model=feddiffuse_fmnist",
            "topology=flat",
            "topology.participation=1",
            f"topology.clients={clients}",
            "rounds=15",
            "data=npz",
            f"data.path={data}",
            "partition=iid",
            "evaluation=grid",
        ]
    )


@pytest.mark.parametrize("clients", [2, 5, 10])
@pytest.mark.parametrize("mode", PRINTED)
def test_feddiffuse_column_n(mode: str, clients: int, tmp_path: Path) -> None:
    found = estimate(feddiffuse(images(tmp_path / "noise.npz", 20), mode, clients))
    assert found.dense.parameters == {"encoder": ENCODER, "bottleneck": BOTTLENECK, "decoder": DECODER}
    assert found.dense.structure.size == P
    spent = total(found.lanes.values())
    assert spent.messages == 30 * clients and spent.bytes == 4 * spent.parameters
    assert found.lanes["backbone_down"] == found.lanes["backbone_up"] == NO_TRAFFIC
    formula = {
        "full": 30 * clients * P,
        "usplit": 15 * clients * P + 15 * (clients // 2) * P,
        "ulatdec": clients * (P + 29 * (BOTTLENECK + DECODER)),
        "udec": clients * (P + 29 * DECODER),
    }[mode]
    printed = PRINTED[mode][clients]
    if printed is None:  # 15 odd clients, each of whom reports the bottleneck and, by a coin, another part
        coins = [formula + 15 * BOTTLENECK + k * ENCODER + (15 - k) * DECODER for k in range(16)]
        assert spent.parameters in coins
        assert f"{coins[0] / 1e6:.2f} {coins[-1] / 1e6:.2f}" == "340.35 348.81"
        assert f"{coins[6] / 1e6:.2f}" == "343.73"  # the paper's
    else:
        assert spent.parameters == formula
        assert f"{spent.parameters / 1e6:.2f}" == printed


def test_pruning_shrinks_cifar10_messages_as_the_paper_says(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "rgb.npz", train_x=rng.integers(0, 256, (40, 32, 32, 3), np.uint8), train_y=np.arange(40) % 10)
    found = estimate(
        compose(["method=fedphd_os", "model=ddpm_cifar10", "data=npz", f"data.path={tmp_path / 'rgb.npz'}", "rounds=2"])
    )
    # 35.746307 M parameters and 6.0641 GMACs; pruned by FedPhD's ratio of 0.2, 20.340 M and 3.4231 G.
    assert found.pruned is not None and found.pruned_after == 0
    assert (found.dense.structure.size, round(found.dense.macs / 1e9, 4)) == (35_746_307, 6.0641)
    assert (found.pruned.structure.size, round(found.pruned.macs / 1e9, 4)) == (20_340_086, 3.4231)
    # 2 root rounds of 2 edge rounds with 5 of 10 clients, and 2 edges: 2 x (2 x 5 + 2) messages each way.
    assert total(found.lanes.values()) == Traffic(48, 48 * 20_340_086, 4 * 48 * 20_340_086)
    assert total(found.unsaved.values()) == Traffic(48, 48 * 35_746_307, 4 * 48 * 35_746_307)


def test_changes_go_to_those_who_had_the_message_before() -> None:
    # As float32, 12 numbers are 48 bytes, the decoder's 6 are 24. As int4, those of 2 channels of 3: 2 scales of
    # 4 bytes, and 6 codes of half a byte: 11 bytes.
    sizes = Sizes(Structure((("conv_in.weight", (2, 3)), ("conv_out.weight", (2, 3)))))
    sender = Sender(CODECS.read({"kind": "int4", "of": "change", "error_feedback": False, "zstd": None}), ("decoder",))
    sender.begin(sizes, 0)
    assert [sender.send(client) for client in "ab"] == [Traffic(1, 12, 48)] * 2
    sender.begin(sizes, 1)
    assert sender.send("a") == Traffic(1, 6, 11)
    sender.begin(sizes, 3)  # nobody trained in round 2
    assert [sender.send(client) for client in "abc"] == [Traffic(1, 6, 11), Traffic(1, 6, 24), Traffic(1, 12, 48)]


# --- real runs -----------------------------------------------------------------------------------

CHANGES_DOWN = "codec.access.down={kind: int8, of: change, error_feedback: false, zstd: null}"
FEW = ["correction.images=3", "correction.chunk=2", "correction.steps=1", "correction.local_epochs=1"]
RUNS = {
    "fedavg": ["method=fedavg"],
    "fedavg, flat, half of the clients": ["method=fedavg", "topology=flat", "topology.participation=0.5"],
    "fedphd, int4": ["method=fedphd", "pruning.sparse_rounds=1", "codec=int4"],
    "fedphd, int8, decoder": ["method=fedphd", "pruning.sparse_rounds=2", "codec=int8", "exchange=udec"],
    "fedphd, one shot, a pair of parts": ["method=fedphd_os", "exchange=ulatdec", "topology.participation=0.6"],
    "usplit under edges": ["method=feddiffuse_usplit", "codec=float16", "topology.clients=7"],
    "ulatdec under edges": [
        "method=feddiffuse_ulatdec",
        "topology.participation=0.4",
        "topology.homes=[[0],[0],[0],[1,0],[1]]",
    ],
    "udec under edges": ["method=feddiffuse_udec", "codec=int4", "topology.participation=0.4"],
    "scaffold": ["method=scaffold", "topology.participation=0.4"],
    "scaffold, usplit, int8, pruned": [
        "method=scaffold",
        "exchange=usplit",
        "codec=int8",
        "pruning=sparse_then_prune",
        "pruning.sparse_rounds=2",
    ],
    "scaffold, flat, decoder": ["method=scaffold", "topology=flat", "exchange=udec", "codec=int4"],
    "fedddpm": ["method=fedddpm", "codec=int4", *FEW],
    "fedddpm, flat, pruned": [
        "method=fedddpm_plus",
        "correction.window=1",
        "topology=flat",
        "pruning=at_start",
        *FEW,
    ],
    "changes down": ["method=fedavg", CHANGES_DOWN],
    "changes down, half of the clients": ["method=fedavg", CHANGES_DOWN, "topology.participation=0.5"],
    "changes down, decoder, pruned": [
        "method=fedphd",
        "exchange=udec",
        "pruning.sparse_rounds=1",
        CHANGES_DOWN,
        "topology.participation=0.6",
    ],
}


def run(config: Config, folder: Path) -> Path:
    simulate(in_process_grid(config, folder), config, folder)
    return folder


def ledger_counts(folder: Path, config: Config) -> dict[str, Traffic]:
    """Add up what the ledger says was sent and accepted, except for drawings."""
    counts = dict.fromkeys(LANES, NO_TRAFFIC)
    for entry in read_lines(folder / "ledger.jsonl"):
        assert entry["event"] not in ("refuse", "lost", "resend", "fail"), entry
        if entry["event"] in ("send", "accept") and entry.get("task") != "draw":
            if entry["hop"] == "backbone" and not config.topology.edges:
                assert (entry["parameters"], entry["payload_bytes"]) == (0, 0)  # within the root's process
                continue
            lane = f"{entry['hop']}_{'down' if entry['event'] == 'send' else 'up'}"
            counts[lane] += Traffic(1, entry["parameters"], entry["payload_bytes"])
    return counts


def columns(found: Estimate, rounds: int) -> dict[str, int]:
    """Name what the first rounds send as metrics.jsonl does."""
    so_far = [found.preparation, *found.rounds[:rounds]] if rounds else []
    sums = {lane: total(one[lane] for one in so_far) for lane in LANES}
    return {f"{lane}_{what}": count for lane in LANES for what, count in asdict(sums[lane]).items()}


@pytest.mark.parametrize("name", RUNS)
def test_a_run_counts_what_was_said(name: str, tmp_path: Path) -> None:
    config = compose([*TINY, *RUNS[name]])
    found = estimate(config)
    folder = run(config, tmp_path / "run")
    lines = list(read_lines(folder / "metrics.jsonl"))
    assert [line["round"] for line in lines] == [0, 1, 2, 3]
    for line in lines:
        expected = columns(found, line["round"])
        assert {key: line[key] for key in expected} == expected
    assert ledger_counts(folder, config) == found.lanes
    pruned = found.pruned or found.dense
    assert (lines[-1]["parameters"], lines[-1]["macs"]) == (pruned.structure.size, pruned.macs)
    end = standings(RecordedRun.read(folder))[-1]
    assert asdict(found.costs) == {
        "root_bytes": end.backbone_bytes if config.topology.edges else end.bytes,
        "bytes": end.bytes,
        "client_epochs": end.client_epochs,
        "image_passes": end.image_passes,
        "forward_macs": end.forward_macs,
    }
    known = registry(config)
    told = json.loads((folder / "partition.json").read_text())
    assert told["class_names"] == known.classes
    assert told["clients"] == {
        client: {"counts": profile.counts, "homes": known.homes[client]} for client, profile in known.profiles.items()
    }


def test_zstd_takes_off_what_is_not_known_before(tmp_path: Path) -> None:
    config = compose([*TINY, "method=fedavg", "codec=int8", "codec.access.up.zstd=3", "rounds=1"])
    found = estimate(config)
    counts = ledger_counts(run(config, tmp_path / "run"), config)
    assert counts["access_up"].bytes < found.lanes["access_up"].bytes
    assert counts["access_up"].parameters == found.lanes["access_up"].parameters
    assert {**counts, "access_up": NO_TRAFFIC} == {**found.lanes, "access_up": NO_TRAFFIC}
    assert [note.split(":")[0] for note in notes(found)] == ["at most"]


# --- flat FedAvg ---------------------------------------------------------------------------------


def test_flat_fedavg_at_equal_client_epochs() -> None:
    """Its costs are those of a run of flat FedAvg, and what is told of FedPhD follows from numbers of messages."""
    counts = ["topology.clients=6", "topology.participation=0.5", "topology.edge_rounds=5", "rounds=4"]
    found = estimate(compose([*TINY, *counts, "method=fedphd_os", "codec=int8"]))
    flat = [*counts, "method=fedavg", "topology=flat", "topology.edge_rounds=1", "training.epochs=5"]
    assert found.flat_costs == estimate(compose([*TINY, *flat])).costs
    assert label(found.flat) == "flat FedAvg, E = 5"
    assert found.costs.client_epochs == found.flat_costs.client_epochs == 4 * 5 * 3
    dense = found.dense.structure.size
    assert found.flat_costs.bytes == found.flat_costs.root_bytes == 4 * dense * 4 * 3 * 2
    uncoded = estimate(compose([*TINY, *counts, "method=fedphd_os"]))
    pruned = uncoded.pruned or uncoded.dense
    # Of each root round: 5 x 3 clients and 2 edges, against 3 clients.
    shares = uncoded.costs.shares(uncoded.flat_costs)
    assert shares["bytes"] == pytest.approx(pruned.structure.size * (5 * 3 + 2) / (dense * 3))
    assert shares["root_bytes"] == pytest.approx(pruned.structure.size * 2 / (dense * 3))
    # Clients hold unlike numbers of images, so that passes of others are not as many images.
    macs = shares["forward_macs"], shares["image_passes"]
    assert macs[0] == pytest.approx((macs[1] or 0) * pruned.macs / found.dense.macs)


def test_flat_fedavg_sends_no_control_variates_and_trains_no_local_models() -> None:
    plain = estimate(compose([*TINY, "method=fedavg"])).flat_costs
    for method in ("scaffold", "fedddpm", "feddiffuse_udec"):
        assert estimate(compose([*TINY, f"method={method}", *(FEW if method == "fedddpm" else [])])).flat_costs == plain


def test_image_passes_are_unknown_where_images_are_elsewhere(tmp_path: Path) -> None:
    found = estimate(compose([*own_images(tmp_path, "rounds=2", "evaluation=grid"), "runtime=deployment"]))
    assert (found.costs.client_epochs, found.costs.image_passes, found.costs.forward_macs) == (4, None, None)
    assert found.costs.shares(found.flat_costs)["forward_macs"] is None


# --- periods, notes, command ---------------------------------------------------------------------


def test_periods_show_first_contacts_and_the_pruning() -> None:
    overrides = [*TINY, "method=fedphd", "rounds=6", "pruning.sparse_rounds=3"]
    assert [(one.first, one.last) for one in estimate(compose(overrides)).periods] == [(1, 3), (4, 6)]
    found = estimate(compose([*overrides, "exchange=udec"]))
    assert [(one.first, one.last) for one in found.periods] == [(1, 1), (2, 3), (4, 4), (5, 6)]
    counted: dict[str, Traffic] = defaultdict(Traffic)
    for period in found.periods:
        for lane, traffic in period.lanes.items():
            counted[lane] += traffic
    assert counted == found.lanes
    corrected = estimate(compose([*TINY, "method=fedddpm"]))
    assert [(one.first, one.last) for one in corrected.periods] == [(0, 0), (1, 3)]


def test_pruning_after_the_last_round_has_no_period_of_its_own() -> None:
    found = estimate(compose([*TINY, "method=fedphd", "pruning.sparse_rounds=3"]))
    assert [(one.first, one.last) for one in found.periods] == [(1, 3)]
    assert found.pruned is not None and total(found.lanes.values()) == total(found.unsaved.values())


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["method=fedphd"], []),
        (["method=fedphd", "privacy.histogram_epsilon=1.0"], ["not exact"]),
        (["method=fedavg", "privacy.histogram_epsilon=1.0"], []),  # the plan does not depend on histograms
        (["method=fedddpm", "privacy.histogram_epsilon=1.0"], ["not exact"]),
        (["method=fedavg", "exchange=ulatdec"], ["not counted, here and in the run"]),
        (["method=fedavg", "topology=flat", "codec.backbone.up.zstd=3"], []),  # there is no backbone
    ],
)
def test_notes_say_where_a_run_may_count_otherwise(overrides: list[str], said: list[str]) -> None:
    assert [note.split(":")[0] for note in notes(estimate(compose([*TINY, *overrides])))] == said


def own_images(folder: Path, *settings: str) -> list[str]:
    for name, classes in {"root": 3, "client-0": 3, "client-1": 3}.items():
        images(folder / f"{name}.npz", 6 + len(name), side=8, classes=classes)
    return ["method=fedphd", "data=npz", f"data.path={folder}", "partition=own", "topology.clients=2", *settings]


def test_clients_with_images_of_their_own(tmp_path: Path) -> None:
    overrides = own_images(tmp_path, "rounds=2", "evaluation=grid")
    profiles = registry(compose(overrides)).profiles
    # 14 images whose classes go round 0, 1, 2: five of the first two, four of the last.
    assert profiles["client-1"].counts == [5.0, 5.0, 4.0] and profiles["client-1"].samples == 14
    assert notes(estimate(compose(overrides))) == []
    (tmp_path / "client-0.npz").unlink()
    with pytest.raises(SettingError, match=r"client-0\.npz"):
        estimate(compose(overrides))
    away = compose([*overrides, "runtime=deployment"])  # its clients' images are on their machines
    assert registry(away).classes == ["0", "1", "2"]
    assert notes(estimate(away))[0].startswith("not exact")


def test_clients_with_other_classes_are_counted_over_all_classes(tmp_path: Path) -> None:
    overrides = own_images(tmp_path, "evaluation=grid")
    images(tmp_path / "client-1.npz", 14, side=8, classes=4)
    known = registry(compose(overrides))
    assert known.classes == ["0", "1", "2", "3"]
    assert [known.profiles[client].counts[3] for client in ("client-0", "client-1")] == [0.0, 3.0]
    assert notes(estimate(compose(overrides))) == []
