from collections.abc import Callable
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import UNet2DModel
from helpers import events, small_config
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import save_file

from fedphd.common.config import Config
from fedphd.common.errors import FedPhDError
from fedphd.common.keeping.private_files import write_private
from fedphd.common.network.build import build_unet
from fedphd.common.network.packing import PackedModel, pack
from fedphd.common.run.ledger import Ledger
from fedphd.common.training.reverse import ReverseProcess
from fedphd.common.training.sampling import Sampler
from fedphd.server.correction import AuxiliarySet, prepare
from fedphd.server.correction.apportionment import apportion
from fedphd.server.pruning_schedule import load_unet

SAMPLES = {"client-0": 50, "client-1": 0, "client-2": 30, "client-3": 20}
COUNTS = {client: [samples / 2, 0.0, samples / 2] for client, samples in SAMPLES.items()}
# 12 images: 6 of client-0 in chunks of 4 and 2, 3.6 of client-2, 2.4 of client-3: 4 in one chunk, and 2 in one.
SETTINGS = (
    "correction=each_round",
    "correction.images=12",
    "correction.chunk=4",
    "sampler.steps=2",
    "model.unet.block_out_channels=[8]",
    "model.unet.down_block_types=[DownBlock2D]",
    "model.unet.up_block_types=[UpBlock2D]",
)
CHUNKS = ["client-0_000000", "client-0_000004", "client-2_000000", "client-3_000000"]


def auxiliary(folder: Path, ledger: Ledger, *overrides: str) -> AuxiliarySet:
    return AuxiliarySet(folder, small_config(*SETTINGS, *overrides), SAMPLES, COUNTS, ledger)


@cache
def local_model(client: str) -> PackedModel:
    """Give each client a model of its own."""
    return pack(build_unet(small_config(*SETTINGS).model, 1 + list(SAMPLES).index(client)).state_dict())


def unet(client: str) -> UNet2DModel:
    return load_unet(small_config(*SETTINGS), local_model(client))


def files(folder: Path) -> list[str]:
    return sorted(file.name.removesuffix(".safetensors") for file in folder.iterdir())


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("undisturbed")
    prepare(auxiliary(folder / "set", Ledger(folder / "ledger.jsonl")), local_model)
    return folder / "set"


@pytest.fixture
def copy(undisturbed: Path, tmp_path: Path) -> Path:
    """Give a whole set to damage."""
    for file in undisturbed.iterdir():
        write_private(tmp_path / "set" / file.name, file.read_bytes())
    return tmp_path / "set"


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


# --- apportionment --------------------------------------------------------------------------------


def test_shares_by_largest_remainder() -> None:
    # 10 images of 7: quotas 10 x 3/7 = 4.286, 2 x 10/7 = 2.857 twice: 4 + 2 + 2, the two left over to the latter.
    assert apportion(10, {"a": 3, "b": 2, "c": 2}) == {"a": 4, "b": 3, "c": 3}
    # Three equal remainders for one image: the first client's is rounded up.
    assert apportion(100, {"a": 1, "b": 1, "c": 1}) == {"a": 34, "b": 33, "c": 33}
    # 3 x 8/10 = 2.4, 3 x 2/10 = 0.6.
    assert apportion(3, {"a": 8, "b": 2}) == {"a": 2, "b": 1}
    assert apportion(5, {"a": 0, "b": 9}) == {"a": 0, "b": 5}


@given(st.integers(1, 10_000), st.lists(st.integers(0, 10**9), min_size=1, max_size=20).filter(any))
def test_shares_sum_up_and_are_within_one_of_the_proportion(total: int, counts: list[int]) -> None:
    shares = apportion(total, {str(index): count for index, count in enumerate(counts)})
    assert sum(shares.values()) == total
    for share, count in zip(shares.values(), counts, strict=True):
        assert abs(share * sum(counts) - total * count) < sum(counts)


def test_clients_without_any_image_cannot_share() -> None:
    with pytest.raises(FedPhDError, match="no client told of an image"):
        apportion(10, {"a": 0, "b": 0})


# --- drawing --------------------------------------------------------------------------------------


def test_set_is_drawn_in_chunks(undisturbed: Path, ledger: Ledger) -> None:
    whole = auxiliary(undisturbed, ledger)
    assert whole.shares == {"client-0": 6, "client-1": 0, "client-2": 4, "client-3": 2}
    assert files(undisturbed) == CHUNKS
    assert whole.missing() == []
    images = whole.images()
    assert (images.shape, images.dtype) == ((12, 1, 8, 8), np.uint8)
    assert len(np.unique(images.reshape(12, -1), axis=0)) == 12
    assert torch.equal(whole.training_set().images, torch.from_numpy(images))


