"""The front door: the `fedphd` command, which starts, shows and reports. The only room that imports all tiers."""
