"""The losses: functions of logits and labels, made for volumes of forty million logits on a CPU; lite.py has its own.

Labels are (B, X, Y, Z) class ids with 255 = unknown; logits (B, P, X, Y, Z). Temporary memory is one gradient of the
logits and slabs of a few megabytes.
"""
