"""Which part each tensor of our U-Nets belongs to, and who reports which."""

from collections import Counter
from functools import cache
from importlib.resources import files

import pytest
import yaml
from helpers import SHARED, exchange_of
from hypothesis import given
from hypothesis import strategies as st

from fedphd.common.config import ModelConfig
from fedphd.common.network.build import dense_structure
from fedphd.common.network.structure import Structure
from fedphd.common.wire.parts import BOTTLENECK, DECODER, ENCODER, PARTS, PREFIXES, Parts, part_of, restrict

KINDS = list(SHARED)
SOME_PARTS = [tuple(part for part in PARTS if part in chosen) for chosen in (PARTS, *SHARED.values())]
SOME_PARTS += [(part,) for part in PARTS] + [(ENCODER, BOTTLENECK), (ENCODER, DECODER)]


@cache
def network(name: str) -> Structure:
    text = (files("conf") / "model" / f"{name}.yaml").read_text()
    return dense_structure(ModelConfig.model_validate(yaml.safe_load(text)["model"]))


def names(clients: int) -> list[str]:
    return [f"client-{i}" for i in range(clients)]


# --- parts of the networks --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "sizes"),
    [
        # FedDiffuse's U-Net for Fashion-MNIST, as its authors' code has it: 2,996,315 in all.
        ("feddiffuse_fmnist", (1_280_642, 999_376, 716_297)),
        # FedPhD's, 35,746,307 in all. Residual blocks of 128: 361,344, from 128 to 256: 1,050,368, of 256: 1,312,512.
        # Attention of 256: 263,680. Ends of blocks: 147,584 and 590,080. Encoder: 3,584 + time 328,704 + 870,272 +
        # 3,480,320 + 3,215,104 + 2,625,024. Bottleneck: two blocks and an attention. Decoder: the rest.
        ("ddpm_cifar10", (10_523_008, 2_888_704, 22_334_595)),
    ],
)
def test_scalars_of_each_part(model: str, sizes: tuple[int, int, int]) -> None:
    structure = network(model)
    assert tuple(restrict(structure, (part,)).size for part in PARTS) == sizes
    assert sum(sizes) == structure.size


@pytest.mark.parametrize("model", ["digits8", "ddpm_cifar10", "feddiffuse_fmnist"])
def test_every_tensor_belongs_to_one_part(model: str) -> None:
    structure = network(model)
    by_part = {part: restrict(structure, (part,)).tensors for part in PARTS}
    assert all(by_part.values())
    assert sum(map(len, by_part.values())) == len(structure.tensors)
    assert {tensor for tensors in by_part.values() for tensor in tensors} == set(structure.tensors)
    # What comes before the bottleneck in a forward pass, the bottleneck, and what comes after it.
    assert part_of("conv_in.weight") == part_of("time_embedding.linear_1.bias") == ENCODER
    assert {part_of(name) for name, _ in structure.tensors if name.startswith("down_blocks")} == {ENCODER}
    assert {part_of(name) for name, _ in structure.tensors if "mid_" in name} == {BOTTLENECK}
    assert {part_of(name) for name, _ in structure.tensors if name.startswith(("up_blocks", "conv_out"))} == {DECODER}


@pytest.mark.parametrize("name", ["w", "", "encoder.weight", "down_blocks_0.weight", "Conv_in.weight", "conv_in_2"])
def test_a_name_that_does_not_tell_its_part_is_an_error(name: str) -> None:
    with pytest.raises(ValueError, match="belongs to no part; names must begin with conv_in"):
        part_of(name)


def test_all_parts_are_the_structure_itself_whatever_its_names() -> None:
    odd = Structure((("odd", (3,)),))
    assert restrict(odd, PARTS) is odd
    with pytest.raises(ValueError, match="tensor odd belongs to no part"):
        restrict(odd, (DECODER,))


PREFIXED = st.builds("{}.{}".format, st.sampled_from(list(PREFIXES)), st.integers(0, 99))


@given(st.lists(PREFIXED, unique=True), st.sampled_from(SOME_PARTS))
def test_a_restriction_keeps_the_order_and_nothing_else(tensors: list[str], parts: Parts) -> None:
    structure = Structure(tuple((name, (2, i + 1)) for i, name in enumerate(tensors)))
    kept = restrict(structure, parts)
    assert kept.tensors == tuple(tensor for tensor in structure.tensors if part_of(tensor[0]) in parts)
    assert restrict(kept, parts) == kept
    if len(kept.tensors) == len(tensors):
        assert kept == structure


# --- who reports what -------------------------------------------------------------------------------


def reporters(drawn: dict[str, Parts]) -> Counter[str]:
    """Count how many report each part."""
    return Counter(part for parts in drawn.values() for part in parts)


SEEDS = st.integers(0, 2**31)
ROUNDS = st.integers(0, 10**6)
CROWDS = st.integers(2, 12).map(names)


@given(st.sampled_from(KINDS), CROWDS, SEEDS, ROUNDS)
def test_everybody_reports_something_that_travels(kind: str, clients: list[str], seed: int, edge_round: int) -> None:
    drawn = exchange_of(kind).reports(clients, seed, "edge-0", edge_round)
    assert list(drawn) == clients  # the order of summation
    assert all(parts and set(parts) <= set(SHARED[kind]) for parts in drawn.values())
    assert all(tuple(part for part in PARTS if part in parts) == parts for parts in drawn.values())
    assert {part for parts in drawn.values() for part in parts} == set(SHARED[kind])
    assert drawn == exchange_of(kind).reports(clients, seed, "edge-0", edge_round)


