import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from scanssc_core.data.semantic_kitti import read_voxel_bits, write_voxel_bits


@given(arrays(bool, (4, 3, 2)))
def test_bits_survive_writing_and_reading(tmp_path_factory, mask):
    path = tmp_path_factory.mktemp("bits") / "a.bin"
    write_voxel_bits(path, mask)
    np.testing.assert_array_equal(read_voxel_bits(path, (4, 3, 2)), mask)


@given(st.integers(0, 23))
def test_first_voxel_is_the_highest_bit(tmp_path_factory, flat_index):
    mask = np.zeros(24, bool)
    mask[flat_index] = True
    path = tmp_path_factory.mktemp("bits") / "a.bin"
    write_voxel_bits(path, mask.reshape(4, 3, 2))
    assert list(path.read_bytes()).index(128 >> flat_index % 8) == flat_index // 8


def test_truncated_file_is_refused_by_name(tmp_path):
    path = tmp_path / "000005.bin"
    path.write_bytes(bytes(100))
    with pytest.raises(ValueError, match=r"000005\.bin.*262144 bytes.*got 100"):
        read_voxel_bits(path)
