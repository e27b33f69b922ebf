"""Images: reading them, whose they are, and which client holds which."""
