"""The client tier: trains the U-Net on its own images, which never leave it."""
