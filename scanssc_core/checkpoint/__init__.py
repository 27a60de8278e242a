"""Weights: the published files, and the clean files made of them. Nothing here executes what a file contains."""
