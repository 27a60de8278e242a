"""Raw image and depth map to what the network takes: resized to its width, aligned at the bottom, normalised.

As published: Pillow's bicubic filter for both, also for depth, which blends at object edges; the resized size is
truncated (1241 pixels become 1279 of 1280, the last column stays black); rows that lack are added on top.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

IMAGE_MEAN = np.array((0.485, 0.456, 0.406), np.float32)
IMAGE_STD = np.array((0.229, 0.224, 0.225), np.float32)


@dataclass(frozen=True)
class NetworkView:
    """How a raw image is laid into the network's image: network pixel = scale * raw pixel + (0, shift_y).

    Attributes:
        raw_size, network_size: (height, width).
    """

    raw_size: tuple[int, int]
    network_size: tuple[int, int]

    @property
    def scale(self) -> float:
        return self.network_size[1] / self.raw_size[1]

    @property
    def resized_size(self) -> tuple[int, int]:
        """(height, width) after resizing, truncated as published."""
        return int(self.raw_size[0] * self.scale), int(self.raw_size[1] * self.scale)

    @property
    def shift_y(self) -> int:
        """Rows that are added on top, or minus those cut off there."""
        return self.network_size[0] - self.resized_size[0]

    def image(self, rgb: NDArray) -> NDArray:
        """(H, W, 3) uint8 -> (3, H', W') float32, normalised by the ImageNet statistics."""
        laid = self._lay(Image.fromarray(rgb)).astype(np.float32) / 255
        return np.ascontiguousarray(((laid - IMAGE_MEAN) / IMAGE_STD).transpose(2, 0, 1))

    def depth(self, depth_m: NDArray) -> NDArray:
        """(H, W) metres, 0 = none -> (1, H', W') float32."""
        return self._lay(Image.fromarray(depth_m.astype(np.float32)))[None]

    def _lay(self, image: Image.Image) -> NDArray:
        height, width = self.resized_size
        resized = image.resize((width, height), Image.Resampling.BICUBIC)
        top = -self.shift_y
        return np.asarray(resized.crop((0, top, self.network_size[1], top + self.network_size[0])))
