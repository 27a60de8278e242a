"""CUDA without a GPU: tensors that have a device and a shape but no content, and a list of what waits for the device.

A tensor left on the host, or an operator that CUDA lacks, raises here as it would there. What makes the host wait (a
number read back, a size that depends on data, a copy from pageable memory) is noted with the function that asked.
"""

import ctypes
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from traceback import walk_stack
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

import scanssc_core

CUDA = torch.device("cuda", 0)
_PACKAGE = Path(scanssc_core.__file__).parent
_NUM_FOUND = 7  # rows that a search of unknown outcome finds
# The same operator has another name under inference mode: it is noted under that.
_NAMES = {"_to_copy": "to", "_local_scalar_dense": "item", "is_nonzero": "item", "_linalg_check_errors": "inverse"}

aten = torch.ops.aten
# Operators whose result the host has to wait for, beside those that PyTorch marks so.
_CHECKED = (aten.inverse, aten.linalg_inv, aten.linalg_solve, aten._linalg_check_errors)
_INDEXED = (aten.index, aten.index_put, aten.index_put_)


class WaitRecorder(TorchDispatchMode):
    """Notes what waits for the device as (file, function, operator), and gives stand-ins for what it would read.

    Attributes:
        waits: those of CUDA tensors.
    """

    def __init__(self) -> None:
        super().__init__()
        self.waits: set[tuple[str, str, str]] = set()
        self._page_locked: dict[int, torch.UntypedStorage] = {}  # by address, kept so that no other gets it

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        operator = func.overloadpacket
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        masks = [t for t in tensors[1:] if t.dtype == torch.bool] if operator in _INDEXED else []
        is_read_back = torch.Tag.data_dependent_output in func.tags or operator is aten.is_nonzero
        has_unknown_size = torch.Tag.dynamic_output_shape in func.tags and operator not in _INDEXED
        if masks or is_read_back or has_unknown_size or operator in _CHECKED:
            self._note(operator, tensors)
        if is_read_back:
            is_number = operator in (aten.item, aten._local_scalar_dense) and args[0].dtype != torch.bool
            number = 0.5 if args[0].dtype.is_floating_point else 0
            return number if is_number else operator is aten.equal
        if operator is aten.nonzero:
            return args[0].new_empty(_NUM_FOUND, args[0].ndim, dtype=torch.int64)
        if operator is aten.bincount:
            return args[0].new_empty(args[2] if len(args) > 2 else _NUM_FOUND, dtype=torch.int64)
        if operator is aten.index and masks:
            return args[0].new_empty(_NUM_FOUND, *args[0].shape[masks[0].ndim :])
        result = func(*args, **kwargs)
        if isinstance(result, Tensor):
            if kwargs.get("pin_memory"):
                storage = result.untyped_storage()
                self._page_locked[storage._cdata] = storage
            source = tensors[-1] if operator is aten.copy_ else tensors[0] if tensors else result
            is_copied = source.device.type != result.device.type and source.dim() + result.dim()
            if is_copied and not self._is_queued(operator, source, result, args, kwargs):
                self._note(operator, [source, result])
        return result

    def _is_queued(self, operator: Any, source: Tensor, result: Tensor, args: Any, kwargs: Any) -> bool:
        """Whether a copy between host and device is left to the device: asked for so, and in page-locked memory."""
        is_new = operator is not aten.copy_
        is_asked_for = kwargs.get("non_blocking", False) if is_new else len(args) > 2 and args[2]
        host = source if source.device.type == "cpu" else result
        # PyTorch takes such memory by itself for what it brings to the host in a new tensor.
        is_page_locked = (is_new and host is result) or host.untyped_storage()._cdata in self._page_locked
        return is_asked_for and is_page_locked

    def _note(self, operator: Any, tensors: list[Tensor]) -> None:
        if not any(tensor.device.type == "cuda" for tensor in tensors):
            return
        for frame, _ in walk_stack(None):
            path = Path(frame.f_code.co_filename)
            if path.is_relative_to(_PACKAGE) and not frame.f_code.co_name.startswith("<"):  # not a comprehension
                name = _NAMES.get(operator.__name__, operator.__name__)
                self.waits.add((str(path.relative_to(_PACKAGE)), frame.f_code.co_name, name))
                return
        raise AssertionError(f"{operator} waits for the device outside the package")


class _AsNumpy(TorchFunctionMode):
    """Zeros for the content of a fake tensor that came back to the host."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func is Tensor.numpy:
            assert args[0].device.type == "cpu", "numpy() of a tensor on the device"
            return np.zeros(args[0].shape, str(args[0].dtype).removeprefix("torch."))
        return func(*args, **(kwargs or {}))


@contextmanager
def fake_cuda() -> Iterator[FakeTensorMode]:
    """Tensors made here have no content, whether on the host or on a CUDA device of the newest kind."""
    _switch_devices()
    with ExitStack() as stack:
        stack.enter_context(patch("torch.cuda.amp.common.amp_definitely_not_available", lambda: False))
        stack.enter_context(patch("torch.cuda.is_bf16_supported", lambda *_, **__: True))
        mode = FakeTensorMode(allow_non_fake_inputs=True)
        stack.enter_context(_AsNumpy())
        yield stack.enter_context(mode)


def on_cuda(module: nn.Module) -> nn.Module:
    """Move a network; called inside fake_cuda."""
    return module._apply(lambda t: torch.empty_strided(t.shape, t.stride(), dtype=t.dtype, device=CUDA))


@cache
def _switch_devices() -> None:
    """Where torch was built without CUDA: let it have CUDA devices by name."""
    if torch.version.cuda:
        return
    torch_folder = Path(torch.__file__).parent
    with TemporaryDirectory() as folder:
        library = Path(folder) / "no_gpu.so"
        source = Path(__file__).with_name("no_gpu.cpp")
        flags = [f"-I{torch_folder / 'include'}", f"-L{torch_folder / 'lib'}", "-lc10"]
        subprocess.run(["g++", "-std=c++20", "-shared", "-fPIC", str(source), *flags, "-o", str(library)], check=True)
        ctypes.CDLL(str(library))
