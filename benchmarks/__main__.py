"""Run all benchmarks: `python -m benchmarks`."""

from benchmarks import aggregation, codecs, deployed_round, homogeneity, kept_optimizer

if __name__ == "__main__":
    aggregation.main()
    codecs.main()
    homogeneity.main()
    kept_optimizer.main()
    deployed_round.main()
