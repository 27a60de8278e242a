"""A map in a file: a .npz of the window's layers in world order, with a version and what they mean.

Readable by numpy.load. Each layer has a checksum of its own, so that damage is found; nothing in a file is executed.
"""

import json
import zipfile
from pathlib import Path

import numpy as np

from scanssc_core.array_files import read_npz
from scanssc_core.files import whole_file
from scanssc_core.mapping.semantic_map import MapConfig, SemanticMap

#: Raised whenever older readers would misread what is written.
VERSION = 1
_FORMAT = "scanssc map"


def save_map(path: Path, semantic_map: SemanticMap, frame_id: str) -> None:
    """Write a map, whole or not at all.

    Args:
        frame_id: the odometry frame, in which the map lies.
    Raises:
        OSError: naming the file, if it cannot be written.
    """
    window = semantic_map.window
    metadata = {
        "format": _FORMAT,
        "version": VERSION,
        "frame_id": frame_id,
        "voxel_size_m": semantic_map.voxel_size_m,
        "class_names": semantic_map.class_names,
        "low": window.low.tolist(),
        "stamp_ns": semantic_map.stamp_ns,
        "vehicle_m": semantic_map.vehicle_m.tolist(),
    }
    arrays = {name: window.in_world_order(values) for name, values in window.layers.items()}
    arrays["metadata"] = np.frombuffer(json.dumps(metadata).encode(), np.uint8)
    with whole_file(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as file:
        for name, values in arrays.items():
            with file.open(f"{name}.npy", "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, values, allow_pickle=False)


def load_map(path: Path, config: MapConfig | None = None) -> tuple[SemanticMap, str]:
    """Read a map.

    Args:
        config: its rules and window; None: the rules that are usual, and the window of the file.
    Returns:
        the map and its odometry frame. The next grid that it fuses is taken whatever its stamp and its pose.
    Raises:
        ValueError: if there is no such file, it is no map, is damaged, of another version, or of another window than
            that of the config; names the file and says which.
    """
    if not path.is_file():
        raise ValueError(f"{path}: no such file; expected a map that was saved")
    try:
        metadata = json.loads(bytes(read_npz(path, ["metadata"])["metadata"]))
        if metadata["format"] != _FORMAT:
            raise ValueError(f"its format is {metadata['format']!r}")
        if metadata["version"] != VERSION:
            raise ValueError(
                f"it has version {metadata['version']}, expected {VERSION}: load it with the release that saved it"
            )
        voxel_size_m = float(metadata["voxel_size_m"])
        shape = read_npz(path, ["class_id"])["class_id"].shape
        if config is None:
            config = MapConfig(window_m=tuple(size * voxel_size_m for size in shape))
        semantic_map = SemanticMap(voxel_size_m, metadata["class_names"], config)
        window = semantic_map.window
        if window.shape != shape:
            raise ValueError(f"its window has {shape} voxels, expected {window.shape}: set window_m alike")
        window.low[:] = metadata["low"]
        for name, values in read_npz(path, window.layers).items():
            layer = window.layers[name]
            layer[:] = window.in_buffer_order(values.astype(layer.dtype, casting="safe"))
        semantic_map.vehicle_m[:] = metadata["vehicle_m"]
        return semantic_map, str(metadata["frame_id"])
    except Exception as error:  # metadata of wrong types may raise anything
        raise ValueError(f"{path} is no map that can be loaded: {error}") from error
