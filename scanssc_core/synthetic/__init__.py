"""Synthetic streets, rendered exactly: images, depth, sweeps and voxels agree in their geometry.

The world frame has x along the start of the street, y left, z up. A scene is a height field with convex solids on it; a
ray's hit with a solid is computed in closed form, and the texture is a function of the place that was hit, so left and
right image see the same surface. layout, paving, objects and street make scenes; rays and caster find what is hit;
renderer and lidar are the sensors; sequence drives and writer stores.
"""
