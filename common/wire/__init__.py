"""What crosses a hop: which parts of the model, in which codes, in which messages."""
