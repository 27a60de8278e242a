"""The images of a sequence of files: all of one size, as they have one calibration."""

import contextlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from numpy.typing import NDArray

from scanssc_core.geometry import StereoRig
from scanssc_core.sources.images import read_image
from scanssc_core.sources.kitti_calibration import StereoCalibration

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SequenceImages:
    """What all images of a sequence have in common.

    Attributes:
        calibration: of all of them.
        first_file: the image that the others are compared with: the first that can be read.
        rig: the calibration for images of its size.
    """

    calibration: StereoCalibration
    first_file: Path
    rig: StereoRig

    @classmethod
    def of(cls, calibration: StereoCalibration, files: Sequence[Path]) -> "SequenceImages":
        """Read one image; a principal point far from its middle is said on the log.

        Args:
            files: at least one.
        Raises:
            ValueError: naming the file, if no image can be read, or the calibration cannot be of such images.
        """
        first_file, image = _first_readable(files)
        height, width, _ = image.shape
        rig = calibration.rig(width, height)
        if problem := rig.left.principal_point_problem():
            _logger.warning("%s: %s", calibration.source, problem)
        return cls(calibration, first_file, rig)

    @property
    def size(self) -> tuple[int, int]:
        """(height, width), pixels."""
        return self.rig.left.height, self.rig.left.width

    def read(self, path: Path) -> NDArray:
        """(H, W, 3) uint8 RGB of one of the images.

        Raises:
            ValueError: naming the file, if it is missing, not a whole image, or of another size.
        """
        image = read_image(path)
        self.check_size(path, image)
        return image

    def check_size(self, path: Path, image: NDArray) -> None:
        """Compare an image, or a map of one, with the first one.

        Args:
            path: its file, for the error.
            image: (H, W, ...).
        Raises:
            ValueError: naming both files and both sizes, if they differ.
        """
        if image.shape[:2] != self.size:
            raise ValueError(
                f"{path}: expected {self.size[1]}x{self.size[0]} like {self.first_file}, got "
                f"{image.shape[1]}x{image.shape[0]}: a sequence has one calibration, its images have one size"
            )


def _first_readable(files: Sequence[Path]) -> tuple[Path, NDArray]:
    """One broken image does not keep the others from being read; the first one's fault is raised if all are broken."""
    for path in files:
        with contextlib.suppress(ValueError):
            return path, read_image(path)
    return files[0], read_image(files[0])
