import io
import os
import tracemalloc

import cv2
import numpy as np
import pytest
from peak_memory import at_most_mib
from PIL import Image

from scanssc_core.sources.images import (
    ENCODINGS,
    decode_compressed_image,
    decode_image,
    read_image,
    read_image_pair,
    read_values,
    to_uint8,
)

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
    "8UC4": (np.concatenate([RGB[..., ::-1], ALPHA], axis=-1), RGB),
    "mono8": (MONO, GREY_AS_RGB),
    "8UC1": (MONO, GREY_AS_RGB),
}


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize("encoding", CASES)
def test_colour_order_and_row_padding_are_honoured(encoding, padding):
    pixels, expected = CASES[encoding]
    data, step = packed(pixels, padding)
    np.testing.assert_array_equal(decode_image(data, encoding, HEIGHT, WIDTH, step, False), expected)


SIXTEEN_BITS = {
    encoding.replace("8", "16"): CASES[encoding] for encoding in ("rgb8", "bgr8", "rgba8", "bgra8", "mono8")
}


@pytest.mark.parametrize("is_bigendian", [False, True])
@pytest.mark.parametrize("encoding", SIXTEEN_BITS)
def test_sixteen_bits_are_read_in_either_byte_order(encoding, is_bigendian):
    pixels, expected = SIXTEEN_BITS[encoding]
    values = (pixels.astype(np.uint16) << 8 | 0x34).astype(">u2" if is_bigendian else "<u2")
    data, step = packed(values, padding=2)
    decoded = decode_image(data, encoding, HEIGHT, WIDTH, step, is_bigendian)
    np.testing.assert_array_equal(decoded, expected.astype(np.uint16) << 8 | 0x34)


@pytest.mark.parametrize("num_bits", [8, 10, 12, 14, 16])
def test_of_sixteen_bits_the_upper_eight_in_use_are_kept(num_bits):
    values = MONO.astype(np.uint16) << (num_bits - 8)
    values[0, 0] = (1 << num_bits) - 1
    [scaled] = to_uint8([values])
    np.testing.assert_array_equal(scaled.reshape(-1)[1:], MONO.reshape(-1)[1:])
    assert scaled.dtype == np.uint8 and scaled[0, 0] == 255


def test_a_dark_and_a_bright_image_of_a_pair_are_scaled_alike():
    dark, bright = np.full((2, 2), 1000, np.uint16), np.full((2, 2), 4000, np.uint16)
    left, right = to_uint8([dark, bright])
    assert (left[0, 0], right[0, 0]) == (1000 >> 4, 4000 >> 4)


def test_images_of_eight_bits_are_left_alone():
    [image] = to_uint8([RGB])
    assert image is RGB


BAYER = {f"bayer_{pattern}{bits}": pattern for pattern in ("rggb", "bggr", "gbrg", "grbg") for bits in (8, 16)}


