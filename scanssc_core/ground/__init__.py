"""Where the ground lies under a robot, by its depth and its pair.

measured_ground.py is of one frame, ground_filter.py of a drive.
"""
