"""Reads the weights of a torch file (`torch.save`, both layouts) without running anything that the file names.

A torch file holds a pickle: a program that may call any function it names. Here names stand for records and stand-ins
only, so that optimizer states, callbacks and hyper-parameters of whatever class pass by, and a hostile file does
nothing. Of the tensors, only those of the state dict are read.

torch.load(weights_only=True) would not do, also not with stand-ins as safe globals: it fills no stand-in for a class
of dicts or lists (mmcv's ConfigDict in the hyper-parameters), does not tell the names in files of the layout before zip
archives, and reads the optimizer's tensors too.
"""

import math
import pickle
import pickletools
import re
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import torch
from torch import Tensor

# How torch.save began before it wrote zip archives: the pickle of a magic number.
_OLD_START = b"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."
_NUM_HEADER_PICKLES = 3  # magic number, version, sizes of C types
_PICKLE = "/data.pkl"
_STATE_ENTRIES = ("state_dict", "model")  # where Lightning and mmcls keep the state dict, and MobileStereoNet
_WRAPPERS = re.compile(r"(module\.|model\.)+")  # what DataParallel and Lightning put before the names of the network
_MAX_SHARING = 2  # tied weights are in the state dict twice
_ZIP_START = b"PK\x03\x04"
_PUTS = ("PUT", "BINPUT", "LONG_BINPUT")
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, pickle.UnpicklingError)

_STORAGES = {
    "FloatStorage": torch.float32,
    "DoubleStorage": torch.float64,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}


class _Inert:
    """Stands for what a file names, and for what that makes: accepts everything, does nothing."""

    def __new__(cls, *args: object, **kwargs: object) -> "_Inert":
        return object.__new__(cls)

    def __init__(self, *args: object, **kwargs: object) -> None:
        pass

    def __call__(self, *args: object) -> "_Inert":
        return self

    def __setitem__(self, key: object, value: object) -> None:
        pass

    def ignore(self, *args: object) -> None:
        pass

    __setstate__ = append = extend = add = ignore


@dataclass(frozen=True)
class _Storage:
    """Names a block of numbers of the file: a tensor's memory."""

    key: str
    dtype: torch.dtype


class _StoredTensor(_Inert):
    """A view on a storage; takes the arguments of torch's own constructor of tensors."""

    def __init__(
        self, storage: object, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: object
    ) -> None:
        self.storage, self.offset, self.size, self.stride = storage, offset, size, stride


class _Parameter(_Inert):
    """Takes the place of torch's parameters: gives the tensor that they wrap."""

    def __new__(cls, data: Any, *_: object) -> Any:
        return data


_KNOWN = {
    ("collections", "OrderedDict"): OrderedDict,
    ("torch._utils", "_rebuild_tensor_v2"): _StoredTensor,
    ("torch._utils", "_rebuild_parameter"): _Parameter,
}


class _Unpickler(pickle.Unpickler):
    """Knows the names above; collects the storages that tensors refer to."""

    def __init__(self, file: IO[bytes]) -> None:
        _refuse_far_memory(file)
        super().__init__(file, encoding="utf-8")
        self.storages: dict[str, _Storage] = {}

    def find_class(self, module: str, name: str) -> Any:
        if module == "torch" and name in _STORAGES:
            return _STORAGES[name]
        return _KNOWN.get((module, name), _Inert)

    def persistent_load(self, reference: Any) -> object:
        kind, dtype, key = reference[:3]
        if kind != "storage" or not isinstance(dtype, torch.dtype):
            return _Inert()
        return self.storages.setdefault(key, _Storage(key, dtype))


def _refuse_far_memory(file: IO[bytes]) -> None:
    """Refuse a pickle that keeps something under a number larger than there can be: a list of that length is made.

    Reads one pickle, and goes back to its start.
    """
    start = file.tell()
    try:
        for opcode, argument, position in pickletools.genops(file):
            if opcode.name in _PUTS and isinstance(argument, int) and argument > (position or 0):
                raise ValueError(f"{opcode.name} {argument} at byte {position}")
    except ValueError as error:
        raise pickle.UnpicklingError(str(error)) from error
    file.seek(start)


def is_torch_file(path: Path) -> bool:
    """Whether torch.save wrote it, in the layout of today or in the one before; or a part of it, cut off."""
    with path.open("rb") as file:
        start = file.read(len(_OLD_START))
    return start == _OLD_START or start.startswith(_ZIP_START)


