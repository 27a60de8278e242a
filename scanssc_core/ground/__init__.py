"""Where the ground lies under a robot, by its depth and its pair.

measured_ground.py is of one frame, camera_motion.py of two, ground_filter.py of a drive; ground_tracker.py joins them.
"""
