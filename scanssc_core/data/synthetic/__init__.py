"""A synthetic street, rendered exactly: images, depth and voxels agree to the last bit of geometry.

The world frame is x along the street, y left, z up, with the ground at z = 0. A scene is a list of convex solids
standing on the ground; a ray's hit is computed in closed form, and the texture is a function of the place that was hit,
so left and right image see the same surface.
"""
