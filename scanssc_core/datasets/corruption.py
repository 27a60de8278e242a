"""What weather, dirt, drivers and knocks do to a stereo pair, in five severities (docs/robustness.md).

Every kind is a function of the clean pair and a random generator; the same seed gives the same pictures, and a higher
severity is the same damage grown. After Hendrycks and Dietterich, Benchmarking Neural Network Robustness to Common
Corruptions (ICLR 2019); fog by depth after Sakaridis et al., Semantic Foggy Scene Understanding (IJCV 2018).
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from scanssc_core.geometry import StereoRig

SEVERITIES = (1, 2, 3, 4, 5)
DEFAULT_SEVERITY = 3

_FOG_GREY = 200.0
_LEAST_CONTRAST = 0.05  # what is left of a contrast at the visual range (Koschmieder)
_DIRT_RGB = (48.0, 42.0, 36.0)


@dataclass(frozen=True)
class StereoPair:
    """One rectified pair.

    Attributes:
        left_rgb, right_rgb: (H, W, 3) uint8.
        rig: the calibration that it is read by.
        depth_m: (H, W) of the left image, 0 = none; only fog asks for it.
    """

    left_rgb: NDArray
    right_rgb: NDArray
    rig: StereoRig
    depth_m: NDArray

    def each(self, change: Callable[[NDArray], NDArray]) -> "StereoPair":
        """Both images changed, each by itself: (H, W, 3) float32 in and out, 0 to 255."""
        left, right = (_to_uint8(change(image.astype(np.float32))) for image in (self.left_rgb, self.right_rgb))
        return replace(self, left_rgb=left, right_rgb=right)


@dataclass(frozen=True)
class Corruption:
    """One kind at one severity.

    Attributes:
        kind: of KINDS.
        severity: 1 to 5.
        seed: of everything that is drawn.
    """

    kind: str
    severity: int = DEFAULT_SEVERITY
    seed: int = 0

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"corruption: expected one of {', '.join(KINDS)}, got {self.kind!r}")
        if self.severity not in SEVERITIES:
            raise ValueError(f"corruption {self.kind}: expected a severity of 1 to 5, got {self.severity}")

    @classmethod
    def parse(cls, text: str, seed: int = 0) -> "Corruption":
        """Of KIND or KIND:SEVERITY.

        Raises:
            ValueError: if there is no such kind or severity.
        """
        kind, _, severity = text.partition(":")
        if severity and not severity.isdigit():
            raise ValueError(f"corruption {kind}: expected a severity of 1 to 5, got {severity!r}")
        return cls(kind, int(severity) if severity else DEFAULT_SEVERITY, seed)

    def apply(self, pair: StereoPair, frame_index: int) -> StereoPair:
        """The pair as it would have come.

        Args:
            frame_index: of the pair in its data set: what is drawn differs from frame to frame.
        """
        spec = KINDS[self.kind]
        random = np.random.default_rng([self.seed, list(KINDS).index(self.kind), frame_index])
        return spec.apply(pair, spec.amounts[self.severity - 1], random, frame_index)


def _darkness(pair: StereoPair, gain: float, random: np.random.Generator, _: int) -> StereoPair:
    """Less light, and the noise of the sensor that stays."""
    return pair.each(lambda image: gain * image + random.normal(0, 1, image.shape).astype(np.float32))


def _noise(pair: StereoPair, deviation: float, random: np.random.Generator, _: int) -> StereoPair:
    return pair.each(lambda image: image + deviation * random.standard_normal(image.shape, np.float32))


def _motion_blur(pair: StereoPair, length_px: float, random: np.random.Generator, _: int) -> StereoPair:
    """Both cameras are moved the same way while the shutter is open."""
    angle_rad, size = random.uniform(0, np.pi), int(length_px) | 1
    kernel, middle = np.zeros((size, size), np.float32), size // 2
    reach = middle * np.array([np.cos(angle_rad), np.sin(angle_rad)])
    start, end = ([round(float(value)) for value in middle + sign * reach] for sign in (-1, 1))
    cv2.line(kernel, start, end, 1.0)
    kernel /= kernel.sum()
    return pair.each(lambda image: cv2.filter2D(image, -1, kernel))


def _fog(pair: StereoPair, visibility_m: float, random: np.random.Generator, _: int) -> StereoPair:
    """Light of every pixel lost with its depth, that of the fog gained. What has no depth is far."""
    focal_baseline = pair.rig.left.fx * pair.rig.baseline_m
    left_disparity = _filled_disparity(pair.depth_m, focal_baseline)
    shift_px = pair.rig.left.cx - pair.rig.right_cx
    right_disparity = _seen_from_the_right(left_disparity, shift_px)
    extinction = -np.log(_LEAST_CONTRAST) / visibility_m
    fogged = []
    for image, disparity in ((pair.left_rgb, left_disparity), (pair.right_rgb, right_disparity)):
        depth_m = focal_baseline / np.maximum(disparity, 0.1)
        kept = cv2.GaussianBlur(np.exp(-extinction * depth_m), (0, 0), 2)[..., None]
        fogged.append(_to_uint8(kept * image + (1 - kept) * _FOG_GREY))
    return replace(pair, left_rgb=fogged[0], right_rgb=fogged[1])


def _rain(pair: StereoPair, density: float, random: np.random.Generator, _: int) -> StereoPair:
    """Streaks of drops near the cameras: each camera has its own. Density: streaks in 100 x 100 pixels."""
    slant = random.uniform(-0.2, 0.2)

    def rained(image: NDArray) -> NDArray:
        height, width = image.shape[:2]
        layer = np.zeros((height, width), np.float32)
        num_streaks = int(density * height * width / 1e4)
        for u, v, length, strength in random.uniform((0, -30, 10, 0.2), (width, height, 45, 0.7), (num_streaks, 4)):
            start, end = (round(u), round(v)), (round(u + slant * length), round(v + length))
            cv2.line(layer, start, end, float(strength), 1, cv2.LINE_AA)
        kept = cv2.GaussianBlur(layer, (0, 0), 0.7)[..., None]
        return (1 - kept) * image + kept * 220

    return pair.each(rained)


def _jpeg(pair: StereoPair, quality: float, random: np.random.Generator, _: int) -> StereoPair:
    def compressed(image: NDArray) -> NDArray:
        content = cv2.imencode(".jpg", image.astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, int(quality)])[1]
        return np.asarray(cv2.imdecode(content, cv2.IMREAD_COLOR), np.float32)

    return pair.each(compressed)


def _lens_dirt(pair: StereoPair, share: float, random: np.random.Generator, _: int) -> StereoPair:
    """Spots out of focus cover a share of the left image; the right lens is clean."""
    height, width = pair.left_rgb.shape[:2]
    field = cv2.GaussianBlur(random.standard_normal((height, width), np.float32), (0, 0), width / 25)
    edge = np.quantile(field, 1 - share)
    cover = 0.95 * np.clip((field - edge) / (0.15 * field.std()) + 0.5, 0, 1)[..., None]
    dirty = (1 - cover) * pair.left_rgb + cover * np.array(_DIRT_RGB, np.float32)
    return replace(pair, left_rgb=_to_uint8(dirty))


def _knocked(pair: StereoPair, angle_deg: float, random: np.random.Generator, _: int) -> StereoPair:
    """The right camera turned about its pitch and roll axes, each by this angle; the calibration does not know."""
    camera = pair.rig.left
    intrinsics = camera.matrix
    intrinsics[0, 2] = pair.rig.right_cx
    angle_rad = np.radians(angle_deg)
    turn = cv2.Rodrigues(np.array([angle_rad, 0.0, angle_rad]))[0]
    homography = intrinsics @ turn @ np.linalg.inv(intrinsics)
    size = (camera.width, camera.height)
    turned = cv2.warpPerspective(pair.right_rgb, homography, size, borderMode=cv2.BORDER_REPLICATE)
    return replace(pair, right_rgb=turned)


def _wrong_baseline(pair: StereoPair, factor: float, random: np.random.Generator, _: int) -> StereoPair:
    """The calibration has the cameras further apart than they are: all depths are too large by this factor."""
    return replace(pair, rig=replace(pair.rig, baseline_m=factor * pair.rig.baseline_m))


def _right_lost(pair: StereoPair, share: float, random: np.random.Generator, frame_index: int) -> StereoPair:
    """The right picture of a share of the frames, evenly spread, is black."""
    is_lost = np.floor((frame_index + 1) * share + 1e-9) > np.floor(frame_index * share + 1e-9)
    return replace(pair, right_rgb=np.zeros_like(pair.right_rgb)) if is_lost else pair


@dataclass(frozen=True)
class Kind:
    """What a kind does, and how much of it at each severity.

    Attributes:
        apply: pair, amount, generator and index of the frame -> pair.
        amounts: by severity.
        text: the amount in words.
    """

    apply: Callable[[StereoPair, float, np.random.Generator, int], StereoPair]
    amounts: tuple[float, float, float, float, float]
    text: str


KINDS = {
    "darkness": Kind(_darkness, (0.5, 0.3, 0.2, 0.1, 0.05), "{:g} of the light is left"),
    "noise": Kind(_noise, (5, 10, 20, 30, 45), "deviation of {:g} grey levels"),
    "motion_blur": Kind(_motion_blur, (5, 9, 15, 23, 35), "{:g} px long"),
    "fog": Kind(_fog, (150, 80, 50, 30, 15), "visual range of {:g} m"),
    "rain": Kind(_rain, (5, 10, 20, 40, 80), "{:g} streaks in 100x100 px"),
    "jpeg": Kind(_jpeg, (50, 30, 20, 10, 5), "quality {:g}"),
    "lens_dirt": Kind(_lens_dirt, (0.05, 0.1, 0.2, 0.35, 0.5), "{:g} of the left image"),
    "knocked": Kind(_knocked, (0.05, 0.1, 0.25, 0.5, 1.0), "{:g} degrees of pitch and roll"),
    "wrong_baseline": Kind(_wrong_baseline, (1.05, 1.1, 1.2, 1.35, 1.5), "{:g} times the true one"),
    "right_lost": Kind(_right_lost, (0.2, 0.4, 0.6, 0.8, 1.0), "{:g} of the frames"),
}


def _to_uint8(image: NDArray) -> NDArray:
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def _filled_disparity(depth_m: NDArray, focal_baseline: float) -> NDArray:
    """(H, W) float32 disparity; small holes get what is around them, large ones, as the sky, zero."""
    disparity = np.where(depth_m > 0, focal_baseline / np.maximum(depth_m, 1e-3), 0).astype(np.float32)
    closed = cv2.morphologyEx(cv2.medianBlur(disparity, 5), cv2.MORPH_CLOSE, np.ones((25, 25), np.uint8))
    return np.where(disparity > 0, disparity, closed)


def _seen_from_the_right(left_disparity: NDArray, shift_px: float) -> NDArray:
    """(H, W) disparity of the right image's pixels; of several the nearest, holes as the further side beside them.

    Args:
        shift_px: left principal point's column less the right one's.
    """
    height, width = left_disparity.shape
    v, u = np.mgrid[:height, :width]
    target = np.rint(u - left_disparity - shift_px).astype(int)
    inside = (target >= 0) & (target < width)
    right = np.zeros_like(left_disparity)
    np.maximum.at(right, (v[inside], target[inside]), left_disparity[inside])
    return np.where(right > 0, right, cv2.morphologyEx(right, cv2.MORPH_CLOSE, np.ones((3, 9), np.uint8)))
