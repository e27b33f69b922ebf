"""The papers' methods and their baselines, each a choice of parts; and which parts cannot be combined."""

from pathlib import Path

import pytest
import yaml

from fedphd import conf
from fedphd.common.config import EXACT, compose
from fedphd.common.errors import SettingError
from fedphd.common.wire.codec import CODECS

METHODS = Path(conf.__file__).parent / "method"
# What each method has that FedAvg has not.
CHOICES: dict[str, dict[str, object]] = {
    "fedavg": {},
    "centralised": {"clients": 1, "edges": 0},
    "fedprox": {"objective.terms": {"proximal": 0.1}},
    "scaffold": {"objective.control_variates": True},
    "moon": {"objective.terms": {"contrastive": 1.0}},
    "feddiffuse_full": {"objective.loss": "huber"},
    "feddiffuse_usplit": {"objective.loss": "huber", "exchange.kind": "usplit"},
    "feddiffuse_ulatdec": {"objective.loss": "huber", "exchange.kind": "ulatdec"},
    "feddiffuse_udec": {"objective.loss": "huber", "exchange.kind": "udec"},
    "fedddpm": {"correction.kind": "each_round"},
    "fedddpm_plus": {"correction.kind": "once"},
    "feddm_vanilla": {},
    "feddm_prox": {"objective.terms": {"proximal": 0.1}},
    "feddm_quant": {"codec": {"int8"}},
    "fedphd": {
        "objective.terms": {"group_sparsity": 1e-5},
        "assignment.kind": "homogeneity",
        "weighting.root.kind": "homogeneity",
        "pruning.kind": "sparse_then_prune",
    },
    "fedphd_os": {
        "assignment.kind": "homogeneity",
        "weighting.root.kind": "homogeneity",
        "pruning.kind": "at_start",
    },
    "fedphd_plus": {"codec": {"int8", "int4"}, "assignment.kind": "balanced", "pruning.kind": "at_start"},
}


def choices(method: str, *overrides: str) -> dict[str, object]:
    config = compose([f"method={method}", *overrides])
    lanes = {lane.kind for hop in (config.codec.access, config.codec.backbone) for lane in (hop.down, hop.up)}
    objective = config.objective
    return {
        "clients": config.topology.clients,
        "edges": config.topology.edges,
        "objective.loss": objective.loss,
        "objective.terms": {term.kind: term.weight for term in objective.terms.values()},
        "objective.control_variates": objective.control_variates,
        "exchange.kind": config.exchange.kind,
        "codec": lanes,
        "assignment.kind": config.assignment.kind,
        "weighting.root.kind": config.weighting.root.kind,
        "pruning.kind": config.pruning.kind,
        "correction.kind": config.correction.kind,
    }


def test_all_methods_are_there() -> None:
    assert {file.stem for file in METHODS.glob("*.yaml")} == set(CHOICES)


@pytest.mark.parametrize("method", CHOICES)
def test_a_method_differs_from_fedavg_in_its_own_parts_only(method: str) -> None:
    assert choices(method) == choices("fedavg") | CHOICES[method]


@pytest.mark.parametrize("method", CHOICES)
def test_a_method_is_its_file_and_nothing_else(method: str) -> None:
    """It names all that makes a method, so that it does not depend on the defaults; and sets no other option."""
    content = yaml.safe_load((METHODS / f"{method}.yaml").read_text())
    named = {key.removeprefix("override /") for default in content.pop("defaults") for key in default}
    needed = {"objective", "exchange", "codec", "assignment", "weighting", "pruning", "correction"}
    assert needed <= named <= needed | {"topology", "partition"}
    assert content == {"method": method}


def test_parts_of_several_papers_combine() -> None:
    mixed = compose(["method=fedphd", "codec=int8", "exchange=udec", "+objective/term=proximal"])
    assert (mixed.pruning.kind, mixed.exchange.kind, mixed.codec.access.up.kind) == (
        "sparse_then_prune",
        "udec",
        "int8",
    )
    assert set(mixed.objective.terms) == {"group_sparsity", "proximal"}
    assert choices("moon", "correction=once", "exchange=usplit")["correction.kind"] == "once"


# --- what cannot be combined ------------------------------------------------------------------------


@pytest.mark.parametrize("exchange", ["ulatdec", "udec"])
@pytest.mark.parametrize("correction", ["each_round", "once"])
def test_a_correction_needs_a_global_model(exchange: str, correction: str) -> None:
    with pytest.raises(SettingError, match=rf"^correction={correction}: .*exchange={exchange} .*use full or usplit"):
        compose([f"correction={correction}", f"exchange={exchange}"])


