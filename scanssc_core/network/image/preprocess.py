"""Raw image and depth map to what the network takes: resized to its width, cut at top and bottom, normalised.

As published: Pillow's bicubic filter for both, also for depth; the resized size is truncated (1241 pixels become 1279
of 1280, the last column stays black); the camera ignores that a resize moves pixel centres; rows too many are cut off
at the top, rows that lack are added there. Corrections has switches for all but the last.
"""

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from scanssc_core.network.corrections import Corrections

IMAGE_MEAN = np.array((0.485, 0.456, 0.406), np.float32)
IMAGE_STD = np.array((0.229, 0.224, 0.225), np.float32)
_NORMALISED = (np.arange(256, dtype=np.float32)[:, None, None] / 255 - IMAGE_MEAN) / IMAGE_STD  # (256, 1, 3), a table
_LEAST_UP = 0.1  # a camera that looks straight down or up has no horizon; one that is upside down neither
_HORIZON = 0.46  # of the network's rows, as KITTI's images have it


@dataclass(frozen=True)
class NetworkView:
    """How a raw image is laid into the network's image: network pixel = scale * raw pixel + translation.

    Attributes:
        raw_size, network_size: (height, width).
        corrections: nearest_depth, rounded_size, half_pixel and horizon_rows matter.
        horizon_row: of the raw image, see horizon_row(); read for horizon_rows.
    """

    raw_size: tuple[int, int]
    network_size: tuple[int, int]
    corrections: Corrections = field(default_factory=Corrections)
    horizon_row: float | None = None

    def __post_init__(self) -> None:
        if self.corrections.horizon_rows and self.horizon_row is None:
            raise ValueError("horizon_rows: expected the row of the horizon in the raw image, got none")

    @property
    def scale(self) -> float:
        return self.network_size[1] / self.raw_size[1]

    @property
    def resized_size(self) -> tuple[int, int]:
        """(height, width) of the raw image after resizing, before it is cropped."""
        whole = round if self.corrections.rounded_size else int
        return whole(self.raw_size[0] * self.scale), whole(self.raw_size[1] * self.scale)

    @property
    def shift_y(self) -> int:
        """Rows that are added on top, or minus those cut off there."""
        lowest = self.network_size[0] - self.resized_size[0]
        if not self.corrections.horizon_rows or self.horizon_row is None or lowest >= 0:
            return lowest
        return round(min(max(_HORIZON * self.network_size[0] - self.scale * self.horizon_row, lowest), 0))

    @property
    def translation(self) -> NDArray:
        """(3,) of the network's pixels: the shift on top and, if corrected, that of pixel centres by the resize."""
        half_pixel = (self.scale - 1) / 2 if self.corrections.half_pixel else 0.0
        return np.array([half_pixel, self.shift_y + half_pixel, 0.0])

    def image(self, rgb: NDArray) -> NDArray:
        """Lay and normalise an image: (H, W, 3) uint8 -> (3, H', W') float32."""
        return normalise(self.laid_image(rgb))

    def laid_image(self, rgb: NDArray) -> NDArray:
        """Lay an image: (H, W, 3) uint8 -> (H', W', 3) uint8, black where the raw image has nothing."""
        return self._lay(Image.fromarray(rgb), Image.Resampling.BICUBIC)

    def depth(self, depth_m: NDArray) -> NDArray:
        """Lay a depth map: (H, W) metres, 0 = none -> (1, H', W') float32."""
        filter_ = Image.Resampling.NEAREST if self.corrections.nearest_depth else Image.Resampling.BICUBIC
        return self._lay(Image.fromarray(depth_m.astype(np.float32)), filter_)[None]

    def classes(self, class_ids: NDArray, padding: int) -> NDArray:
        """(H, W) uint8 of a segmentation -> (H', W') uint8, by the nearest pixel."""
        # Pillow pads with 0: what is no class may not become class 0.
        laid = self._lay(Image.fromarray(class_ids ^ np.uint8(padding)), Image.Resampling.NEAREST)
        return laid ^ np.uint8(padding)

    def _lay(self, image: Image.Image, filter_: Image.Resampling) -> NDArray:
        height, width = self.resized_size
        resized = image.resize((width, height), filter_)
        top = -self.shift_y
        return np.asarray(resized.crop((0, top, self.network_size[1], top + self.network_size[0])))


def horizon_row(intrinsics: NDArray, T_grid_cam: NDArray) -> float:
    """Row of the horizon in the column of the principal point; beyond the image where it is not in it.

    Args:
        intrinsics: (3, 3) or (3, 4) of the raw image.
        T_grid_cam: (4, 4) camera's optical frame -> grid frame, whose z axis points up.
    """
    _, up_y, up_z = T_grid_cam[2, :3]  # the grid's z axis in the camera's frame, whose y axis points down
    return float(intrinsics[1, 2] - intrinsics[1, 1] * up_z / min(up_y, -_LEAST_UP))


def normalise(laid_rgb: NDArray) -> NDArray:
    """(H', W', 3) uint8 -> (3, H', W') float32 by the ImageNet statistics; channels lie last in memory."""
    return cv2.LUT(laid_rgb, _NORMALISED).transpose(2, 0, 1)
