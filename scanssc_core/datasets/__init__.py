"""Stereo frames from disk, from bags and from the synthetic street, and the formats they are stored in."""
