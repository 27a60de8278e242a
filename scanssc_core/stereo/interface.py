"""What every source of stereo depth takes and gives."""

from typing import Protocol

from numpy.typing import NDArray

from scanssc_core.geometry import StereoRig


class StereoBackend(Protocol):
    """A rectified pair and its calibration in, metric depth of the left image out."""

    def compute_depth(self, left_rgb: NDArray, right_rgb: NDArray, rig: StereoRig) -> NDArray:
        """Depth of the left image.

        Args:
            left_rgb: (H, W, 3) uint8 rectified left image.
            right_rgb: (H, W, 3) uint8 rectified right image.
            rig: calibration of images of this size.
        Returns:
            (H, W) float32 depth along the optical axis, metres; 0 = no measurement.
        """
        ...


def check_pair(left_rgb: NDArray, right_rgb: NDArray, rig: StereoRig) -> None:
    """Refuse images that do not fit each other or the calibration.

    Raises:
        ValueError: naming both sizes.
    """
    expected = (rig.left.height, rig.left.width, 3)
    for side, image in (("left", left_rgb), ("right", right_rgb)):
        if image.shape != expected:
            raise ValueError(
                f"expected a {side} image of shape {expected} (height, width, RGB) to fit the calibration, "
                f"got {image.shape}"
            )
