"""Pictures of depth and labelled voxels, without a display or a GPU."""
