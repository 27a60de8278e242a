"""Semantic occupancy from image and depth: one interface, several sources."""
