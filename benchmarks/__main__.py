"""Run all benchmarks: `python -m benchmarks`."""

from benchmarks import aggregation, deployed_round, kept_optimizer

if __name__ == "__main__":
    aggregation.main()
    kept_optimizer.main()
    deployed_round.main()
