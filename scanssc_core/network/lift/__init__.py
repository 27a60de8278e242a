"""From the image to voxels: lift-splat volume, points of the depth map, query proposal, deformable attention."""
