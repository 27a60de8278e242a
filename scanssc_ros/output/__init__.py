"""Grids, markers, clouds, depth and diagnostics out."""
