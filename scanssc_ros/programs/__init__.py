"""Executables beside the node."""
