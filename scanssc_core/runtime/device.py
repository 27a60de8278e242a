"""The device a model runs on: asked for by name, never changed silently."""

import torch


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
