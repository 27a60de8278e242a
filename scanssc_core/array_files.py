"""Arrays of .npy and .npz files. No more memory is taken than the file has content for, whatever it says of itself, and
nothing in it is executed."""

import math
import zipfile
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

_READ_HEADER = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def read_npy(path: Path) -> NDArray:
    """Read the array of a .npy file.

    Raises:
        ValueError: naming the file, if it is missing or not whole.
    """
    try:
        return np.array(np.lib.format.open_memmap(path, mode="r"))  # it looks how large the file is; np.load does not
    except FileNotFoundError:
        raise ValueError(f"missing {path}") from None
    except Exception as error:  # NumPy's parsers have no common error, and a damaged header raises all of them
        raise ValueError(f"{path}: not a whole .npy file ({error})") from error


def read_npz(path: Path, names: Iterable[str]) -> dict[str, NDArray]:
    """Read these arrays of a .npz file.

    Raises:
        ValueError: naming the file, if it is missing, damaged, or lacks one of them.
    """
    if not path.exists():
        raise ValueError(f"missing {path}")
    try:
        with zipfile.ZipFile(path) as archive:
            return {name: _read_entry(archive, f"{name}.npy") for name in names}
    except Exception as error:  # zip archives, their packers and NumPy have no common error either
        raise ValueError(f"{path}: not a whole .npz file with {', '.join(names)} ({error})") from error


def _read_entry(archive: zipfile.ZipFile, name: str) -> NDArray:
    info = archive.getinfo(name)
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):  # others make gigabytes of a kilobyte
        raise ValueError(f"{name} is packed by method {info.compress_type}, which NumPy does not write")
    with archive.open(info) as entry:
        version = np.lib.format.read_magic(entry)
        if version not in _READ_HEADER:
            raise ValueError(f"{name} is of version {version}")
        shape, is_fortran, dtype = _READ_HEADER[version](entry)
        if dtype.hasobject:
            raise ValueError(f"{name} holds Python objects")
        num_bytes = info.file_size - entry.tell()
        if math.prod(shape) * dtype.itemsize != num_bytes:
            raise ValueError(f"{name} holds {num_bytes:,} bytes, but is of {dtype} and shape {shape}")
        values = np.frombuffer(entry.read(), dtype)
    return values.reshape(shape[::-1]).T if is_fortran else values.reshape(shape)
