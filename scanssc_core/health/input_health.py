"""All questions to a stereo pair, each with its threshold: faults in words, beside what was measured."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from scanssc_core.geometry import LIDAR_HEIGHT_M, PinholeCamera, level_ground_depth
from scanssc_core.health.coverage import MIN_COVERAGE, coverage_problem, depth_coverage
from scanssc_core.health.ground import GroundOffset, measure_ground
from scanssc_core.health.newest_median import NewestMedian
from scanssc_core.health.odometry_scale import MIN_MOVED_M, OdometryScale, PoseAt
from scanssc_core.health.pictures import (
    Picture,
    RepeatedPicture,
    blocked_shares,
    measure_picture,
    reduce_picture,
)
from scanssc_core.health.tracks import PairTracks, track_pair

_SIDES = ("left", "right")


@dataclass(frozen=True)
class Thresholds:
    """What is a fault; 0 = not asked. docs/health.md has how far ordinary pairs are from each."""

    min_brightness: float = 20.0
    max_overexposed: float = 0.4
    min_sharpness: float = 0.4
    max_blocked: float = 0.06
    max_frozen_s: float = 1.0
    max_swapped: float = 0.5
    max_row_offset_px: float = 1.5
    min_depth_coverage: float = MIN_COVERAGE
    max_ground_offset: float = 0.3
    max_height_error: float = 0.12
    max_scale_error: float = 0.1


@dataclass(frozen=True)
class Reading:
    """The answer to one question.

    Attributes:
        name: of the question.
        measured: what was measured, in words.
        fault: what is wrong and what to look at; empty: nothing.
        values: the numbers.
    """

    name: str
    measured: str = "not measured yet"
    fault: str = ""
    values: dict[str, str] = field(default_factory=dict)

    @property
    def cause(self) -> str:
        """What a pair that is dropped for it is counted under."""
        return self.name.replace(" ", "_")


def faults(readings: Iterable[Reading]) -> list[Reading]:
    """Those that are faults."""
    return [reading for reading in readings if reading.fault]


class InputHealth:
    """The state of a stream of pairs. One thread adds pairs; any thread may read.

    Args:
        has_right: pairs have a right image; else depth comes with the left one.
        is_stream: rows, sides and ground are medians over a window, measured every few pairs; else each pair counts by
            itself.
        has_odometry: the camera's motion is known from elsewhere too.
    """

    def __init__(self, has_right: bool = True, is_stream: bool = True, has_odometry: bool = False) -> None:
        self._has_right, self._has_odometry = has_right, has_odometry
        window = () if is_stream else (1, 1)
        self._tracks: NewestMedian[PairTracks] = NewestMedian(track_pair, 5 if is_stream else 1, *window)
        self._ground: NewestMedian[GroundOffset] = NewestMedian(measure_ground, 10 if is_stream else 1, *window)
        self._repeated = (RepeatedPicture(), RepeatedPicture())
        self._pictures: tuple[Picture, ...] = ()
        self._blocked: tuple[float, ...] = ()
        self._frozen_s: tuple[float, ...] = ()
        self._coverage: float | None = None
        self._left_grey: NDArray | None = None
        self._scale = OdometryScale()

    def add_images(self, left_rgb: NDArray, right_rgb: NDArray | None, stamp_s: float, thresholds: Thresholds) -> None:
        """Measure the images of the next pair.

        Args:
            left_rgb, right_rgb: (H, W, 3) uint8, rectified; right: None if it has none.
            stamp_s: when it was taken.
            thresholds: what is not asked is not measured where that saves time.
        """
        greys = [reduce_picture(image) for image in (left_rgb, right_rgb) if image is not None]
        self._left_grey = greys[0]
        self._pictures = tuple(map(measure_picture, greys))
        self._frozen_s = tuple(
            repeated.add(grey, stamp_s) for repeated, grey in zip(self._repeated, greys, strict=False)
        )
        if right_rgb is None:
            return
        self._blocked = blocked_shares(*greys)
        if thresholds.max_swapped or thresholds.max_row_offset_px:
            self._tracks.add(left_rgb, right_rgb)

    def add_depth(self, depth_m: NDArray, camera: PinholeCamera, T_cam_grid: NDArray, thresholds: Thresholds) -> None:
        """Measure the depth of the pair whose images were added.

        Args:
            depth_m: (H, W) metres; 0 = none.
            camera, T_cam_grid: see measure_ground.
            thresholds: see add_images.
        """
        self._coverage = depth_coverage(depth_m)
        if thresholds.max_ground_offset or thresholds.max_height_error:
            self._ground.add(depth_m, camera, T_cam_grid)

    def add_motion(
        self, depth_m: NDArray, camera: PinholeCamera, stamp_ns: int, pose_at: PoseAt, thresholds: Thresholds
    ) -> None:
        """Compare the motion of the pair whose images were added with odometry.

        Args:
            depth_m, camera, stamp_ns, pose_at: see OdometryScale.add.
            thresholds: see add_images.
        """
        if thresholds.max_scale_error and self._left_grey is not None:
            self._scale.add(self._left_grey, depth_m, camera, stamp_ns, pose_at)

    def readings(self, thresholds: Thresholds) -> list[Reading]:
        """All of them."""
        return [*self.image_readings(thresholds), *self.depth_readings(thresholds)]

    def image_readings(self, thresholds: Thresholds) -> list[Reading]:
        """Of the newest images, or of the newest window of them."""
        readings = []
        if thresholds.min_brightness:
            readings.append(self._dark(thresholds.min_brightness))
        if thresholds.max_overexposed:
            readings.append(self._overexposed(thresholds.max_overexposed))
        if thresholds.min_sharpness:
            readings.append(self._blurred(thresholds.min_sharpness))
        if thresholds.max_frozen_s:
            readings.append(self._frozen(thresholds.max_frozen_s))
        if not self._has_right:
            return readings
        if thresholds.max_blocked:
            readings.append(self._view_blocked(thresholds.max_blocked))
        tracks = self._tracks.result()
        if thresholds.max_swapped:
            readings.append(_swapped(tracks, thresholds.max_swapped))
        if thresholds.max_row_offset_px:
            readings.append(_row_alignment(tracks, thresholds.max_row_offset_px))
        return readings

    def depth_readings(self, thresholds: Thresholds) -> list[Reading]:
        """Of the newest depth, or of the newest window of it."""
        readings = []
        if thresholds.min_depth_coverage:
            readings.append(coverage_reading(self._coverage, thresholds.min_depth_coverage))
        if thresholds.max_ground_offset:
            readings.append(_ground(self._ground.result(), thresholds.max_ground_offset))
        if thresholds.max_height_error:
            readings.append(_camera_height(self._ground.result(), thresholds.max_height_error))
        if thresholds.max_scale_error and self._has_odometry:
            readings.append(_odometry_scale(self._scale, thresholds.max_scale_error))
        return readings

    def _dark(self, least: float) -> Reading:
        values = [picture.brightness for picture in self._pictures]
        return _worst(
            "dark", values, min, least, "{:.1f}", "the {side} image has a mean grey level of {value}",
            "below min_brightness = {limit}: is it night, is the lens covered, is the exposure fixed?",
        )  # fmt: skip

    def _overexposed(self, most: float) -> Reading:
        values = [picture.overexposed for picture in self._pictures]
        return _worst(
            "overexposed", values, max, most, "{:.1%}", "the {side} image is saturated in {value} of its pixels",
            "more than max_overexposed = {limit}: does the camera look into the sun, is the exposure fixed?",
        )  # fmt: skip

    def _blurred(self, least: float) -> Reading:
        values = [picture.sharpness for picture in self._pictures]
        return _worst(
            "blurred", values, min, least, "{:.2f}", "the {side} image has a sharpness of {value}",
            "below min_sharpness = {limit}: is the lens dirty, wet or out of focus, or the exposure too long?",
        )  # fmt: skip

    def _frozen(self, most_s: float) -> Reading:
        return _worst(
            "frozen", self._frozen_s, max, most_s, "{:.1f}", "the {side} picture has been the same for {value} s",
            "longer than max_frozen_s = {limit}, pixel by pixel: has the camera or its driver stopped?",
        )  # fmt: skip

    def _view_blocked(self, most: float) -> Reading:
        return _worst(
            "blocked", self._blocked, max, most, "{:.1%}", "{value} of the {side} image hides what the other one shows",
            "more than max_blocked = {limit}: is there dirt, water or a hand on the lens?",
        )  # fmt: skip


def _worst(
    name: str, values: Sequence[float], worst_of: Callable[..., float], limit: float, form: str, text: str, why: str
) -> Reading:
    """A reading of the worse side.

    Args:
        values: of the left and, if there is one, the right image; empty before the first pair.
        worst_of: min if what is below the limit is a fault, max if what is above it is.
        form: of a value, in text and why.
        text, why: what was measured, with {side} and {value}; what is added to a fault, with {limit}.
    """
    if not values:
        return Reading(name)
    worst = worst_of(values)
    measured = text.format(side=_SIDES[values.index(worst)], value=form.format(worst))
    is_fault = worst < limit if worst_of is min else worst > limit
    fault = f"{measured}, {why.format(limit=form.format(limit))}" if is_fault else ""
    return Reading(name, measured, fault, {side: f"{value:.3f}" for side, value in zip(_SIDES, values, strict=False)})


def _swapped(tracks: PairTracks | None, most: float) -> Reading:
    if tracks is None:
        return Reading("swapped")
    measured = f"{tracks.swapped:.0%} of the points that move lie further right in the right image"
    fault = f"{measured}, more than max_swapped = {most:.0%}: are left and right swapped?"
    values = {"swapped": f"{tracks.swapped:.3f}", "points": f"{tracks.num_tracks:.0f}"}
    return Reading("swapped", measured, fault if tracks.swapped > most else "", values)


def _row_alignment(tracks: PairTracks | None, most_px: float) -> Reading:
    if tracks is None:
        return Reading("row alignment")
    offset = (
        f"the right image lies {tracks.center_px:+.2f} px too low in the middle and up to {tracks.worst_px:.2f} px off "
        "at the edges"
    )
    fault = (
        f"rows disagree: {offset}, more than max_row_offset_px = {most_px:.2f}: was a camera knocked? calibrate the "
        "pair anew"
    )
    values = {
        "vertical_offset_px": f"{tracks.center_px:.2f}",
        "vertical_offset_at_edges_px": f"{tracks.worst_px:.2f}",
        "points": f"{tracks.num_tracks:.0f}",
    }
    return Reading("row alignment", f"rows agree: {offset}", fault if tracks.worst_px > most_px else "", values)


def coverage_reading(coverage: float | None, least: float = MIN_COVERAGE) -> Reading:
    """What the share of the pixels that have depth says of a pair; None: it is not known yet."""
    if coverage is None:
        return Reading("depth coverage")
    measured = f"depth covers {coverage:.0%} of the pixels"
    return Reading("depth coverage", measured, coverage_problem(coverage, least), {"coverage": f"{coverage:.3f}"})


def _ground(offset: GroundOffset | None, most: float) -> Reading:
    if offset is None:
        return Reading("ground")
    rises = "rises" if offset.pitch_deg > 0 else "falls"
    measured = (
        f"the camera is {offset.height_m:.2f} m over the measured ground, which {rises} by {abs(offset.pitch_deg):.1f} "
        f"degrees ahead, and {offset.expected_height_m:.2f} m over the ground of its pose"
    )
    fault = _under_ground(offset) or (
        f"{measured}, {offset.worst:.0%} of the camera's height apart where max_ground_offset is {most:.0%}: check the "
        "camera's transform, ground_z_m and the baseline"
    )
    values = {
        "height_m": f"{offset.height_m:.2f}",
        "expected_height_m": f"{offset.expected_height_m:.2f}",
        "pitch_deg": f"{offset.pitch_deg:.1f}",
        "roll_deg": f"{offset.roll_deg:.1f}",
        "worst": f"{offset.worst:.3f}",
    }
    return Reading("ground", measured, fault if offset.worst > most else "", values)


def _under_ground(offset: GroundOffset) -> str:
    """A fault that leaves nothing to compare; empty: the pose has the camera over its ground."""
    if offset.expected_height_m > 0:
        return ""
    return (
        f"the pose puts the camera {-offset.expected_height_m:.2f} m under the ground, and it is "
        f"{offset.height_m:.2f} m over the measured one: check ground_z_m and the camera's transform"
    )


def _camera_height(offset: GroundOffset | None, most: float) -> Reading:
    if offset is None:
        return Reading("camera height")
    measured = (
        f"the camera is {offset.height_m:.2f} m over the measured ground and {offset.expected_height_m:.2f} m over "
        "that of its pose"
    )
    values = {
        "height_m": f"{offset.height_m:.3f}",
        "expected_height_m": f"{offset.expected_height_m:.3f}",
        "ratio": f"{offset.height_ratio:.3f}",
        "height_error_m": f"{offset.height_error_m:.3f}",
    }
    if under_ground := _under_ground(offset):
        return Reading("camera height", measured, under_ground, values)
    if offset.doubt:
        return Reading("camera height", f"not judged: {offset.doubt}; {measured}", values=values)
    cause = "long or the pose too low" if offset.height_ratio > 1 else "short or the pose too high"
    fault = (
        f"{measured}, more than max_height_error = {most:.0%} apart: is the baseline too {cause}? A wrong pitch would "
        "show in the slope, a wrong baseline in odometry scale too"
    )
    return Reading("camera height", measured, fault if abs(offset.height_ratio - 1) > most else "", values)


def _odometry_scale(scale: OdometryScale, most: float) -> Reading:
    motion, name = scale.result(), "odometry scale"
    if motion is None:
        why = scale.missing or f"the camera has not moved {MIN_MOVED_M} m often enough since the start"
        return Reading(name, f"not judged: {why}")
    measured = (
        f"the camera moved {motion.stereo_m:.2f} m by stereo while it moved {motion.odometry_m:.2f} m by odometry, "
        f"{motion.ratio:.2f} times as far"
    )
    cause = "long" if motion.ratio > 1 else "short"
    fault = (
        f"{measured}, more than max_scale_error = {most:.0%} off: is the baseline too {cause}, or does odometry count "
        "wrong (radius of the wheels, slip)?"
    )
    values = {
        "stereo_m": f"{motion.stereo_m:.3f}",
        "odometry_m": f"{motion.odometry_m:.3f}",
        "ratio": f"{motion.ratio:.3f}",
    }
    return Reading(name, measured, fault if abs(motion.ratio - 1) > most else "", values)


def warm_up() -> None:
    """Ask everything of a drawn pair on level ground: what libraries load at their first call costs a pair 60 ms."""
    camera = PinholeCamera(360.0, 360.0, 310.0, 90.0, width=620, height=188)
    T_cam_grid = np.eye(4)
    T_cam_grid[:3, :3] = [[0, -1, 0], [0, 0, -1], [1, 0, 0]]
    left_rgb = np.random.default_rng(0).integers(0, 256, (camera.height, camera.width, 3), dtype=np.uint8)
    health, thresholds = InputHealth(is_stream=False), Thresholds()
    health.add_images(left_rgb, np.roll(left_rgb, -16, axis=1), 0.0, thresholds)
    health.add_depth(level_ground_depth(camera, LIDAR_HEIGHT_M), camera, T_cam_grid, thresholds)
