"""A bag as a StereoSequence, for offline commands: the same frames that the node would see."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from scanssc_core.geometry import StereoRig, make_transform
from scanssc_core.geometry.frame_graph import FrameGraph
from scanssc_core.sources.bag import find_stereo_topics, open_bag
from scanssc_core.sources.images import decode_compressed_image, decode_image
from scanssc_core.sources.sequence import StereoFrame


class BagSequence:
    """The stereo pairs of a bag with equal stamps on both sides.

    Args:
        path: bag folder, or a bare .mcap or .db3 file.
        grid_frame: frame_id of the LiDAR in /tf_static.

    Raises:
        ValueError: if it is no bag, or holds no stereo pair.
    """

    def __init__(self, path: Path, grid_frame: str = "velodyne") -> None:
        self._path = path
        self._grid_frame = grid_frame
        with open_bag(path) as reader:
            self.topics = find_stereo_topics(
                {connection.topic: connection.msgtype for connection in reader.connections}
            )
            self._num_frames = reader.topics[self.topics.left_image].msgcount

    def __len__(self) -> int:
        return self._num_frames

    def __iter__(self) -> Iterator[StereoFrame]:
        """Frames in the order of the bag.

        Raises:
            ValueError: if /tf_static does not join the camera to the grid frame, or calibration is missing or wrong.
        """
        frames = FrameGraph()
        images: dict[str, dict[int, Any]] = {"left": {}, "right": {}}
        infos: dict[str, Any] = {}
        topics = self.topics
        with open_bag(self._path) as reader:
            for connection, _, raw in reader.messages():
                if connection.topic == "/tf_static":
                    _add_transforms(frames, reader.deserialize(raw, connection.msgtype))
                for side, image_topic, info_topic in (
                    ("left", topics.left_image, topics.left_info),
                    ("right", topics.right_image, topics.right_info),
                ):
                    if connection.topic == info_topic:
                        infos[side] = reader.deserialize(raw, connection.msgtype)
                    elif connection.topic == image_topic:
                        message: Any = reader.deserialize(raw, connection.msgtype)
                        stamp = message.header.stamp
                        images[side][stamp.sec * 1_000_000_000 + stamp.nanosec] = message
                common = images["left"].keys() & images["right"].keys()
                if common and len(infos) == 2:
                    stamp_ns = min(common)
                    left, right = images["left"].pop(stamp_ns), images["right"].pop(stamp_ns)
                    yield self._frame(stamp_ns, left, right, infos, frames)

    def _frame(self, stamp_ns: int, left: Any, right: Any, infos: dict[str, Any], frames: FrameGraph) -> StereoFrame:
        rig = StereoRig.from_projection_matrices(
            infos["left"].p, infos["right"].p, infos["left"].width, infos["left"].height
        )
        T_cam_velo = frames.lookup(left.header.frame_id, self._grid_frame)
        if T_cam_velo is None:
            raise ValueError(
                f"{self._path}: /tf_static does not join {self._grid_frame!r} and {left.header.frame_id!r}"
            )
        return StereoFrame(_decode(left), _decode(right), rig, T_cam_velo, stamp_ns)


def _decode(message: Any) -> NDArray:
    if hasattr(message, "format"):
        return decode_compressed_image(message.data, message.format)
    return decode_image(
        message.data, message.encoding, message.height, message.width, message.step, bool(message.is_bigendian)
    )


def _add_transforms(frames: FrameGraph, message: Any) -> None:
    for stamped in message.transforms:
        rotation, translation = stamped.transform.rotation, stamped.transform.translation
        T_parent_child = make_transform(
            (rotation.x, rotation.y, rotation.z, rotation.w), (translation.x, translation.y, translation.z)
        )
        frames.add(stamped.header.frame_id, stamped.child_frame_id, T_parent_child)
