"""From images to labelled voxels: the two stages in a row, timed. What the node and the offline commands call."""
