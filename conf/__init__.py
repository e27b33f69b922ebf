"""The Hydra configuration: `config.yaml` and one folder for each group of choices."""
