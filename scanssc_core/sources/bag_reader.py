"""A bag as a StereoSequence, for offline commands: the same pairs that the node would see."""

import logging
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from scanssc_core.sources.bag import deserialize, open_bag, read_messages
from scanssc_core.sources.bag_calibration import BagCalibration, BagOptions
from scanssc_core.sources.images import decode_compressed_image, decode_image, to_uint8
from scanssc_core.sources.pairing import DEFAULT_DEPTH, LEFT, RIGHT, StereoSync
from scanssc_core.sources.sequence import StereoFrame
from scanssc_core.sources.stereo_topics import find_stereo_topics

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Picture:
    """An image message of LEFT or RIGHT and where it was."""

    side: int
    topic: str
    stamp_ns: int
    recorded_ns: int
    message: Any

    def __str__(self) -> str:
        seconds, nanoseconds = divmod(self.stamp_ns, 1_000_000_000)
        return f"{self.topic} at {seconds}.{nanoseconds:09d}"

    def decode(self) -> NDArray:
        """(H, W, 3) RGB of 8 or 16 bits.

        Raises:
            ValueError: naming topic and stamp, if it cannot be decoded.
        """
        message = self.message
        try:
            if hasattr(message, "format"):
                return decode_compressed_image(message.data, message.format)
            layout = (message.encoding, message.height, message.width, message.step, bool(message.is_bigendian))
            return decode_image(message.data, *layout)
        except ValueError as error:
            raise ValueError(f"{self}: {error}") from error


@dataclass
class _Tally:
    """What was met in a bag.

    Attributes:
        stamps_ns: of the LEFT and the RIGHT images.
        widest_ns: largest difference of the stamps of a pair.
        broken: why pairs could not be decoded.
    """

    stamps_ns: tuple[list[int], list[int]] = field(default_factory=lambda: ([], []))
    widest_ns: int = 0
    broken: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        return f"{len(self.stamps_ns[LEFT])} left and {len(self.stamps_ns[RIGHT])} right images"

    @property
    def interval_ns(self) -> float:
        """Median time between images of a side; the shorter one of both sides."""
        intervals = [np.diff(np.sort(stamps_ns)) for stamps_ns in self.stamps_ns]
        return min((float(np.median(its)) for its in intervals if its.size), default=np.inf)


