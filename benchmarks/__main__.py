"""Run the benchmarks that take minutes: `python -m benchmarks`. The others are started by their own names."""

from benchmarks import aggregation, codecs, deployed_round, homogeneity, kept_optimizer

if __name__ == "__main__":
    aggregation.main()
    codecs.main()
    homogeneity.main()
    kept_optimizer.main()
    deployed_round.main()