def read_state_dict(path: Path) -> dict[str, Tensor]:
    """Read the tensors of the entry `state_dict` or `model`, or of the file itself if that is a dict of tensors.

    Returns:
        tensors by name, without `module.` and `model.` of what the network was wrapped in.
    Raises:
        ValueError: if it is no torch file or damaged, or if what should be a tensor is none.
    """
    if not is_torch_file(path):
        raise ValueError(f"{path} is no torch file")
    try:
        with path.open("rb") as file:
            is_zip = file.read(len(_ZIP_START)) == _ZIP_START
            file.seek(0)
            return _read_zip(file) if is_zip else _read_old(file)
    except _DAMAGE as error:
        raise ValueError(f"{path} is damaged or incomplete ({error}): copy or download it again") from error
    except Exception as error:  # a hostile pickle may raise anything
        raise ValueError(f"{path}: not a torch file with a state dict: {type(error).__name__}: {error}") from error


def _read_zip(file: IO[bytes]) -> dict[str, Tensor]:
    with zipfile.ZipFile(file) as archive:
        if packed := [entry.filename for entry in archive.infolist() if entry.compress_type != zipfile.ZIP_STORED]:
            raise ValueError(f"{packed[0]} is packed, as torch.save does not do")  # to who knows how many bytes
        (name,) = (name for name in archive.namelist() if name.endswith(_PICKLE))
        with archive.open(name) as pickled:
            content = _Unpickler(pickled).load()
        folder = name.removesuffix(_PICKLE)
        return _tensors(content, lambda storage: archive.read(f"{folder}/data/{storage.key}"))


def _read_old(file: IO[bytes]) -> dict[str, Tensor]:
    for _ in range(_NUM_HEADER_PICKLES):
        _Unpickler(file).load()
    unpickler = _Unpickler(file)
    content = unpickler.load()
    keys = _Unpickler(file).load()
    places = {}
    for key in keys:
        num_bytes = int.from_bytes(file.read(8), "little") * unpickler.storages[key].dtype.itemsize
        places[key] = (file.tell(), num_bytes)
        file.seek(num_bytes, 1)

    def read(storage: _Storage) -> bytes:
        start, num_bytes = places[storage.key]
        file.seek(start)
        numbers = file.read(num_bytes)
        if len(numbers) < num_bytes:
            raise EOFError(f"{len(numbers)} of {num_bytes} bytes of a tensor")
        return numbers

    return _tensors(content, read)


def _tensors(content: Any, read: Callable[[_Storage], bytes]) -> dict[str, Tensor]:
    if not isinstance(content, dict):
        raise ValueError("expected a dict")
    state = next((content[entry] for entry in _STATE_ENTRIES if entry in content), content)
    if not isinstance(state, dict):
        raise ValueError(f"expected a dict of tensors under one of {', '.join(_STATE_ENTRIES)}")
    views = [value for value in state.values() if _is_view(value) and math.prod(value.size)]
    numbers = {
        storage: torch.frombuffer(bytearray(read(storage)), dtype=storage.dtype)
        for storage in dict.fromkeys(view.storage for view in views)
    }
    num_stored = sum(stored.nbytes for stored in numbers.values())
    num_bytes = sum(math.prod(view.size) * view.storage.dtype.itemsize for view in views)
    if num_bytes > _MAX_SHARING * num_stored:
        raise ValueError(f"tensors of {num_bytes:,} bytes share {num_stored:,}")
    tensors = {_WRAPPERS.sub("", str(name), count=1): _tensor(name, value, numbers) for name, value in state.items()}
    if len(tensors) < len(state):
        raise ValueError("entries that differ only in a prefix module. or model.")
    return tensors


def _is_view(value: object) -> bool:
    return isinstance(value, _StoredTensor) and isinstance(value.storage, _Storage)


def _tensor(name: object, value: Any, numbers: dict[_Storage, Tensor]) -> Tensor:
    if not _is_view(value):
        raise ValueError(f"{name} is no plain tensor")
    if math.prod(value.size) == 0:
        return torch.empty(value.size, dtype=value.storage.dtype)
    stored = numbers[value.storage]
    if math.prod(value.size) > len(stored):
        raise ValueError(f"{name} repeats its numbers")  # a few bytes could ask for any amount of memory
    return stored.as_strided(value.size, value.stride, value.offset).clone(memory_format=torch.contiguous_format)
