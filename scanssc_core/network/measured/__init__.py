"""What the measured depth says of each fine voxel: the lite model's own inputs (not in the paper)."""
