"""Networks: ScanSSC in the order of its data (image, depth, lift, scan, head; equations: scanssc.py), lite (plane)."""
