"""The losses of the model: functions of logits and labels, made for volumes of forty million logits on a CPU.

Labels are (B, X, Y, Z) class ids with 255 = unknown; logits (B, P, X, Y, Z). Temporary memory is one gradient of the
logits and slabs of a few megabytes.
"""
