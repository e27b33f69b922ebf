"""Parts of `fedphd export`: what is carried, which networks plain diffusers can build, the hub."""

import ast
import base64
import json
import re
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import torch
from diffusers import UNet2DModel
from exported_runs import TINY, command, write_run
from helpers import small_config

from fedphd.common.errors import FedPhDError, SettingError
from fedphd.common.network.build import build_unet
from fedphd.common.network.exported import REST
from fedphd.common.network.narrow import NarrowUNet2DModel, shapes_of
from fedphd.common.network.pruning import prune
from fedphd.launch.export.bundle import CARRIED, bundle
from fedphd.launch.export.folder import appearing
from fedphd.launch.export.licence import licence_fields
from fedphd.launch.export.plain import plain, predicts_alike


@pytest.mark.parametrize("name", CARRIED)
def test_what_is_carried_needs_nothing_of_ours(name: str) -> None:
    tree = ast.parse(bundle(name))
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    modules |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    tops = {str(module).partition(".")[0] for module in modules}
    assert tops <= {"torch", "diffusers", *sys.stdlib_module_names}
    names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)]
    assert len(names) == len(set(names)), "modules that are joined must not define the same names"


@pytest.mark.parametrize("name", CARRIED)
def test_each_carried_module_imports_only_those_before_it(name: str) -> None:
    before: set[str] = set()
    for module in CARRIED[name]:
        tree = ast.parse(Path(str(module.__file__)).read_text())
        ours = {node.module for node in tree.body if isinstance(node, ast.ImportFrom) and node.module is not None}
        assert {one for one in ours if one.startswith("fedphd.")} <= before
        before.add(module.__name__)


def moved(*overrides: str) -> torch.nn.Module:
    unet = build_unet(small_config(*overrides).model, 0).eval()
    with torch.no_grad():
        for weight in unet.parameters():
            weight.add_(0.02 * torch.randn(weight.shape, generator=torch.Generator().manual_seed(weight.numel())))
    return unet


def test_a_dense_network_is_plain_as_it_is() -> None:
    unet = moved()
    assert plain(unet, 1000) is unet


def test_a_uniformly_pruned_network_has_a_plain_twin(tmp_path: Path) -> None:
    pruned = prune(moved(), 0.25)[0].eval()
    twin = plain(pruned, 1000)
    assert twin is not None and predicts_alike(pruned, twin, 1000, 1e-5)
    twin.save_pretrained(tmp_path)
    loaded = UNet2DModel.from_pretrained(tmp_path)
    assert tuple(loaded.config.block_out_channels) == (24, 48) and loaded.config.attention_head_dim == 6
    assert predicts_alike(pruned, loaded, 1000, 1e-5)


def test_one_of_irregular_widths_has_none() -> None:
    assert plain(prune(moved("model.unet.block_out_channels=[32,80]"), 0.25)[0].eval(), 1000) is None


def test_one_whose_time_has_too_few_dimensions_has_none() -> None:
    """4 channels cannot tell 1,000 times apart as 8 sinusoids do."""
    tiny = ["model.unet.block_out_channels=[8,16]", "model.unet.norm_num_groups=2"]
    assert plain(prune(moved(*tiny), 0.5)[0].eval(), 1000) is None


def test_heads_of_other_numbers_are_not_taken_for_the_same() -> None:
    """The weights' shapes do not tell how many heads there are."""
    unet = moved()
    for module in unet.modules():
        if type(module).__name__ == "Attention":
            module.heads //= 2  # type: ignore[operator, assignment]
    assert plain(unet, 1000) is None


def test_a_narrow_network_is_saved_and_loaded(tmp_path: Path) -> None:
    pruned = prune(moved("model.unet.block_out_channels=[32,80]"), 0.25)[0].eval()
    options = {key: value for key, value in pruned.config.items() if not key.startswith("_")}  # type: ignore[operator, union-attr]
    narrow = NarrowUNet2DModel(shapes=shapes_of(pruned), **options)
    narrow.load_state_dict(pruned.state_dict())
    narrow.save_pretrained(tmp_path)
    loaded = NarrowUNet2DModel.from_pretrained(tmp_path)
    assert predicts_alike(pruned, loaded.eval(), 1000, 0.0)


def test_the_folder_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), appearing(tmp_path / "out") as folder:
        (folder / "part").write_text("x")
        raise ZeroDivisionError
    assert not list(tmp_path.iterdir())
    (tmp_path / "out").mkdir()
    with appearing(tmp_path / "out") as folder:
        (folder / "part").write_text("x")
    assert [file.name for file in tmp_path.rglob("*")] == ["out", "part"]


