"""What the worker does with one pair: decode, run the pipeline, publish. A pair that ends early is counted by cause."""

import threading
import time
import traceback
from collections.abc import Callable
from dataclasses import replace

from numpy.typing import NDArray
from rclpy.lifecycle import LifecycleNode

from scanssc_core.geometry.frame_graph import bare_frame
from scanssc_core.health.input_health import InputHealth, Reading, faults
from scanssc_core.runtime.pipeline import OccupancyPipeline, PipelineResult
from scanssc_core.sources.images import to_uint8
from scanssc_ros.conversions import depth_from_message, image_to_rgb, stamp_to_ns
from scanssc_ros.input.extrinsics import Extrinsics
from scanssc_ros.input.inputs import SIDES, Picture, StereoMessages
from scanssc_ros.input.transforms import TransformListener
from scanssc_ros.output.outputs import GridPlace, OccupancyOutputs
from scanssc_ros.parameters import TOPIC, NodeParameters
from scanssc_ros.statistics import PipelineStatistics, Throttle
from scanssc_ros.work.grid_pose import GridOnGround

_WARNING_PERIOD_S = 10.0

#: A live camera's stamp is never this far from the node's clock: the images are replayed without /clock.
_REPLAY_OFFSET_S = 3600.0


class PairDropped(Exception):
    """A pair that ends early.

    Args:
        cause: the name it is counted under.
        reason: for people: what is wrong, and what to do.
    """

    def __init__(self, cause: str, reason: str) -> None:
        super().__init__(reason)
        self.cause = cause
        self.reason = reason