def test_images_are_those_that_the_local_models_draw(undisturbed: Path, ledger: Ledger) -> None:
    config = small_config(*SETTINGS)
    sampler = Sampler(ReverseProcess.of(config), seed=0, batch_size=4, device=torch.device("cpu"))
    parts = [
        sampler.draw(unet(client), count, stream=("auxiliary", client))
        for client, count in {"client-0": 6, "client-2": 4, "client-3": 2}.items()
    ]
    np.testing.assert_array_equal(auxiliary(undisturbed, ledger).images(), np.concatenate(parts))


def test_order_of_drawing_does_not_matter(undisturbed: Path, tmp_path: Path, ledger: Ledger) -> None:
    one = auxiliary(tmp_path / "set", ledger)
    for client in reversed(one.missing()):
        one.draw_from(client, unet(client))
    np.testing.assert_array_equal(one.images(), auxiliary(undisturbed, ledger).images())
    assert contents(tmp_path / "set") == contents(undisturbed)


def test_images_follow_the_seed(undisturbed: Path, tmp_path: Path, ledger: Ledger) -> None:
    one = auxiliary(tmp_path / "set", ledger, "seed=1")
    prepare(one, local_model)
    assert (one.images() != auxiliary(undisturbed, ledger).images()).any()


def test_each_chunk_is_told(tmp_path: Path, ledger: Ledger) -> None:
    prepare(auxiliary(tmp_path / "set", ledger), local_model)
    told = [{key: value for key, value in event.items() if key not in ("tier", "node")} for event in events(ledger)]
    assert told == [
        {"event": "pretrain", "peer": "client-0", "done": 0, "total": 3},
        {"event": "draw", "peer": "client-0", "done": 4, "total": 12, "left": 2},
        {"event": "draw", "peer": "client-0", "done": 6, "total": 12, "left": 0},
        {"event": "pretrain", "peer": "client-2", "done": 1, "total": 3},
        {"event": "draw", "peer": "client-2", "done": 10, "total": 12, "left": 0},
        {"event": "pretrain", "peer": "client-3", "done": 2, "total": 3},
        {"event": "draw", "peer": "client-3", "done": 12, "total": 12, "left": 0},
    ]


# --- interruption ---------------------------------------------------------------------------------


def dies_at(unet: UNet2DModel, call: int) -> UNet2DModel:
    """Let the process be interrupted when the network computes for that time."""
    left = [call]

    def count(*_: object) -> None:
        left[0] -= 1
        if left[0] == 0:
            raise KeyboardInterrupt

    unet.register_forward_pre_hook(count)
    return unet


@pytest.mark.parametrize(
    ("client", "call", "stored"),
    [
        ("client-0", 2, []),  # two calls draw a chunk
        ("client-0", 3, CHUNKS[:1]),
        ("client-0", 4, CHUNKS[:1]),
        ("client-2", 1, CHUNKS[:2]),
        ("client-3", 2, CHUNKS[:3]),
    ],
)
def test_interrupted_set_is_the_undisturbed_one_in_the_end(
    undisturbed: Path, tmp_path: Path, ledger: Ledger, client: str, call: int, stored: list[str]
) -> None:
    folder = tmp_path / "set"
    one = auxiliary(folder, ledger)
    with pytest.raises(KeyboardInterrupt):
        for name in one.missing():
            one.draw_from(name, dies_at(unet(name), call) if name == client else unet(name))
    assert (files(folder) if folder.exists() else []) == stored

    resumed, asked = auxiliary(folder, ledger), []
    done = {name: len([chunk for chunk in stored if chunk.startswith(name)]) for name in SAMPLES}
    whole = {"client-0": 2, "client-1": 0, "client-2": 1, "client-3": 1}
    assert resumed.missing() == [name for name in SAMPLES if done[name] < whole[name]]

    def fetch(name: str) -> PackedModel:
        asked.append(name)
        return local_model(name)

    missing, drawn = resumed.missing(), len(events(ledger, "draw"))
    prepare(resumed, fetch)
    assert asked == missing
    assert len(events(ledger, "draw")) - drawn == len(CHUNKS) - len(stored)
    assert contents(folder) == contents(undisturbed)
    np.testing.assert_array_equal(resumed.images(), auxiliary(undisturbed, ledger).images())


