"""Decoding image files: what can be read, and how depth, colour and pages become pixels of 8 bits."""
