"""A run's own record: its folder, its ledger, its logs, and how its figures are written."""
