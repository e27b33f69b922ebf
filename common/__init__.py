"""What more than one tier needs. Nothing in here imports a tier."""
