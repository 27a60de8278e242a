"""A data set of corrupted pairs: depth is computed of what is left; what the input health says of it is counted."""

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from scanssc_core.datasets.corruption import Corruption, StereoPair
from scanssc_core.datasets.dataset import SSCDataset
from scanssc_core.geometry import T_camera_reference
from scanssc_core.health.input_health import InputHealth, Thresholds, faults
from scanssc_core.sources.images import read_image_pair
from scanssc_core.stereo.sgm import SgmBackend


class CorruptedDataset(SSCDataset):
    """The frames of a data set with damaged images; read in this process, for `faults` counts what is read.

    Args:
        clean: its frames need both images; its depth maps are not used: depth is semi-global matching's.
        corruption: what is done to each; None: nothing.
    Attributes:
        faults: in how many of the frames read the input health names each fault; each frame counts by itself.
        num_faulty: frames with any.
    """

    def __init__(self, clean: SSCDataset, corruption: Corruption | None) -> None:
        super().__init__(clean.layout, clean.files, clean.image_size, clean.depth_folder, corrections=clean.corrections)
        self._corruption = corruption
        self._stereo = SgmBackend()
        self._newest: tuple[int, tuple[NDArray, NDArray]] | None = None
        self.faults: Counter[str] = Counter()
        self.num_faulty = 0

    def views(self, index: int) -> tuple[NDArray, NDArray]:
        """See SSCDataset; the newest frame is kept."""
        if self._newest is None or self._newest[0] != index:
            self._newest = index, self._corrupted_views(index)
        return self._newest[1]

    def _corrupted_views(self, index: int) -> tuple[NDArray, NDArray]:
        files = self.files[index]
        images = self.images[files.sequence]
        left_rgb, right_rgb = read_image_pair(files.left, files.right)
        images.check_size(files.left, left_rgb)
        depth_m = self._stereo.compute_depth(left_rgb, right_rgb, images.rig)
        pair = StereoPair(left_rgb, right_rgb, images.rig, depth_m)
        if self._corruption is not None:
            pair = self._corruption.apply(pair, index)
            depth_m = self._stereo.compute_depth(pair.left_rgb, pair.right_rgb, pair.rig)
        calibration = images.calibration
        T_left_grid = T_camera_reference(calibration.P_left) @ np.linalg.inv(calibration.T_velo_cam0)
        health, thresholds = InputHealth(is_stream=False), Thresholds()
        health.add_images(pair.left_rgb, pair.right_rgb, 0.0, thresholds)
        health.add_depth(depth_m, pair.rig.left, T_left_grid, thresholds)
        found = [reading.name for reading in faults(health.readings(thresholds))]
        self.faults.update(found)
        self.num_faulty += bool(found)
        return pair.left_rgb, depth_m