@pytest.mark.parametrize("kind", KINDS)
def test_a_single_client_reports_all_that_travels(kind: str) -> None:
    assert exchange_of(kind).reports(["client-7"], 0, "edge-0", 3) == {"client-7": SHARED[kind]}
    assert exchange_of(kind).reports([], 0, "edge-0", 3) == {}


@pytest.mark.parametrize("kind", SHARED)
def test_who_keeps_parts_of_its_own_is_whose_parts_do_not_all_travel(kind: str) -> None:
    assert exchange_of(kind).keeps_parts == (SHARED[kind] != PARTS)


@pytest.mark.parametrize(
    ("kind", "parts"),
    [("full", PARTS), ("ulatdec", (BOTTLENECK, DECODER)), ("udec", (DECODER,))],
)
def test_without_a_split_all_report_the_same(kind: str, parts: Parts) -> None:
    assert exchange_of(kind).reports(names(5), 0, "edge-0", 0) == dict.fromkeys(names(5), parts)


@given(CROWDS, SEEDS, ROUNDS)
def test_usplit_counts(clients: list[str], seed: int, edge_round: int) -> None:
    """Of each pair one reports the encoder, one the decoder, one of them the bottleneck; an odd client two parts."""
    counted = reporters(exchange_of("usplit").reports(clients, seed, "edge-0", edge_round))
    pairs, odd = divmod(len(clients), 2)
    assert counted[BOTTLENECK] == pairs + odd
    assert counted[ENCODER] + counted[DECODER] == 2 * pairs + odd
    assert min(counted[ENCODER], counted[DECODER]) == pairs


@given(st.integers(1, 6).map(lambda pairs: names(2 * pairs)), SEEDS, ROUNDS)
def test_usplit_pairs_complete_each_other(clients: list[str], seed: int, edge_round: int) -> None:
    """With even numbers, the reports can be matched in pairs that together are the whole network, each part once."""
    drawn = Counter(exchange_of("usplit").reports(clients, seed, "edge-0", edge_round).values())
    assert drawn[(BOTTLENECK, DECODER)] == drawn[(ENCODER,)]
    assert drawn[(DECODER,)] == drawn[(ENCODER, BOTTLENECK)]
    assert sum(drawn.values()) == len(clients)


def test_an_odd_client_reports_two_parts() -> None:
    for seed in range(20):
        drawn = Counter(exchange_of("usplit").reports(names(3), seed, "edge-0", 0).values())
        assert sum(len(parts) * count for parts, count in drawn.items()) == 3 + 2  # a pair's three, and its two
        assert set(drawn) <= {(ENCODER,), (DECODER,), (ENCODER, BOTTLENECK), (BOTTLENECK, DECODER)}


def test_the_coins_are_fair() -> None:
    """Of 400 throws of a fair coin 200 are heads, give or take four standard deviations of 10."""
    with_decoder = odd_with_encoder = first_reports_decoder = 0
    for edge_round in range(400):
        drawn = exchange_of("usplit").reports(names(2), 0, "edge-0", edge_round)
        with_decoder += (BOTTLENECK, DECODER) in drawn.values()
        first_reports_decoder += DECODER in drawn["client-0"]
        odd_with_encoder += reporters(exchange_of("usplit").reports(names(5), 1, "edge-0", edge_round))[ENCODER] == 3
    for heads in (with_decoder, odd_with_encoder, first_reports_decoder):
        assert 160 <= heads <= 240


def test_each_edge_round_edge_and_seed_draws_anew() -> None:
    clients = names(8)
    one = exchange_of("usplit").reports(clients, 0, "edge-0", 0)
    assert one != exchange_of("usplit").reports(clients, 0, "edge-0", 1)
    assert one != exchange_of("usplit").reports(clients, 0, "edge-1", 0)
    assert one != exchange_of("usplit").reports(clients, 1, "edge-0", 0)


@pytest.mark.parametrize("clients", [2, 5, 10])
def test_usplit_scalars_reported_by_the_papers_network(clients: int) -> None:
    """In 15 rounds all goes down to K clients, and half goes up for even K: 22.5 K P, as FedDiffuse's table has it."""
    structure = network("feddiffuse_fmnist")
    sizes = {part: restrict(structure, (part,)).size for part in PARTS}
    ups = [
        sum(
            sizes[part]
            for parts in exchange_of("usplit").reports(names(clients), 0, "edge-0", r).values()
            for part in parts
        )
        for r in range(15)
    ]
    total = 15 * clients * structure.size + sum(ups)
    if clients % 2 == 0:
        assert set(ups) == {clients // 2 * structure.size}
        assert f"{total / 1e6:.2f}" == {2: "134.83", 10: "674.17"}[clients]
    else:
        # 75 P down, two pairs' 30 P up, and 15 times the odd client's bottleneck and decoder, or encoder, by the coins.
        assert 340_348_170 < total < 348_813_345  # the paper's 343.73e6 is within


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_averaged_apart_together_is_all_that_travels(kind: str) -> None:
    groups = exchange_of(kind).averages
    assert sorted(part for group in groups for part in group) == sorted(SHARED[kind])
    for parts in exchange_of(kind).reports(names(7), 0, "edge-0", 0).values():
        assert all(set(group) <= set(parts) or not set(group) & set(parts) for group in groups)
