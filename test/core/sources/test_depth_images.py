import numpy as np
import pytest

from scanssc_core.sources.depth_images import decode_depth, decode_disparity

DEPTH_M = np.array([[1.5, 0.0, 12.25], [60.0, 0.001, 3.0]], np.float32)


def packed(values, padding=0):
    rows = np.ascontiguousarray(values).view(np.uint8).reshape(len(values), -1)
    rows = np.hstack([rows, np.full((len(values), padding), 99, np.uint8)])
    return rows.tobytes(), rows.shape[1]


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize("is_bigendian", [False, True])
@pytest.mark.parametrize(("encoding", "value_type", "scale"), [("16UC1", "u2", 1000), ("32FC1", "f4", 1)])
def test_both_encodings_give_metres_whatever_the_byte_order_and_the_padding(
    encoding, value_type, scale, is_bigendian, padding
):
    values = np.rint(DEPTH_M * scale) if scale > 1 else DEPTH_M
    data, step = packed(values.astype((">" if is_bigendian else "<") + value_type), padding)
    decoded = decode_depth(data, encoding, 2, 3, step, is_bigendian)
    assert decoded.dtype == np.float32
    np.testing.assert_allclose(decoded, DEPTH_M, atol=1e-6)


def test_what_is_no_depth_is_zero():
    data, step = packed(np.array([[np.nan, np.inf, -1.0, 0.0]], "<f4"))
    assert (decode_depth(data, "32FC1", 1, 4, step, False) == 0).all()


def test_disparities_are_as_sent():
    data, step = packed(np.array([[-1.0, 2.5]], "<f4"))
    np.testing.assert_array_equal(decode_disparity(data, "32FC1", 1, 2, step, False), [[-1.0, 2.5]])


def test_other_encodings_and_short_data_are_refused_by_name():
    with pytest.raises(ValueError, match="16UC1 .*32FC1 .*'rgb8'"):
        decode_depth(b"", "rgb8", 1, 1, 3, False)
    with pytest.raises(ValueError, match="32FC1, got '16UC1'"):
        decode_disparity(b"\0\0", "16UC1", 1, 1, 2, False)
    with pytest.raises(ValueError, match="4x2.*got step 8 and 15 bytes"):
        decode_depth(bytes(15), "16UC1", 2, 4, 8, False)
