"""The root's ServerApp of a deployment: its nodes are the edges' gateways."""

from flwr.app import Context
from flwr.serverapp import Grid, ServerApp

from fedphd.common.config import from_run_config, run_folder
from fedphd.common.run.logs import log_to
from fedphd.common.run.run_folder import ROOT_LOG
from fedphd.server.serve import serve

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Run the whole training on Flower's grid of edges."""
    config = from_run_config(context.run_config)
    run_dir = run_folder(context.run_config, context.run_id)
    run_dir.mkdir(parents=True, exist_ok=True)
    log_to(run_dir / ROOT_LOG)
    serve(lambda _ledger: grid, config, run_dir)
