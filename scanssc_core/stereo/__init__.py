"""Depth from a rectified stereo pair: one interface, several sources."""
