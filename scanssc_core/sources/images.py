"""Image messages and image files to RGB arrays: encoding, row padding and byte order honoured.

OpenCV gets bytes, never a file's name: it ends the process on a name that is not UTF-8.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from PIL.JpegImagePlugin import JpegImageFile

from scanssc_core.sources.camera_info import MAX_PIXELS

#: What sensor_msgs/CompressedImage may hold, by Pillow's names; OpenCV would read a dozen others, and their faults.
_FORMATS = ("JPEG", "PNG", "TIFF")
#: What they can hold in a byte: a JPEG a block of 64 pixels in a bit, the others eight pixels in a byte that is packed
#: a thousandfold. A header of a few bytes can ask for gigabytes: it is read before they are taken.
_MAX_JPEG_PIXELS_PER_BYTE, _MAX_PIXELS_PER_BYTE = 8 * 64, 8 * 1032


class _Encoding(NamedTuple):
    """How pixels lie in a message.

    Attributes:
        channels: values of a pixel that lie side by side.
        value_bytes: bytes of a value.
        conversion: OpenCV's code of the conversion to RGB; None if it is RGB.
        half_rows: rows, in halves of the image's height: 3 where half-size chroma planes lie below the luma plane.
    """

    channels: int
    value_bytes: int
    conversion: int | None
    half_rows: int = 2


# OpenCV names a Bayer pattern by the second row's second and third pixel, ROS by the first row's first two: RG and BG,
# GR and GB change places.
_BAYER = {
    "rggb": cv2.COLOR_BayerBG2RGB,
    "bggr": cv2.COLOR_BayerRG2RGB,
    "gbrg": cv2.COLOR_BayerGR2RGB,
    "grbg": cv2.COLOR_BayerGB2RGB,
}
_YUYV = _Encoding(2, 1, cv2.COLOR_YUV2RGB_YUY2)
_UYVY = _Encoding(2, 1, cv2.COLOR_YUV2RGB_UYVY)
_ENCODINGS = {
    **{
        f"{name}{8 * value_bytes}": _Encoding(channels, value_bytes, conversion)
        for value_bytes in (1, 2)
        for name, channels, conversion in (
            ("rgb", 3, None),
            ("bgr", 3, cv2.COLOR_BGR2RGB),
            ("rgba", 4, cv2.COLOR_RGBA2RGB),
            ("bgra", 4, cv2.COLOR_BGRA2RGB),
            ("mono", 1, cv2.COLOR_GRAY2RGB),
            *((f"bayer_{pattern}", 1, conversion) for pattern, conversion in _BAYER.items()),
        )
    },
    "8UC1": _Encoding(1, 1, cv2.COLOR_GRAY2RGB),
    "8UC3": _Encoding(3, 1, cv2.COLOR_BGR2RGB),
    "8UC4": _Encoding(4, 1, cv2.COLOR_BGRA2RGB),
    "yuyv": _YUYV,
    "yuv422_yuy2": _YUYV,
    "uyvy": _UYVY,
    "yuv422": _UYVY,
    "nv12": _Encoding(1, 1, cv2.COLOR_YUV2RGB_NV12, half_rows=3),
    "nv21": _Encoding(1, 1, cv2.COLOR_YUV2RGB_NV21, half_rows=3),
}

ENCODINGS = tuple(_ENCODINGS)
# Encodings of depth images (REP 118): numbers that are no brightness.
_DEPTH_ENCODINGS = ("16UC1", "32FC1")


def is_depth(encoding: str) -> bool:
    """Whether images of this encoding, or CompressedImage of this format, are of depth."""
    return "compressedDepth" in encoding or encoding.partition(";")[0].strip() in _DEPTH_ENCODINGS


def decode_image(data: bytes, encoding: str, height: int, width: int, step: int, is_bigendian: bool) -> NDArray:
    """Decode the fields of a sensor_msgs/Image.

    Args:
        data: rows of step bytes: height of them, in nv12 and nv21 half as many more.
        encoding: one of ENCODINGS.
        step: bytes of a row, padding included.
        is_bigendian: byte order of 16-bit values.
    Returns:
        (height, width, 3) RGB, uint8 or, of 16-bit encodings, uint16 (see to_uint8); mono is repeated.
    Raises:
        ValueError: for an unknown encoding, an encoding of depth, or a size that does not fit.
    """
    _refuse_depth(encoding)
    if encoding not in _ENCODINGS:
        raise ValueError(f"encoding: expected one of {', '.join(ENCODINGS)}, got {encoding!r}")
    channels, value_bytes, conversion, half_rows = _ENCODINGS[encoding]
    num_rows, row_bytes = height * half_rows // 2, width * channels * value_bytes
    if height <= 0 or width <= 0 or step < row_bytes or len(data) < num_rows * step:
        raise ValueError(
            f"image of {width}x{height} in {encoding}: expected step >= {row_bytes} and {num_rows} * step bytes, "
            f"got step {step} and {len(data)} bytes"
        )
    if (channels == 2 and width % 2) or (half_rows == 3 and (width % 2 or height % 2)):
        raise ValueError(
            f"image of {width}x{height} in {encoding}: pixels share their colour by twos, expected even sizes"
        )
    rows = np.frombuffer(data, np.uint8, count=num_rows * step).reshape(num_rows, step)[:, :row_bytes]
    if value_bytes == 2:
        rows = np.ascontiguousarray(rows).view(">u2" if is_bigendian else "<u2").astype(np.uint16)
    pixels = np.ascontiguousarray(rows.reshape((num_rows, width) if channels == 1 else (num_rows, width, channels)))
    return pixels if conversion is None else cv2.cvtColor(pixels, conversion)


def decode_compressed_image(data: bytes, format_name: str) -> NDArray:
    """Decode the data of a sensor_msgs/CompressedImage.

    Args:
        data: a whole image file: JPEG, PNG or TIFF.
        format_name: the message's format field, as `jpeg` or `bayer_rggb8; jpeg compressed`: the encoding before it was
            compressed, where it is named, tells depth and Bayer mosaics.
    Returns:
        (H, W, 3) RGB, uint8 or, of 16-bit files, uint16 (see to_uint8).
    Raises:
        ValueError: if the bytes are not a whole image, or the image is of depth.
    """
    _refuse_depth(format_name)
    encoding = format_name.partition(";")[0].strip()
    try:
        if encoding.startswith("bayer_") and encoding in _ENCODINGS:
            mosaic = _decode_file(data, cv2.IMREAD_UNCHANGED)
            if mosaic.ndim == 2:  # else its sender has made colours of it
                return cv2.cvtColor(mosaic, _ENCODINGS[encoding].conversion or 0)
        return _decode_picture(data)
    except ValueError as error:
        raise ValueError(f"compressed image of format {format_name!r}: {error}") from error


def to_uint8(images: Sequence[NDArray]) -> list[NDArray]:
    """Images of 8 bits a value, of images of 8 or 16 bits that belong together.

    Cameras of 10, 12 or 14 bits send them in the lower bits of 16. How many are in use is not said in the message: the
    fewest of 8, 10, 12, 14, 16 that hold the largest value of all the images. A pair is therefore scaled alike.

    Args:
        images: of one pair; uint8 or uint16.
    Returns:
        uint8, in the same order; of 16-bit values the upper eight of the bits in use.
    """
    largest = max((int(image.max()) for image in images if image.dtype == np.uint16), default=0)
    num_bits = largest.bit_length() + largest.bit_length() % 2
    return [image if image.dtype == np.uint8 else (image >> max(num_bits - 8, 0)).astype(np.uint8) for image in images]


def read_image(path: Path) -> NDArray:
    """(H, W, 3) uint8 RGB of an image file; grey is repeated, 16 bits are scaled by to_uint8.

    Raises:
        ValueError: naming the file, if it is missing or not a whole image.
    """
    [image] = to_uint8([_read_picture(path)])
    return image


def read_image_pair(left_file: Path, right_file: Path) -> tuple[NDArray, NDArray]:
    """Left and right image as read_image has them, scaled alike.

    Raises:
        ValueError: naming the file, if one is missing, not a whole image, or of another size than the other.
    """
    left_rgb, right_rgb = to_uint8([_read_picture(left_file), _read_picture(right_file)])
    if left_rgb.shape != right_rgb.shape:
        raise ValueError(
            f"{right_file}: {right_rgb.shape[1]}x{right_rgb.shape[0]}, but the left image is "
            f"{left_rgb.shape[1]}x{left_rgb.shape[0]}"
        )
    return left_rgb, right_rgb


def read_values(path: Path) -> NDArray:
    """The values of an image file as they are stored, for files of numbers (depth, class ids).

    Returns:
        (H, W) or (H, W, channels) in the file's own type.
    Raises:
        ValueError: naming the file, if it is missing or not a whole image.
    """
    try:
        return _decode_file(_read_bytes(path), cv2.IMREAD_UNCHANGED)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _read_picture(path: Path) -> NDArray:
    try:
        return _decode_picture(_read_bytes(path))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _read_bytes(path: Path) -> bytes:
    if not path.exists():
        raise ValueError("missing")
    return path.read_bytes()


def _decode_picture(data: bytes) -> NDArray:
    """(H, W, 3) RGB, uint8 or uint16."""
    bgr = _decode_file(data, cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH)
    if bgr.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"not a picture of 8 or 16 bits, but of {bgr.dtype}")
    return cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB)


def _decode_file(data: bytes, flags: int) -> NDArray:
    buffer = np.frombuffer(data, np.uint8)
    content = buffer.tobytes()
    _check_size(content)
    try:
        image = None if _is_cut(content) else cv2.imdecode(buffer, flags)
    except cv2.error as error:
        raise ValueError(f"cannot be decoded: {error}") from error
    if image is None:
        raise ValueError(f"not a whole image ({buffer.size} bytes)")
    return image


def _is_cut(content: bytes) -> bool:
    """Whether a JPEG or PNG lacks its end.

    Older OpenCV fills what a JPEG lacks with grey, and takes what a part of a PNG says of its length as memory.
    """
    if content.startswith(b"\xff\xd8"):  # after its last scan starts, a whole one has an end
        return content.rfind(b"\xff\xd9") < content.rfind(b"\xff\xda")
    if not content.startswith(b"\x89PNG\r\n\x1a\n"):
        return False
    position = 8  # of a part: four bytes of its length, its name, its content, a checksum
    while content[position + 4 : position + 8] not in (b"IEND", b""):
        position += 12 + int.from_bytes(content[position : position + 4], "big")
    return len(content) < position + 12


def _check_size(content: bytes) -> None:
    try:
        with Image.open(io.BytesIO(content), formats=_FORMATS) as header:
            width, height = header.size
            is_jpeg = isinstance(header, JpegImageFile)
    except Image.DecompressionBombError as error:
        raise ValueError(f"more pixels than a picture has: {error}") from error
    except (UnidentifiedImageError, OSError) as error:
        raise ValueError(f"not a whole image of {', '.join(_FORMATS)} ({len(content)} bytes)") from error
    most = min(MAX_PIXELS, len(content) * (_MAX_JPEG_PIXELS_PER_BYTE if is_jpeg else _MAX_PIXELS_PER_BYTE))
    if width * height > most:
        raise ValueError(
            f"more pixels than a picture of {len(content)} bytes has: {width}x{height}, expected {most} at most"
        )


def _refuse_depth(encoding: str) -> None:
    if is_depth(encoding):
        raise ValueError(f"encoding: {encoding} is of depth images, expected a picture ({', '.join(ENCODINGS)})")
