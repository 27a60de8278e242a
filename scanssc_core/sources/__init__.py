"""Stereo pairs from KITTI folders and rosbag2 files: reading, decoding, pairing."""
