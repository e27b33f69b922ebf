"""What dies comes back: a deployment whose processes are killed ends with the same model.

Each run takes a minute or two; a killed node is refused for up to a minute before it may come back.
"""

from pathlib import Path

import pytest
from small_deployment import PAIR, deployment, in_process

pytestmark = pytest.mark.processes


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The final model of three rounds without a deployment."""
    return in_process(tmp_path_factory.mktemp("undisturbed"), *PAIR, "rounds=3")


def test_killed_serverapps_and_a_killed_root_superlink(undisturbed: str, tmp_path: Path) -> None:
    with deployment(tmp_path, *PAIR, "rounds=3") as tree:
        tree.tree.start_nodes()
        tree.train()
        tree.until_training("edge-0", 1)
        tree.kill_serverapp("edge-0")
        tree.until_training("edge-0", 2)
        tree.kill("root-superlink")
        tree.until_training("edge-1", 3)
        tree.kill_serverapp("root")
        tree.finish()
        assert tree.model == undisturbed
        assert tree.log("edge-0-gateway").count("no ServerApp is alive; submitting one") >= 2
        assert "root-superlink ended with exit code -9; starting it again" in tree.log("root-superlink")
        assert [event["round"] for event in tree.events("resume")] == [2]


def test_killed_edge_superlink_gateway_and_client(undisturbed: str, tmp_path: Path) -> None:
    with deployment(tmp_path, *PAIR, "rounds=3") as tree:
        tree.tree.start_nodes()
        tree.train()
        tree.until_training("edge-1", 1)
        tree.kill("edge-1-superlink")
        tree.until_training("edge-0", 2)
        tree.until_training("edge-1", 2)
        tree.kill("edge-0-gateway")
        tree.kill("client-1-edge-1")
        tree.finish()
        assert tree.model == undisturbed
        assert "edge-1-superlink ended with exit code -9; starting it again" in tree.log("edge-1-superlink")
        resent = {(event["node"], event["peer"]) for event in tree.events("resend")}  # the edges' events came along
        assert resent == {("root", "edge-0"), ("edge-1", "client-1")}
