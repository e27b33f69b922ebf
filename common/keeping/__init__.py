"""What a node keeps on its own disk from round to round."""
