"""What we add to Flower, and the few places where we lean on what Flower does not promise."""
