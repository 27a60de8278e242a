"""MobileStereoNet as a source of depth."""

import numpy as np
import torch
from numpy.typing import NDArray

from scanssc_core.geometry import StereoRig
from scanssc_core.inference.transfer import to_device, to_host
from scanssc_core.stereo.interface import StereoBackend, StereoDepth, check_pair, confidence_of_spread
from scanssc_core.stereo.mobilestereonet.disparity import DisparityEstimate
from scanssc_core.stereo.mobilestereonet.inference import StereoInference
from scanssc_core.stereo.mobilestereonet.network import MobileStereoNet
from scanssc_core.stereo.mobilestereonet.preprocess import crop_bottom_left, normalise, pad_top_right, padded_size

_MIN_DISPARITY_PX = 1e-8  # published: every pixel gets a depth, however far; what lies too far is the reader's business


class MobileStereoNetBackend(StereoBackend):
    """StereoBackend that runs MSNet2D or MSNet3D on images of any size.

    Args:
        network: trained weights.
        device, precision: see StereoInference.
        padded_to: (height, width) that images are padded to; multiples of 16. Default: by padded_size.
    """

    def __init__(
        self,
        network: MobileStereoNet,
        device: torch.device,
        precision: torch.dtype = torch.float32,
        padded_to: tuple[int, int] | None = None,
    ) -> None:
        self._inference = StereoInference(network, device, precision)
        self._device = device
        self._padded_to = padded_to

    def compute(self, left_rgb: NDArray, right_rgb: NDArray, rig: StereoRig) -> StereoDepth:
        """See StereoBackend.compute; no pixel is without depth, the confidence tells which to leave out."""
        check_pair(left_rgb, right_rgb, rig)
        disparity_px, spread_px = to_host(*(part[0] for part in self.estimate(left_rgb, right_rgb)))
        depth_m = disparity_to_depth(disparity_px, rig)
        return StereoDepth(depth_m, confidence_of_spread(depth_m, spread_px))

    def estimate(self, left_rgb: NDArray, right_rgb: NDArray) -> DisparityEstimate:
        """Disparity of the left image: two (H, W, 3) uint8 -> (1, H, W)."""
        height, width, _ = left_rgb.shape
        size = self._padded_to or padded_size(height, width, self._inference.config.max_disparity)

        def network_input(rgb: NDArray) -> torch.Tensor:
            image = to_device(np.ascontiguousarray(rgb), self._device).permute(2, 0, 1)[None]
            return pad_top_right(normalise(image), size)

        estimate = self._inference.estimate(network_input(left_rgb), network_input(right_rgb))
        return DisparityEstimate(*(crop_bottom_left(part, height, width) for part in estimate))


def disparity_to_depth(disparity_px: NDArray, rig: StereoRig) -> NDArray:
    """Depth fx * baseline / disparity as published: (H, W) float32 pixels -> metres, finite and above zero."""
    shifted_px = disparity_px - np.float32(rig.left.cx - rig.right_cx)
    return np.float32(rig.left.fx * rig.baseline_m) / np.maximum(shifted_px, np.float32(_MIN_DISPARITY_PX))
