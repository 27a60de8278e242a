"""Arrays are read with no more memory than the file has content for."""

import io
import tracemalloc
import zipfile

import numpy as np
import pytest

from scanssc_core.array_files import read_npy, read_npz


def header(shape, dtype):
    content = io.BytesIO()
    np.lib.format.write_array_header_1_0(content, {"descr": dtype, "fortran_order": False, "shape": shape})
    return content.getvalue()


@pytest.fixture
def write_npz(tmp_path):
    def write(entries, compression=zipfile.ZIP_STORED):
        with zipfile.ZipFile(tmp_path / "a.npz", "w", compression) as archive:
            for name, content in entries.items():
                archive.writestr(f"{name}.npy", content)
        return tmp_path / "a.npz"

    return write


@pytest.mark.parametrize(
    "values", [np.arange(6.0).reshape(2, 3), np.asfortranarray(np.arange(6).reshape(3, 2)), np.array(3)]
)
def test_what_numpy_wrote_is_read(tmp_path, values):
    np.save(tmp_path / "a.npy", values)
    np.savez_compressed(tmp_path / "a.npz", values=values, other=values)
    for read in (read_npy(tmp_path / "a.npy"), read_npz(tmp_path / "a.npz", ["values"])["values"]):
        assert read.dtype == values.dtype
        np.testing.assert_array_equal(read, values)


@pytest.mark.parametrize("shape", [(1 << 40,), (1 << 31, 1 << 31), (300,)])
def test_a_header_that_claims_more_than_there_is_takes_no_memory(tmp_path, write_npz, shape):
    content = header(shape, "|u1") + bytes(200)
    (tmp_path / "a.npy").write_bytes(content)
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"a\.npy: not a whole"):
        read_npy(tmp_path / "a.npy")
    with pytest.raises(ValueError, match=r"a\.npz: not a whole"):
        read_npz(write_npz({"values": content}), ["values"])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1 << 20


def test_an_entry_that_holds_more_than_its_header_says_takes_no_memory(write_npz):
    path = write_npz({"values": header((300,), "|u1") + bytes(50 << 20)}, zipfile.ZIP_DEFLATED)
    tracemalloc.start()
    with pytest.raises(
        ValueError, match=r"a\.npz: .*values\.npy holds 52,428,800 bytes, but is of uint8 and shape \(300,\)"
    ):
        read_npz(path, ["values"])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 10 << 20


@pytest.mark.parametrize("packer", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_packers_that_make_gigabytes_of_a_kilobyte_are_refused(write_npz, packer):
    path = write_npz({"values": header((300,), "|u1") + bytes(300)}, packer)
    with pytest.raises(
        ValueError, match=rf"a\.npz: .*values\.npy is packed by method {packer}, which NumPy does not write"
    ):
        read_npz(path, ["values"])


def test_python_objects_are_refused_unread(tmp_path, write_npz):
    content = io.BytesIO()
    np.save(content, np.array([{}], object), allow_pickle=True)
    (tmp_path / "a.npy").write_bytes(content.getvalue())
    with pytest.raises(ValueError, match="objects"):
        read_npy(tmp_path / "a.npy")
    with pytest.raises(ValueError, match="objects"):
        read_npz(write_npz({"values": content.getvalue()}), ["values"])


def test_what_is_missing_is_named(tmp_path, write_npz):
    for read in (read_npy, lambda path: read_npz(path, ["a"])):
        with pytest.raises(ValueError, match="missing .*none"):
            read(tmp_path / "none")
    with pytest.raises(ValueError, match=r"with a, b \(.*b\.npy"):
        read_npz(write_npz({"a": header((1,), "|u1") + b"1"}), ["a", "b"])