def test_whole_set_asks_nobody(undisturbed: Path, ledger: Ledger) -> None:
    before = {file: file.stat().st_mtime_ns for file in undisturbed.iterdir()}

    def fetch(client: str) -> PackedModel:
        raise AssertionError(f"{client} is asked in vain")

    prepare(auxiliary(undisturbed, ledger), fetch)
    assert {file: file.stat().st_mtime_ns for file in undisturbed.iterdir()} == before
    assert events(ledger) == []


def torn(file: Path) -> None:
    file.write_bytes(file.read_bytes()[:-1])


def empty(file: Path) -> None:
    file.write_bytes(b"")


def flipped(file: Path) -> None:
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)


def gone(file: Path) -> None:
    file.unlink()


def of_another(file: Path) -> None:
    file.write_bytes((file.parent / "client-2_000000.safetensors").read_bytes())


def without_facts(file: Path) -> None:
    with safe_open(file, "np") as whole:
        save_file({"images": whole.get_tensor("images")}, file)


@pytest.mark.parametrize("damage", [torn, empty, flipped, gone, of_another, without_facts])
def test_torn_or_foreign_chunk_is_drawn_anew(
    undisturbed: Path, copy: Path, ledger: Ledger, damage: Callable[[Path], None]
) -> None:
    before = auxiliary(copy, ledger)
    damage(copy / "client-0_000004.safetensors")
    with pytest.raises(FedPhDError, match=r"client-0_000004\.safetensors; resume the run"):
        before.images()

    mended = auxiliary(copy, ledger)
    assert mended.missing() == ["client-0"]
    prepare(mended, local_model)
    assert [event["done"] for event in events(ledger, "draw")] == [12]
    assert contents(copy) == contents(undisturbed)


@pytest.mark.parametrize(
    ("setting", "foreign"),
    [
        ("seed=1", True),
        ("training.lr=1e-3", True),
        ("correction.local_epochs=7", True),
        ("rounds=3", True),  # the learning rate falls over the rounds
        ("evaluation.every=2", False),
        ("checkpoint.keep=5", False),
    ],
)
def test_chunks_of_other_settings_do_not_count(copy: Path, ledger: Ledger, setting: str, foreign: bool) -> None:
    assert auxiliary(copy, ledger, setting).missing() == (["client-0", "client-2", "client-3"] if foreign else [])


def test_more_rounds_keep_the_set_where_the_learning_rate_is_constant(tmp_path: Path, ledger: Ledger) -> None:
    constant = "training.schedule=constant"
    prepare(auxiliary(tmp_path / "set", ledger, constant), local_model)
    assert auxiliary(tmp_path / "set", ledger, constant, "rounds=3").missing() == []


def test_draft_of_a_killed_process_goes_away(copy: Path, ledger: Ledger) -> None:
    (copy / ".client-0_000000.safetensors.77.draft").write_bytes(b"torn")
    auxiliary(copy, ledger)
    assert files(copy) == CHUNKS


# --- other networks -------------------------------------------------------------------------------


def latent(tmp_path: Path) -> Config:
    """Compose latent diffusion, whose autoencoder the set must not need: its path leads nowhere."""
    config = small_config(*SETTINGS)
    own = {"path": str(tmp_path / "nowhere"), "subfolder": None, "image_size": 32, "image_channels": 1}
    own |= {"scaling": None, "batch_size": 4}
    tree = config.model_dump(mode="json", by_alias=True, exclude_unset=True)
    tree["model"]["autoencoder"] = own
    return Config.model_validate(tree)


def test_latents_are_kept_as_they_are_drawn(tmp_path: Path, ledger: Ledger) -> None:
    one = AuxiliarySet(tmp_path / "set", latent(tmp_path), SAMPLES, COUNTS, ledger)
    prepare(one, local_model)
    latents = one.images()
    assert (latents.shape, latents.dtype) == ((12, 1, 8, 8), np.float32)
    assert one.training_set().mirrored is None
    again = AuxiliarySet(tmp_path / "set", latent(tmp_path), SAMPLES, COUNTS, ledger)
    assert again.missing() == []
    np.testing.assert_array_equal(again.images(), latents)
    x_0 = again.training_set().batch(torch.arange(12), flip=False)
    np.testing.assert_array_equal(x_0.numpy(), latents)


def test_latents_that_are_not_finite_are_refused(tmp_path: Path, ledger: Ledger) -> None:
    one = AuxiliarySet(tmp_path / "set", latent(tmp_path), SAMPLES, COUNTS, ledger)
    network = unet("client-2")
    with torch.no_grad():
        network.conv_out.bias.fill_(float("inf"))
    with pytest.raises(FedPhDError, match="local model of client-2 draws latents that are not finite"):
        one.draw_from("client-2", network)
    assert one.missing() == ["client-0", "client-2", "client-3"]