def mosaic(encoding, color):
    cell = [color["rgb".index(letter)] for letter in BAYER[encoding]]
    value_type = np.uint16 if encoding.endswith("16") else np.uint8
    return np.tile(np.array(cell, value_type).reshape(2, 2), (HEIGHT // 2, WIDTH // 2))


@pytest.mark.parametrize("encoding", BAYER)
@pytest.mark.parametrize("color", [(200, 0, 0), (0, 200, 0), (0, 0, 200)])
def test_bayer_mosaic_of_one_colour_gives_that_colour(encoding, color):
    data, step = packed(mosaic(encoding, color))
    decoded = decode_image(data, encoding, HEIGHT, WIDTH, step, False)
    np.testing.assert_array_equal(decoded[2:-2, 2:-2], np.broadcast_to(color, decoded[2:-2, 2:-2].shape))


# (red, green, blue): luma, blue difference, red difference of ITU-R BT.601
YUV_COLORS = {(255, 0, 0): (82, 90, 240), (0, 255, 0): (145, 54, 34), (0, 0, 255): (41, 240, 110)}
YUV_422 = {"yuyv": "yuyv", "yuv422_yuy2": "yuyv", "uyvy": "uyvy", "yuv422": "uyvy"}
YUV_420 = {"nv12": "uv", "nv21": "vu"}


@pytest.mark.parametrize("encoding", [*YUV_422, *YUV_420])
@pytest.mark.parametrize("color", YUV_COLORS)
def test_luma_and_chroma_of_one_colour_give_that_colour(encoding, color):
    values = dict(zip("yuv", YUV_COLORS[color], strict=True))
    if encoding in YUV_422:
        cell = [values[letter] for letter in YUV_422[encoding]]
        rows = np.tile(np.array(cell, np.uint8), (HEIGHT, WIDTH // 2))
    else:
        chroma = [values[letter] for letter in YUV_420[encoding]]
        luma = np.full((HEIGHT, WIDTH), values["y"], np.uint8)
        rows = np.vstack([luma, np.tile(np.array(chroma, np.uint8), (HEIGHT // 2, WIDTH // 2))])
    step = rows.shape[1] + 4
    data = np.pad(rows, ((0, 0), (0, 4)), constant_values=99).tobytes()
    decoded = decode_image(data, encoding, HEIGHT, WIDTH, step, False).astype(int)
    assert decoded.shape == (HEIGHT, WIDTH, 3)
    assert np.abs(decoded - color).max() <= 3


def test_every_encoding_has_a_test():
    assert set(ENCODINGS) == {*CASES, *SIXTEEN_BITS, *BAYER, *YUV_422, *YUV_420}


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ((b"", "yuv444", 6, 8, 24, False), "expected one of .*yuv422.*'yuv444'"),
        ((bytes(96), "16UC1", 6, 8, 16, False), "16UC1 is of depth images"),
        ((bytes(192), "32FC1", 6, 8, 32, False), "32FC1 is of depth images"),
        ((bytes(84), "yuyv", 6, 7, 14, False), "even sizes"),
        ((bytes(56), "nv12", 5, 8, 8, False), "even sizes"),
        ((bytes(71), "nv12", 6, 8, 8, False), "9 \\* step bytes.*71 bytes"),
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


def test_compressed_bayer_mosaic_gets_its_colours():
    blue = cv2.imencode(".png", mosaic("bayer_rggb8", (0, 0, 200)))[1].tobytes()
    decoded = decode_compressed_image(blue, "bayer_rggb8; png compressed ")
    np.testing.assert_array_equal(decoded[2:-2, 2:-2], np.broadcast_to((0, 0, 200), decoded[2:-2, 2:-2].shape))


def test_colours_that_a_sender_made_of_a_bayer_mosaic_are_kept():
    red = cv2.imencode(".png", np.full((8, 8, 3), (0, 0, 200), np.uint8))[1].tobytes()
    assert (decode_compressed_image(red, "bayer_rggb8; png compressed bgr8") == (200, 0, 0)).all()


def test_compressed_image_of_sixteen_bits_keeps_them():
    values = MONO.astype(np.uint16) << 4
    decoded = decode_compressed_image(cv2.imencode(".png", values)[1].tobytes(), "mono16; png compressed ")
    np.testing.assert_array_equal(decoded, GREY_AS_RGB.astype(np.uint16) << 4)


@pytest.mark.parametrize(
    "format_name", ["16UC1; compressedDepth png", "32FC1; compressedDepth rvl", "16UC1; png compressed "]
)
def test_compressed_depth_is_no_picture(format_name):
    png = cv2.imencode(".png", MONO.astype(np.uint16))[1].tobytes()
    with pytest.raises(ValueError, match="is of depth images"):
        decode_compressed_image(png, format_name)


@pytest.mark.parametrize("extension", [".jpg", ".png"])
@pytest.mark.parametrize("share", [0.5, 0.95])
def test_half_a_compressed_image_is_refused(extension, share):
    large = np.random.default_rng(1).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    data = cv2.imencode(extension, large)[1].tobytes()
    with pytest.raises(ValueError, match="not a whole image"):
        decode_compressed_image(data[: int(share * len(data))], extension)


def test_file_whose_name_is_not_utf8_is_read(tmp_path):
    path = tmp_path / os.fsdecode(b"stra\xdfe") / "000000.png"
    path.parent.mkdir()
    path.write_bytes(cv2.imencode(".png", RGB[..., ::-1])[1].tobytes())
    np.testing.assert_array_equal(read_image(path), RGB)
    np.testing.assert_array_equal(read_values(path), RGB[..., ::-1])


def test_pair_of_files_of_twelve_bits_in_sixteen_is_scaled_alike(tmp_path):
    for name, largest in (("left", 1000), ("right", 4000)):
        values = np.minimum(MONO.astype(np.uint16) << 4, largest)
        (tmp_path / f"{name}.png").write_bytes(cv2.imencode(".png", values)[1].tobytes())
    left, right = read_image_pair(tmp_path / "left.png", tmp_path / "right.png")
    np.testing.assert_array_equal(right[..., 0], np.minimum(MONO, 250))
    np.testing.assert_array_equal(left[..., 0], np.minimum(MONO, 62))


def test_pair_of_two_sizes_is_refused_with_both(tmp_path):
    for name, pixels in (("left", RGB), ("right", RGB[1:])):
        (tmp_path / f"{name}.png").write_bytes(cv2.imencode(".png", pixels)[1].tobytes())
    with pytest.raises(ValueError, match=r"right\.png: 8x5, but the left image is 8x6"):
        read_image_pair(tmp_path / "left.png", tmp_path / "right.png")


@pytest.mark.parametrize(
    ("content", "reason"), [(None, "missing"), (b"", "not a whole image"), (b"PK", "not a whole image")]
)
def test_what_is_no_image_file_is_named(tmp_path, content, reason):
    if content is not None:
        (tmp_path / "a.png").write_bytes(content)
    for read in (read_image, read_values):
        with pytest.raises(ValueError, match=rf"a\.png: {reason}"):
            read(tmp_path / "a.png")


@pytest.mark.parametrize("data", [b"", b"not an image"])
def test_broken_compressed_image_is_refused(data):
    with pytest.raises(ValueError, match="jpeg.*not a whole image"):
        decode_compressed_image(data, "jpeg")


def test_part_of_a_png_that_claims_a_gigabyte_takes_none():
    data = bytearray(cv2.imencode(".png", RGB)[1].tobytes())
    start = data.index(b"IDAT") - 4
    data[start : start + 4] = (1 << 30).to_bytes(4, "big")
    with at_most_mib(128), pytest.raises(ValueError, match="not a whole image"):
        decode_compressed_image(bytes(data), "png")


@pytest.mark.parametrize(("width", "height"), [(65500, 65500), (12000, 12000), (4000, 4000)])
def test_header_that_asks_for_gigabytes_is_refused_before_they_are_taken(width, height):
    data = bytearray(cv2.imencode(".jpg", RGB)[1].tobytes())
    start = data.index(b"\xff\xc0") + 5  # of the frame: after its marker, length and precision
    data[start : start + 4] = height.to_bytes(2, "big") + width.to_bytes(2, "big")
    tracemalloc.start()
    with pytest.raises(ValueError, match="more pixels than a picture"):
        decode_compressed_image(bytes(data), "jpeg")
    assert tracemalloc.get_traced_memory()[1] < 1e6
    tracemalloc.stop()


@pytest.mark.parametrize("format_name", ["PNG", "TIFF"])
def test_picture_of_kilobytes_that_holds_more_than_any_camera_sends_is_refused(format_name):
    """A bit a pixel, packed: nothing in it is wrong."""
    content = io.BytesIO()
    Image.new("1", (10_000, 8_000)).save(content, format_name, compression="tiff_adobe_deflate")
    assert len(content.getvalue()) < 1 << 17
    tracemalloc.start()
    with pytest.raises(ValueError, match="more pixels than a picture of .*: 10000x8000, expected 50000000 at most"):
        decode_compressed_image(content.getvalue(), format_name.lower())
    assert tracemalloc.get_traced_memory()[1] < 1e6
    tracemalloc.stop()


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".tiff"])
def test_formats_of_compressed_images_are_read(suffix):
    data = cv2.imencode(suffix, RGB)[1].tobytes()
    assert decode_compressed_image(data, suffix[1:]).shape == RGB.shape


@pytest.mark.parametrize("suffix", [".webp", ".bmp", ".ppm", ".gif", ".jp2"])
def test_other_formats_that_opencv_reads_are_refused(suffix):
    """Their headers can ask for gigabytes too."""
    data = cv2.imencode(suffix, np.zeros((64, 64, 3), np.uint8))[1].tobytes()
    with pytest.raises(ValueError, match="not a whole image of JPEG, PNG, TIFF"):
        decode_compressed_image(data, suffix[1:])


def test_jpeg_of_a_stereo_camera_is_a_jpeg():
    """Multi Picture Object: JPEGs behind each other."""
    left, right, content = Image.fromarray(RGB), Image.fromarray(RGB[::-1]), io.BytesIO()
    left.save(content, "MPO", save_all=True, append_images=[right])
    assert decode_compressed_image(content.getvalue(), "jpeg").shape == RGB.shape
