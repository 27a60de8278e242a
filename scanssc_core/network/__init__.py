"""The ScanSSC network (CVPR 2025), in the order of its data: image, depth, lift, scan, head."""