def test_licences() -> None:
    assert licence_fields("cc-by-4.0") == {"license": "cc-by-4.0"}
    assert licence_fields("Of the Clinic, 2026") == {"license": "other", "license_name": "of-the-clinic-2026"}


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, bytes]]:
    """Stand in for the hub: takes files as small ones, and gives them by their names."""
    taken: dict[str, bytes] = {}

    class Hub(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            assert self.path.partition("?")[0].endswith("/clinic/model/tree/main")
            self._answer([{"type": "file", "path": path, "size": 1, "oid": "a"} for path in taken if path != "created"])

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self._answer(self._taken(body))

        def _taken(self, body: bytes) -> dict[str, object]:
            if self.path.endswith("/create"):
                taken["created"] = body
                return {"url": f"{endpoint}/clinic/model"}
            if self.path.endswith("/preupload/main"):
                paths = [one["path"] for one in json.loads(body)["files"]]
                return {"files": [{"path": path, "uploadMode": "regular", "shouldIgnore": False} for path in paths]}
            if self.path.endswith("/commit/main"):
                for line in (json.loads(one) for one in body.splitlines()):
                    if line["key"] == "file":
                        taken[line["value"]["path"]] = base64.b64decode(line["value"]["content"])
                    if line["key"] == "deletedFile":
                        del taken[line["value"]["path"]]
                return {"commitUrl": f"{endpoint}/clinic/model/commit/a", "commitOid": "a", "success": True}
            return {"warnings": [], "errors": []}

        def _answer(self, tree: object) -> None:
            text = json.dumps(tree).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(text)))
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    endpoint = f"http://127.0.0.1:{server.server_port}"
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", endpoint)
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_test")
    yield taken
    server.shutdown()
    server.server_close()


def test_an_export_is_brought_to_the_hub(hub: dict[str, bytes], tmp_path: Path) -> None:
    out = tmp_path / "out"
    command("export", write_run(tmp_path / "run", *TINY), out, "--push-to-hub", "clinic/model")
    created = json.loads(hub.pop("created"))
    assert (created["organization"], created["name"], created["visibility"]) == ("clinic", "model", "private")
    files = {str(file.relative_to(out)): file.read_bytes() for file in out.rglob("*") if file.is_file()}
    assert hub == files
    assert re.search(r"from_pretrained\('clinic/model'", files["README.md"].decode())


def test_another_export_leaves_nothing_of_the_one_before(hub: dict[str, bytes], tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    pruned = write_run(tmp_path / "pruned", "sampler.steps=5", "ema_decay=0.9", ratio=0.25)
    command("export", pruned, first, "--push-to-hub", "clinic/model", "--onnx")
    assert REST in hub
    hub["notes.md"] = b"of the clinic's own"
    command("export", write_run(tmp_path / "run", *TINY), second, "--push-to-hub", "clinic/model")
    files = {str(file.relative_to(second)) for file in second.rglob("*") if file.is_file()}
    assert set(hub) == files | {"created", "notes.md"}


def test_without_a_network_the_folder_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("HF_TOKEN", "hf_of_the_test")
    out = tmp_path / "out"
    with pytest.raises(
        FedPhDError, match=r"--push-to-hub=clinic/model: cannot be uploaded \(.*; .*out is written; hf up"
    ):
        command("export", write_run(tmp_path / "run", *TINY), out, "--push-to-hub", "clinic/model")
    assert (out / "README.md").is_file()


def test_onnx_without_its_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(SettingError, match=r"--onnx=true: needs the library onnxruntime; .*'fedphd\[onnx\]'"):
        command("export", write_run(tmp_path / "run", *TINY), tmp_path / "out", "--onnx")
    assert not (tmp_path / "out").exists()


def test_a_network_of_a_users_own_is_drawn_with_but_not_exported(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "common")
    own = ["model.network=users_networks:Plain", "~model.unet", "+model.unet={sample_size:8,in_channels:1}"]
    run = write_run(tmp_path / "run", *own, "sampler.steps=5")
    command("sample", run, "--n", "2", "--out", tmp_path / "drawn")
    assert len(list((tmp_path / "drawn").iterdir())) == 2
    with pytest.raises(SettingError, match=r"its network is your own \(users_networks:Plain\), which diffusers cannot"):
        command("export", run, tmp_path / "out")


def test_an_export_names_no_module_to_import(tmp_path: Path) -> None:
    out = tmp_path / "out"
    command("export", write_run(tmp_path / "run", *TINY), out)
    facts = json.loads((out / "fedphd.json").read_text())
    facts["sampler"]["kind"] = "antigravity:Sampler"
    (out / "fedphd.json").write_text(json.dumps(facts))
    with pytest.raises(SettingError, match="has a sampler of its makers' own"):
        command("sample", out, "--out", tmp_path / "grid.png")
    assert "antigravity" not in sys.modules
