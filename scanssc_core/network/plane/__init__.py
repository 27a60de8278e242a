"""The lite network: height folded into channels, everything on the plane seen from above (not in the paper)."""