def test_a_trend_needs_rounds_on_either_side() -> None:
    with pytest.raises(SettingError, match=r"^correction\.window=5: "):
        compose(["correction=once", "rounds=9"])
    assert compose(["correction=once", "rounds=10"]).correction.window == 5


@pytest.mark.parametrize("hop", ["access", "backbone"])
@pytest.mark.parametrize("way", ["down", "up"])
def test_below_8_bits_only_changes_travel(hop: str, way: str) -> None:
    with pytest.raises(SettingError, match=rf"^codec\.{hop}\.{way}\.of=weights: int4 weights ruin the images"):
        compose([f"codec.{hop}.{way}.kind=int4"])
    config = compose([f"codec.{hop}.{way}.kind=int4", f"codec.{hop}.{way}.of=change"])
    assert getattr(getattr(config.codec, hop), way).kind == "int4"


@pytest.mark.parametrize("hop", ["access", "backbone"])
@pytest.mark.parametrize("way", ["down", "up"])
def test_what_is_exact_has_no_error_to_feed_back(hop: str, way: str) -> None:
    told = rf"^codec\.{hop}\.{way}\.error_feedback=true: float32 rounds nothing away"
    with pytest.raises(SettingError, match=told):
        compose([f"codec.{hop}.{way}.error_feedback=true"])
    coarse = compose([f"codec.{hop}.{way}.kind=int8", f"codec.{hop}.{way}.error_feedback=true"])
    assert getattr(getattr(coarse.codec, hop), way).error_feedback


@pytest.mark.parametrize("kind", ["float32", "float16", "bfloat16"])
def test_only_integers_are_rounded_at_random(kind: str) -> None:
    told = rf"^codec\.access\.up\.rounding=stochastic: is for integers; use nearest with {kind}"
    with pytest.raises(SettingError, match=told):
        compose([f"codec.access.up.kind={kind}", "codec.access.up.rounding=stochastic"])
    assert compose(["codec=int8", "codec.access.up.rounding=stochastic"]).codec.access.up.rounding == "stochastic"


@pytest.mark.parametrize(
    ("override", "told"),
    [
        ("codec.access.up.kind=int2", "codec.access.up.kind=int2: .*float32, int4, int8"),
        ("codec.access.up.of=gradient", "codec.access.up.of=gradient: .*'weights' or 'change'"),
        ("codec.access.up.zstd=0", "codec.access.up.zstd=0: .*greater than or equal to 1"),
        ("codec.access.up.zstd=23", "codec.access.up.zstd=23: .*less than or equal to 22"),
        ("exchange.kind=decoder", "exchange.kind=decoder: .*use full, ulatdec, udec, usplit"),
        ("+objective.terms.x={kind:proximal,weight:-1}", "objective.terms.x.weight=-1: .*greater than or equal to 0"),
        ("+objective.terms.x={weight:1}", "objective.terms.x.kind=null: Field required"),
        ("correction.kind=always", "correction.kind=always: .*use none, each_round, once"),
        ("training.optimizer=adamw", "training.optimizer=adamw: .*'adam' or 'sgd'"),
    ],
)
def test_options_out_of_range(override: str, told: str) -> None:
    with pytest.raises(SettingError, match=f"^{told}"):
        compose([override])


# --- what follows from the choices ------------------------------------------------------------------


def test_without_an_edge_tier_nothing_is_coded_on_the_backbone() -> None:
    flat, tiered = compose(["codec=int4", "topology=flat"]), compose(["codec=int4", "topology.edges=2"])
    assert (flat.backbone.down, flat.backbone.up) == (EXACT, EXACT)
    assert flat.codec.access.up == tiered.codec.access.up == tiered.backbone.up
    assert tiered.backbone.up == CODECS.read({"kind": "int4", "of": "change", "error_feedback": True, "zstd": None})


@pytest.mark.parametrize(
    ("overrides", "keeps"),
    [
        ((), False),
        (("exchange=usplit",), False),
        (("exchange=ulatdec",), True),
        (("exchange=udec",), True),
        (("codec=int8_weights",), False),
        (("codec=int8",), True),  # feeds errors back
        (("codec.backbone.up.kind=int8", "codec.backbone.up.error_feedback=true"), True),  # the edges do
        (("codec.backbone.up.kind=int8", "codec.backbone.up.error_feedback=true", "topology=flat"), False),
        (("objective=control_variates",), True),
        (("objective=contrastive",), True),
        (("objective=proximal",), False),
        (("objective=contrastive", "objective.terms.contrastive.weight=0"), False),
    ],
)
def test_when_something_is_kept_that_must_be_pruned_with_the_network(overrides: tuple[str, ...], keeps: bool) -> None:
    assert compose(["method=fedavg", *overrides]).keeps_states is keeps
