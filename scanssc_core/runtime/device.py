"""The device a model runs on and its number format: asked for by name, never changed silently."""

import torch

FORMATS = ("float32", "float16", "bfloat16")
PRECISIONS = ("auto", *FORMATS)


def resolve_device(name: str) -> torch.device:
    """Turn `auto`, `cpu` or `cuda` into a device.

    Args:
        name: `auto` takes CUDA if there is one, else the CPU.
    Raises:
        ValueError: for any other name, and for `cuda` on a machine without one.
    """
    if name not in ("auto", "cpu", "cuda"):
        raise ValueError(f"device: expected auto, cpu or cuda, got {name!r}")
    if name == "cuda" and not torch.cuda.is_available():
        build = (
            f"this torch was built for CUDA {torch.version.cuda}" if torch.version.cuda else "this torch has no CUDA"
        )
        raise ValueError(f"device: cuda was asked for, but there is none here ({build}); use cpu or auto")
    if name == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    return torch.device(name)


def format_named(name: str) -> torch.dtype:
    """Turn the name of a number format into the format.

    Raises:
        ValueError: for any other name.
    """
    if name not in FORMATS:
        raise ValueError(f"precision: expected one of {', '.join(FORMATS)}, got {name!r}")
    dtype: torch.dtype = getattr(torch, name)
    return dtype


def formats_of_precision(name: str, device: torch.device) -> tuple[torch.dtype, ...]:
    """Turn `auto` or the name of a number format into the formats that the forward pass may be in.

    Args:
        name: `auto` leaves bfloat16 where the device computes in it; on a CPU float32 too, as only a trial tells which
            is faster there (trial.py). docs/performance.md has what bfloat16 gains and changes.
    Raises:
        ValueError: for any other name.
    """
    if name not in PRECISIONS:
        raise ValueError(f"precision: expected one of {', '.join(PRECISIONS)}, got {name!r}")
    if name != "auto":
        return (format_named(name),)
    if device.type == "cuda":
        return (torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float32,)
    capabilities = torch.cpu.get_capabilities()
    has_bfloat16 = capabilities.get("avx512_bf16") or capabilities.get("amx_bf16")
    return (torch.float32, torch.bfloat16) if has_bfloat16 else (torch.float32,)
