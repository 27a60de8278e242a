"""From the image to voxels: depth distribution, lift-splat volume, query proposal, deformable attention."""
