"""Starting a run: the `fedphd` command and the runtimes that need processes of their own."""