class PairProcessor:
    """Called by the worker, in its thread, with one pair after the other.

    Args:
        node: for its clock and its logger.
        pipeline: the two stages.
        extrinsics: pose of the camera.
        outputs: where results go.
        statistics: where pairs are counted.
        grid_on_ground: where the grid stands; None: as the pose has it.
        odometry: knows where odometry has the camera; None: nobody is asked.
        parameters: gives the parameters that hold now.

    Attributes:
        health: of the pairs that came.
        stamp_age_s: how far the newest pair's stamp lay behind the node's clock; below zero: ahead of it.
    """

    def __init__(
        self,
        node: LifecycleNode,
        pipeline: OccupancyPipeline,
        extrinsics: Extrinsics,
        outputs: OccupancyOutputs,
        statistics: PipelineStatistics,
        grid_on_ground: GridOnGround | None,
        odometry: TransformListener | None,
        parameters: Callable[[], NodeParameters],
    ) -> None:
        self._node = node
        self._pipeline = pipeline
        self._extrinsics = extrinsics
        self._outputs = outputs
        self._statistics = statistics
        self._grid_on_ground = grid_on_ground
        self._odometry = odometry
        self._parameters = parameters
        self._stage = ""
        self._is_cancelled = False
        self._publishing = threading.Lock()
        self._throttle = Throttle(_WARNING_PERIOD_S)
        self.health = InputHealth(has_right=parameters().stereo_backend != TOPIC, has_odometry=odometry is not None)
        self.stamp_age_s = 0.0

    @property
    def stage(self) -> str:
        """What is being done now to the pair in work: decode, depth, ground, occupancy or publish."""
        return self._pipeline.stage or self._stage

    def cancel(self) -> None:
        """Nothing is published any more once this has returned; the pair in work ends as `deactivated`."""
        with self._publishing:
            self._is_cancelled = True

    def __call__(self, pair: StereoMessages) -> None:
        """Process one pair; never raises."""
        self._statistics.started()
        try:
            self._process(pair)
        except PairDropped as dropped:
            self._statistics.drop_in_work(dropped.cause, dropped.reason)
        except Exception as error:
            # Whatever a backend runs into costs this pair, not the node.
            if self._is_cancelled:
                self._statistics.drop_in_work("deactivated")
                return
            reason = f"{type(error).__name__}: {error}"
            self._statistics.drop_in_work("failed", reason)
            if self._throttle.is_due(reason):
                self._node.get_logger().error(f"a pair failed:\n{traceback.format_exc()}")

    def _process(self, pair: StereoMessages) -> None:
        self._stage, start_s = "decode", time.monotonic()
        self._check_age(pair)
        try:
            T_cam_grid = self._extrinsics.lookup(pair.left.header.frame_id)
            if (rig := pair.calibration.rig) is not None:
                frames = (pair.left.header.frame_id, pair.partner.header.frame_id)
                self._extrinsics.check_baseline(*frames, rig.baseline_m)
        except ValueError as error:
            raise PairDropped("no_extrinsics", str(error)) from error
        images = self._decode(pair)
        self._check_images(pair, images)
        decoded_s = time.monotonic()
        result, place = self._run(pair, images, T_cam_grid)
        self._check_depth(pair, result.depth_m, T_cam_grid)
        self._stage, before_publishing_s = "publish", time.monotonic()
        occupancy = self._pipeline.occupancy
        with self._publishing:
            self._check_age(pair)
            parameters = self._parameters()
            if self._grid_on_ground is not None:
                self._grid_on_ground.send(pair.left.header.stamp)
            published = self._outputs.publish(
                result, occupancy.grid, occupancy.label_set, pair.left.header, place, parameters
            )
        end_s = time.monotonic()
        self._statistics.processed(
            {
                "wait": start_s - pair.arrival_s,
                "decode": decoded_s - start_s,
                **result.stage_s,
                "publish": end_s - before_publishing_s,
                "total": end_s - pair.arrival_s,
            },
            published,
        )

    def _run(
        self, pair: StereoMessages, images: list[NDArray], T_cam_grid: NDArray
    ) -> tuple[PipelineResult, GridPlace]:
        left_rgb, partner = images
        parameters, camera, rig = self._parameters(), pair.calibration.left, pair.calibration.rig
        depth_m = partner
        stage_s: dict[str, float] = {}
        if rig is not None:
            depth_m, stage_s = self._pipeline.measure(left_rgb, partner, rig)
        place = GridPlace(parameters.grid_frame, parameters.ground_z_m, T_cam_grid)
        if self._grid_on_ground is not None:
            self._stage, start_s = "ground", time.monotonic()
            right = (partner, rig) if rig is not None else None
            stamp = pair.left.header.stamp
            place = self._grid_on_ground.place(stamp, left_rgb, depth_m, camera, T_cam_grid, right)
            stage_s["ground"] = time.monotonic() - start_s
        with_confidence = self._outputs.wants_confidence(parameters)
        result = self._pipeline.label(left_rgb, depth_m, camera, place.T_cam_grid, with_confidence)
        return replace(result, stage_s=stage_s | result.stage_s), place

    def _check_images(self, pair: StereoMessages, images: list[NDArray]) -> None:
        left_rgb, partner = images
        right_rgb = None if pair.calibration.rig is None else partner
        thresholds = self._parameters().thresholds
        self.health.add_images(left_rgb, right_rgb, stamp_to_ns(pair.left.header.stamp) / 1e9, thresholds)
        self._drop_faulty(self.health.image_readings(thresholds))

    def _check_depth(self, pair: StereoMessages, depth_m: NDArray, T_cam_grid: NDArray) -> None:
        parameters, camera = self._parameters(), pair.calibration.left
        thresholds = parameters.thresholds
        self.health.add_depth(depth_m, camera, T_cam_grid, thresholds)
        if (odometry := self._odometry) is not None:
            header = pair.left.header
            frames = parameters.odometry_frame, parameters.camera_frame or bare_frame(header.frame_id)
            self.health.add_motion(
                depth_m,
                camera,
                stamp_to_ns(header.stamp),
                lambda stamp_ns: odometry.lookup_at(*frames, stamp_ns),
                thresholds,
            )
        self._drop_faulty(self.health.depth_readings(thresholds))

    def _drop_faulty(self, readings: list[Reading]) -> None:
        if self._parameters().drop_faulty and (found := faults(readings)):
            raise PairDropped(found[0].cause, found[0].fault)

    def _decode(self, pair: StereoMessages) -> list[NDArray]:
        """Left image, and right image or depth, rectified if asked for."""
        left_rgb = self._decode_image(pair, 0, pair.left)
        if pair.calibration.rig is not None:
            return to_uint8([left_rgb, self._decode_image(pair, 1, pair.partner)])
        try:
            depth_m = depth_from_message(pair.partner)
        except ValueError as error:
            raise PairDropped("bad_depth", str(error)) from error
        _check_size("depth", depth_m, pair)
        return [*to_uint8([left_rgb]), depth_m]

    def _decode_image(self, pair: StereoMessages, index: int, message: Picture) -> NDArray:
        try:
            image = image_to_rgb(message)
        except ValueError as error:
            raise PairDropped("bad_image", f"{SIDES[index]} image: {error}") from error
        _check_size(f"{SIDES[index]} image", image, pair)
        return pair.calibration.rectifiers[index](image) if pair.calibration.rectifiers else image

    def _check_age(self, pair: StereoMessages) -> None:
        """Drop a pair that is too old, by its time in this node and by its stamp, or that comes after the end.

        A bag replayed without /clock carries stamps of another day: there the time in this node alone counts.
        """
        if self._is_cancelled:
            raise PairDropped("deactivated", "")
        in_node_s = time.monotonic() - pair.arrival_s
        self.stamp_age_s = (self._node.get_clock().now().nanoseconds - stamp_to_ns(pair.left.header.stamp)) / 1e9
        age_s = max(in_node_s, self.stamp_age_s) if self.stamp_age_s < _REPLAY_OFFSET_S else in_node_s
        max_age_s = self._parameters().max_age_s
        if age_s > max_age_s:
            raise PairDropped("too_old", f"a pair of {age_s:.2f} s exceeds max_age_s = {max_age_s:.2f}")


def _check_size(name: str, image: NDArray, pair: StereoMessages) -> None:
    camera = pair.calibration.left
    if image.shape[:2] != (camera.height, camera.width):
        raise PairDropped(
            "size_mismatch",
            f"the {name} is {image.shape[1]}x{image.shape[0]}, its CameraInfo says {camera.width}x{camera.height} "
            f"({pair.calibration.description}): publish the CameraInfo of this resolution",
        )