class BagSequence:
    """The stereo pairs of a bag: images whose stamps are near each other, as the node pairs them.

    Pairs that cannot be decoded are left out, with a warning that names topic and stamp.

    Args:
        path: see open_bag.
        options: what the bag does not say by itself.

    Attributes:
        topics: the stereo pair.

    Raises:
        ValueError: naming the bag, if it cannot be read or its stereo pair is not clear.
    """

    def __init__(self, path: Path, options: BagOptions | None = None) -> None:
        self._path = path
        self._options = options or BagOptions()
        with open_bag(path) as reader:
            try:
                self.topics = find_stereo_topics(reader, self._options)
            except (ValueError, AttributeError, TypeError) as error:  # the latter: see __iter__
                raise ValueError(f"{path}: {error}") from error
            images = (self.topics.left_image, self.topics.right_image)
            self._num_images = min(reader.topics[topic].msgcount for topic in images)

    def __len__(self) -> int:
        """Frames at most: the images of the side that has fewer."""
        return self._num_images

    def __iter__(self) -> Iterator[StereoFrame]:
        """Frames in the order of the bag.

        Raises:
            ValueError: naming the bag, if it is damaged or gives no frame, if calibration is missing, wrong or of
                another size than the images, or if the pose of the camera is not known.
        """
        try:
            yield from self._read()
        except (AttributeError, TypeError) as error:  # bags bring the definitions of their types
            raise ValueError(f"{self._path}: a message has not the fields of its type: {error}") from error

    def _read(self) -> Iterator[StereoFrame]:
        sides = {self.topics.left_image: LEFT, self.topics.right_image: RIGHT}
        wanted = {*sides, self.topics.left_info, self.topics.right_info}
        pairs: deque[tuple[_Picture, _Picture]] = deque()  # those that wait for their CameraInfo
        sync = StereoSync(lambda left, right: pairs.append((left, right)), round(self._options.tolerance * 1e9))
        tally = _Tally()
        with open_bag(self._path) as reader:
            calibration = BagCalibration(self._path, reader, self.topics, self._options)
            for connection, recorded_ns, raw in read_messages(
                reader, [c for c in reader.connections if c.topic in wanted]
            ):
                try:
                    message = deserialize(reader, connection, raw)
                except ValueError as error:
                    _logger.warning("%s; it is left out", error)
                    continue
                if connection.topic in sides:
                    side, stamp = sides[connection.topic], message.header.stamp
                    stamp_ns = stamp.sec * 1_000_000_000 + stamp.nanosec
                    if not stamp_ns:
                        text = "stamps of zero, by which no pair can be told"
                        raise ValueError(f"{self._path}: {connection.topic}: {text}")
                    tally.stamps_ns[side].append(stamp_ns)
                    sync.add(side, stamp_ns, _Picture(side, connection.topic, stamp_ns, recorded_ns, message))
                else:
                    calibration.update(connection.topic, message)
                while pairs and calibration.is_known(_stamps_ns(pairs[0]), recorded_ns - _recorded_ns(pairs[0])):
                    yield from self._frames(pairs.popleft(), calibration, tally)
            while pairs:
                yield from self._frames(pairs.popleft(), calibration, tally)
        self._check_pairs(sync, tally)

    def _frames(
        self, pair: tuple[_Picture, _Picture], calibration: BagCalibration, tally: _Tally
    ) -> Iterator[StereoFrame]:
        """The frame of a pair; none if an image cannot be decoded."""
        tally.widest_ns = max(tally.widest_ns, abs(pair[LEFT].stamp_ns - pair[RIGHT].stamp_ns))
        try:
            images = [picture.decode() for picture in pair]
        except ValueError as error:
            tally.broken.append(str(error))
            _logger.warning("%s: %s; the pair is left out", self._path, error)
            return
        yield self._frame(pair, images, calibration)

    def _frame(
        self, pair: tuple[_Picture, _Picture], images: Iterable[NDArray], calibration: BagCalibration
    ) -> StereoFrame:
        rectified = []
        for picture, image in zip(pair, images, strict=True):
            try:
                rectified.append(calibration.rectified(picture.side, picture.stamp_ns, image))
            except ValueError as error:
                raise ValueError(f"{self._path}: {picture}: {error}") from error
        left_rgb, right_rgb = to_uint8(rectified)
        left_frame, right_frame = (picture.message.header.frame_id for picture in pair)
        rig, T_cam_grid = calibration.rig(_stamps_ns(pair)), calibration.T_cam_grid(left_frame)
        calibration.check_baseline((left_frame, right_frame), _stamps_ns(pair))
        return StereoFrame(left_rgb, right_rgb, rig, T_cam_grid, pair[LEFT].stamp_ns)

    def _check_pairs(self, sync: StereoSync, tally: _Tally) -> None:
        """Refuse a bag without frames, and say what is odd about its pairs."""
        tolerance = f"{self._options.tolerance * 1e3:g} ms (--tolerance)"
        if not sync.num_matched:
            raise ValueError(f"{self._path}: no pair within {tolerance} of {tally}{_nearest(sync)}")
        if len(tally.broken) == sync.num_matched:
            broken = tally.broken
            raise ValueError(f"{self._path}: none of {len(broken)} pairs can be decoded, the first: {broken[0]}")
        if max(map(len, tally.stamps_ns)) > sync.num_matched:
            text = "%s: %d pairs within %s of %s; at most %d images of a side wait for a partner that is recorded later"
            _logger.warning(text, self._path, sync.num_matched, tolerance, tally, DEFAULT_DEPTH)
        if tally.widest_ns > tally.interval_ns / 2:
            _logger.warning(
                "%s: stamps of pairs differ by up to %g ms, images come every %g ms: some pairs are of neighbouring "
                "frames; --tolerance %g keeps them apart",
                self._path, tally.widest_ns / 1e6, tally.interval_ns / 1e6, tally.interval_ns / 2e9,
            )  # fmt: skip


def _stamps_ns(pair: tuple[_Picture, _Picture]) -> tuple[int, int]:
    return pair[LEFT].stamp_ns, pair[RIGHT].stamp_ns


def _recorded_ns(pair: tuple[_Picture, _Picture]) -> int:
    return max(picture.recorded_ns for picture in pair)


def _nearest(sync: StereoSync) -> str:
    return (
        "" if sync.nearest_miss_ns is None else f": the nearest stamps are {sync.nearest_miss_ns / 1e6:.10g} ms apart"
    )
