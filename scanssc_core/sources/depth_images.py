"""The bytes of a depth or disparity image message to an array: encoding, row padding and byte order honoured."""

import numpy as np
from numpy.typing import NDArray

from scanssc_core.geometry import only_measured

# encoding: (NumPy type without byte order, metres of one unit), as REP 118 has them; some drivers call 16UC1 mono16.
_DEPTH_ENCODINGS = {"16UC1": ("u2", 1e-3), "mono16": ("u2", 1e-3), "32FC1": ("f4", 1.0)}


def decode_depth(data: bytes, encoding: str, height: int, width: int, step: int, is_bigendian: bool) -> NDArray:
    """Decode the fields of a sensor_msgs/Image that holds depth.

    Args:
        data: at least height * step bytes.
        encoding: 16UC1 in millimetres or 32FC1 in metres.
        step: bytes of a row, padding included.
        is_bigendian: byte order of the values.
    Returns:
        (height, width) float32 metres; 0 where the sender has zero, NaN, infinity or less than zero.
    Raises:
        ValueError: for an unknown encoding or a size that does not fit.
    """
    if encoding not in _DEPTH_ENCODINGS:
        raise ValueError(f"encoding of depth: expected 16UC1 (millimetres) or 32FC1 (metres), got {encoding!r}")
    value_type, unit_m = _DEPTH_ENCODINGS[encoding]
    values = _decode_values(data, value_type, height, width, step, is_bigendian)
    return only_measured(values.astype(np.float32) * np.float32(unit_m))


def decode_disparity(data: bytes, encoding: str, height: int, width: int, step: int, is_bigendian: bool) -> NDArray:
    """(height, width) float32 pixels of the image of a stereo_msgs/DisparityImage, as sent; see decode_depth.

    Raises:
        ValueError: for another encoding than 32FC1 or a size that does not fit.
    """
    if encoding != "32FC1":
        raise ValueError(f"encoding of disparity: expected 32FC1, got {encoding!r}")
    return _decode_values(data, "f4", height, width, step, is_bigendian).astype(np.float32)


def _decode_values(data: bytes, value_type: str, height: int, width: int, step: int, is_bigendian: bool) -> NDArray:
    row_bytes = width * np.dtype(value_type).itemsize
    if height <= 0 or width <= 0 or step < row_bytes or len(data) < height * step:
        raise ValueError(
            f"depth of {width}x{height}: expected step >= {row_bytes} and height * step bytes, "
            f"got step {step} and {len(data)} bytes"
        )
    rows = np.frombuffer(data, np.uint8, count=height * step).reshape(height, step)[:, :row_bytes]
    return np.ascontiguousarray(rows).view((">" if is_bigendian else "<") + value_type)
