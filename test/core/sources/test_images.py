import cv2
import numpy as np
import pytest

from scanssc_core.sources.images import ENCODINGS, decode_compressed_image, decode_image

HEIGHT, WIDTH = 6, 8
RGB = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
MONO = RGB[..., 0]


def packed(pixels: np.ndarray, padding: int = 0) -> tuple[bytes, int]:
    """Rows of pixels with padding bytes of rubbish at their ends; and the step."""
    rows = np.ascontiguousarray(pixels).view(np.uint8).reshape(HEIGHT, -1)
    rows = np.hstack([rows, np.full((HEIGHT, padding), 99, np.uint8)])
    return rows.tobytes(), rows.shape[1]


ALPHA = np.full((HEIGHT, WIDTH, 1), 7, np.uint8)
GREY_AS_RGB = np.repeat(MONO[..., None], 3, axis=-1)
CASES = {
    "rgb8": (RGB, RGB),
    "bgr8": (RGB[..., ::-1], RGB),
    "8UC3": (RGB[..., ::-1], RGB),
    "rgba8": (np.concatenate([RGB, ALPHA], axis=-1), RGB),
    "bgra8": (np.concatenate([RGB[..., ::-1], ALPHA], axis=-1), RGB),
    "mono8": (MONO, GREY_AS_RGB),
    "8UC1": (MONO, GREY_AS_RGB),
}


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize("encoding", CASES)
def test_colour_order_and_row_padding_are_honoured(encoding, padding):
    pixels, expected = CASES[encoding]
    data, step = packed(pixels, padding)
    np.testing.assert_array_equal(decode_image(data, encoding, HEIGHT, WIDTH, step, False), expected)


@pytest.mark.parametrize("is_bigendian", [False, True])
@pytest.mark.parametrize("encoding", ["mono16", "16UC1"])
def test_sixteen_bits_keep_their_upper_eight_in_either_byte_order(encoding, is_bigendian):
    values = (MONO.astype(np.uint16) << 8 | 0x34).astype(">u2" if is_bigendian else "<u2")
    data, step = packed(values, padding=2)
    np.testing.assert_array_equal(decode_image(data, encoding, HEIGHT, WIDTH, step, is_bigendian), GREY_AS_RGB)


@pytest.mark.parametrize(
    ("encoding", "pattern"),
    [("bayer_rggb8", "rggb"), ("bayer_bggr8", "bggr"), ("bayer_gbrg8", "gbrg"), ("bayer_grbg8", "grbg")],
)
@pytest.mark.parametrize("color", [(200, 0, 0), (0, 200, 0), (0, 0, 200)])
def test_bayer_mosaic_of_one_colour_gives_that_colour(encoding, pattern, color):
    cell = [color["rgb".index(letter)] for letter in pattern]
    mosaic = np.tile(np.array(cell, np.uint8).reshape(2, 2), (HEIGHT // 2, WIDTH // 2))
    data, step = packed(mosaic)
    decoded = decode_image(data, encoding, HEIGHT, WIDTH, step, False)
    np.testing.assert_array_equal(decoded[2:-2, 2:-2], np.broadcast_to(color, decoded[2:-2, 2:-2].shape))


def test_every_encoding_has_a_test():
    tested = {*CASES, "mono16", "16UC1", "bayer_rggb8", "bayer_bggr8", "bayer_gbrg8", "bayer_grbg8"}
    assert set(ENCODINGS) == tested


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((b"", "yuv422", 6, 8, 16, False), "yuv422"),
        ((bytes(100), "rgb8", 6, 8, 24, False), "100 bytes"),
        ((bytes(144), "rgb8", 6, 8, 20, False), "step"),
        ((b"", "rgb8", 0, 0, 0, False), "0x0"),
    ],
)
def test_what_cannot_be_decoded_is_refused_with_the_reason(arguments, reason):
    with pytest.raises(ValueError, match=reason):
        decode_image(*arguments)


def test_compressed_image_keeps_its_colours():
    png = cv2.imencode(".png", RGB[..., ::-1])[1].tobytes()
    np.testing.assert_array_equal(decode_compressed_image(png, "png"), RGB)


@pytest.mark.parametrize("data", [b"", b"not an image"])
def test_broken_compressed_image_is_refused(data):
    with pytest.raises(ValueError, match="jpeg.*not an image"):
        decode_compressed_image(data, "jpeg")
