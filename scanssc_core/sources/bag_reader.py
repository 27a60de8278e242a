"""A bag as a StereoSequence, for offline commands: the same pairs that the node would see."""

import logging
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from scanssc_core.sources.bag import deserialize, open_bag, read_messages
from scanssc_core.sources.bag_calibration import BagCalibration, BagOptions
from scanssc_core.sources.images import decode_compressed_image, decode_image, to_uint8
from scanssc_core.sources.pairing import LEFT, RIGHT, StereoSync
from scanssc_core.sources.sequence import StereoFrame
from scanssc_core.sources.stereo_topics import find_stereo_topics

_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Picture:
    """An image message of LEFT or RIGHT and where it was."""

    side: int
    topic: str
    stamp_ns: int
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
                self.topics = find_stereo_topics(reader, self._options.topics)
            except ValueError as error:
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
        sides = {self.topics.left_image: LEFT, self.topics.right_image: RIGHT}
        wanted = {*sides, self.topics.left_info, self.topics.right_info}
        pairs: list[tuple[_Picture, _Picture]] = []
        sync = StereoSync(lambda left, right: pairs.append((left, right)), round(self._options.tolerance_s * 1e9))
        num_images, broken = Counter[int](), list[str]()
        with open_bag(self._path) as reader:
            calibration = BagCalibration(self._path, reader, self.topics, self._options)
            for connection, _, raw in read_messages(reader, [c for c in reader.connections if c.topic in wanted]):
                try:
                    message = deserialize(reader, connection, raw)
                except ValueError as error:
                    _logger.warning("%s: %s; it is left out", self._path, error)
                    continue
                if connection.topic not in sides:
                    calibration.update(connection.topic, message)
                    continue
                side, stamp = sides[connection.topic], message.header.stamp
                stamp_ns = stamp.sec * 1_000_000_000 + stamp.nanosec
                if not stamp_ns:
                    raise ValueError(f"{self._path}: {connection.topic}: stamps of zero, by which no pair can be told")
                num_images[side] += 1
                sync.add(side, stamp_ns, _Picture(side, connection.topic, stamp_ns, message))
                for pair in pairs:
                    try:
                        images = [picture.decode() for picture in pair]
                    except ValueError as error:
                        broken.append(str(error))
                        _logger.warning("%s: %s; the pair is left out", self._path, error)
                        continue
                    yield self._frame(pair, images, calibration)
                pairs.clear()
        self._check_pairs(sync, num_images, broken)

    def _frame(self, pair: Iterable[_Picture], images: Iterable[NDArray], calibration: BagCalibration) -> StereoFrame:
        rectified = []
        for picture, image in zip(pair, images, strict=True):
            try:
                rectified.append(calibration.rectified(picture.side, image))
            except ValueError as error:
                raise ValueError(f"{self._path}: {picture}: {error}") from error
        left_rgb, right_rgb = to_uint8(rectified)
        left, _ = pair
        T_cam_grid = calibration.T_cam_grid(left.message.header.frame_id)
        return StereoFrame(left_rgb, right_rgb, calibration.rig, T_cam_grid, left.stamp_ns)

    def _check_pairs(self, sync: StereoSync, num_images: Counter[int], broken: list[str]) -> None:
        """Refuse a bag without frames, and say how many images had no partner."""
        images = f"{num_images[LEFT]} left and {num_images[RIGHT]} right images"
        tolerance = f"{self._options.tolerance_s * 1e3:g} ms (--tolerance)"
        if not sync.num_matched:
            raise ValueError(f"{self._path}: no pair within {tolerance} of {images}{_nearest(sync)}")
        if len(broken) == sync.num_matched:
            raise ValueError(f"{self._path}: none of {len(broken)} pairs can be decoded, the first: {broken[0]}")
        if max(num_images.values()) > sync.num_matched:
            _logger.warning("%s: %d pairs within %s of %s", self._path, sync.num_matched, tolerance, images)


def _nearest(sync: StereoSync) -> str:
    return "" if sync.nearest_miss_ns is None else f": the nearest stamps are {sync.nearest_miss_ns / 1e6:g} ms apart"
