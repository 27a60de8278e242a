"""Labelled grids of many moments into one map of the surroundings (docs/mapping.md)."""
