"""Whether a stereo pair can be trusted: what is measured of it, and when that is a fault.

input_health.py asks all the questions; the other files measure.
"""
