"""The bytes of an image message to an RGB array: encoding, row padding and byte order honoured."""

import cv2
import numpy as np
from numpy.typing import NDArray

# encoding: (channels, bytes per value, OpenCV conversion to RGB or None). OpenCV names a Bayer pattern by the second
# row's second and third pixel, ROS by the first row's first two: RG and BG, GR and GB change places.
_ENCODINGS: dict[str, tuple[int, int, int | None]] = {
    "rgb8": (3, 1, None),
    "bgr8": (3, 1, cv2.COLOR_BGR2RGB),
    "8UC3": (3, 1, cv2.COLOR_BGR2RGB),
    "rgba8": (4, 1, cv2.COLOR_RGBA2RGB),
    "bgra8": (4, 1, cv2.COLOR_BGRA2RGB),
    "mono8": (1, 1, cv2.COLOR_GRAY2RGB),
    "8UC1": (1, 1, cv2.COLOR_GRAY2RGB),
    "mono16": (1, 2, cv2.COLOR_GRAY2RGB),
    "16UC1": (1, 2, cv2.COLOR_GRAY2RGB),
    "bayer_rggb8": (1, 1, cv2.COLOR_BayerBG2RGB),
    "bayer_bggr8": (1, 1, cv2.COLOR_BayerRG2RGB),
    "bayer_gbrg8": (1, 1, cv2.COLOR_BayerGR2RGB),
    "bayer_grbg8": (1, 1, cv2.COLOR_BayerGB2RGB),
}

ENCODINGS = tuple(_ENCODINGS)


def decode_image(data: bytes, encoding: str, height: int, width: int, step: int, is_bigendian: bool) -> NDArray:
    """Decode the fields of a sensor_msgs/Image.

    Args:
        data: at least height * step bytes.
        encoding: one of ENCODINGS.
        step: bytes of a row, padding included.
        is_bigendian: byte order of 16-bit values.
    Returns:
        (height, width, 3) uint8 RGB; mono is repeated, of 16 bits the upper eight are kept.
    Raises:
        ValueError: for an unknown encoding or a size that does not fit.
    """
    if encoding not in _ENCODINGS:
        raise ValueError(f"encoding: expected one of {', '.join(ENCODINGS)}, got {encoding!r}")
    channels, value_bytes, conversion = _ENCODINGS[encoding]
    row_bytes = width * channels * value_bytes
    if height <= 0 or width <= 0 or step < row_bytes or len(data) < height * step:
        raise ValueError(
            f"image of {width}x{height} in {encoding}: expected step >= {row_bytes} and height * step bytes, "
            f"got step {step} and {len(data)} bytes"
        )
    rows = np.frombuffer(data, np.uint8, count=height * step).reshape(height, step)[:, :row_bytes]
    if value_bytes == 2:
        values = np.ascontiguousarray(rows).view(">u2" if is_bigendian else "<u2")
        rows = (values >> 8).astype(np.uint8)
    pixels = np.ascontiguousarray(rows.reshape((height, width) if channels == 1 else (height, width, channels)))
    return pixels if conversion is None else cv2.cvtColor(pixels, conversion)


def decode_compressed_image(data: bytes, format_name: str) -> NDArray:
    """Decode the data of a sensor_msgs/CompressedImage.

    Args:
        data: a whole image file (JPEG, PNG, ...).
        format_name: the message's format field; only for the error.
    Returns:
        (H, W, 3) uint8 RGB.
    Raises:
        ValueError: if the bytes are not an image.
    """
    buffer = np.frombuffer(data, np.uint8)
    bgr = cv2.imdecode(buffer, cv2.IMREAD_COLOR) if buffer.size else None
    if bgr is None:
        raise ValueError(f"compressed image of format {format_name!r}: {buffer.size} bytes that are not an image")
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)
