"""The ScanSSC network, in the order of its data: image, depth, lift, scan, head. Equations by place: scanssc.py."""
