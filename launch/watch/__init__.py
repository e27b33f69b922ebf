"""What is shown of a run that goes on: the progress display, and `fedphd status`."""
