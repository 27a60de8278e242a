"""Messages to core types and back: free functions, no node."""

import array
from collections.abc import Sequence
from importlib.util import find_spec

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Pose, Transform
from numpy.typing import NDArray
from sensor_msgs.msg import CompressedImage, Image, PointCloud2, PointField
from std_msgs.msg import Header
from stereo_msgs.msg import DisparityImage

from scanssc_core.geometry import VoxelGridSpec, make_transform, matrix_to_quaternion
from scanssc_core.occupancy.interface import Occupancy
from scanssc_core.sources.depth_images import decode_depth, decode_disparity
from scanssc_core.sources.images import ENCODINGS, decode_compressed_image, decode_image, is_depth
from scanssc_ros.msg import VoxelGrid

_POINT_FIELD_TYPES = {"<f4": PointField.FLOAT32, "|u1": PointField.UINT8}
_HAS_CV_BRIDGE = find_spec("cv_bridge") is not None


def stamp_to_ns(stamp: Time) -> int:
    """Nanoseconds of a stamp."""
    return int(stamp.sec) * 1_000_000_000 + int(stamp.nanosec)


def image_to_rgb(message: Image | CompressedImage) -> NDArray:
    """(H, W, 3) RGB of an image message, uint8 or, of 16-bit encodings, uint16 (see sources.images.to_uint8).

    Raises:
        ValueError: if it cannot be decoded; says why.
    """
    if isinstance(message, CompressedImage):
        return decode_compressed_image(message.data, message.format)
    if message.encoding not in ENCODINGS and not is_depth(message.encoding) and _HAS_CV_BRIDGE:
        return _image_to_rgb_by_cv_bridge(message)
    return decode_image(
        message.data, message.encoding, message.height, message.width, message.step, bool(message.is_bigendian)
    )


def _image_to_rgb_by_cv_bridge(message: Image) -> NDArray:
    from cv_bridge import CvBridge, CvBridgeError

    try:
        return np.ascontiguousarray(CvBridge().imgmsg_to_cv2(message, "rgb8"))
    except CvBridgeError as error:
        raise ValueError(f"encoding {message.encoding!r}: {error}") from error


def depth_from_message(message: Image | DisparityImage) -> NDArray:
    """(H, W) float32 metres, 0 = none, of a depth image (16UC1 millimetres, 32FC1 metres) or a disparity image.

    Raises:
        ValueError: if it cannot be decoded; says why.
    """
    image = message.image if isinstance(message, DisparityImage) else message
    layout = (image.data, image.encoding, image.height, image.width, image.step, bool(image.is_bigendian))
    if not isinstance(message, DisparityImage):
        return decode_depth(*layout)
    disparity_px = decode_disparity(*layout)
    # Its disparities are free of the difference of the principal points, and out of range where there is no match.
    focal_times_baseline = message.f * message.t
    if not (np.isfinite(focal_times_baseline) and focal_times_baseline > 0):
        raise ValueError(f"expected f and t of the disparity image above zero, got f = {message.f}, t = {message.t}")
    is_measured = np.isfinite(disparity_px) & (disparity_px > 0)
    if message.min_disparity < message.max_disparity:
        is_measured &= (disparity_px >= message.min_disparity) & (disparity_px <= message.max_disparity)
    depth_m = np.zeros(disparity_px.shape, np.float32)
    np.divide(focal_times_baseline, disparity_px, out=depth_m, where=is_measured, casting="same_kind")
    return depth_m


def uint8_array(values: NDArray) -> array.array:
    """The form in which a uint8[] field takes a NumPy array fast: one copy, no test of each element."""
    return _array("B", np.ascontiguousarray(values, np.uint8))


def int8_array(values: NDArray) -> array.array:
    """The same for an int8[] field."""
    return _array("b", np.ascontiguousarray(values, np.int8))


def _array(typecode: str, values: NDArray) -> array.array:
    filled = array.array(typecode)
    filled.frombytes(values.reshape(-1).data.cast("B"))
    return filled


def cloud_message(points: NDArray, header: Header) -> PointCloud2:
    """Point cloud of a (N,) structured array of float32 and uint8 fields; void fields are padding."""
    cloud = PointCloud2(header=header, height=1, width=len(points), is_bigendian=False, is_dense=True)
    cloud.fields = [
        PointField(name=name, offset=offset, datatype=_POINT_FIELD_TYPES[dtype.str], count=1)
        for name, (dtype, offset, *_) in (points.dtype.fields or {}).items()
        if dtype.kind != "V"
    ]
    cloud.point_step = points.dtype.itemsize
    cloud.row_step = cloud.point_step * len(points)
    cloud.data = uint8_array(points.view(np.uint8))
    return cloud


def depth_to_image(depth_m: NDArray, header: Header) -> Image:
    """32FC1 image message of a (H, W) depth in metres; no measurement is NaN, as REP 118 has it."""
    height, width = depth_m.shape
    values = np.where(depth_m > 0, depth_m, np.nan).astype("<f4")
    message = Image(header=header, height=height, width=width, encoding="32FC1", is_bigendian=0, step=4 * width)
    message.data = uint8_array(values.view(np.uint8))
    return message


def occupancy_to_message(
    occupancy: Occupancy, grid: VoxelGridSpec, class_names: Sequence[str], header: Header, with_confidence: bool
) -> VoxelGrid:
    """VoxelGrid message of a labelled grid whose frame is header.frame_id."""
    size_x, size_y, size_z = grid.shape
    message = VoxelGrid(header=header, size_x=size_x, size_y=size_y, size_z=size_z, class_names=list(class_names))
    message.resolution_m = float(grid.voxel_size_m)
    message.origin = Pose()
    message.origin.position.x, message.origin.position.y, message.origin.position.z = map(float, grid.origin_m)
    message.data = uint8_array(occupancy.labels)
    if with_confidence and occupancy.confidence is not None:
        message.confidence = uint8_array(occupancy.confidence)
    return message


def transform_to_matrix(transform: Transform) -> NDArray:
    """(4, 4) T_parent_child of a geometry_msgs/Transform.

    Raises:
        ValueError: if the quaternion has no length.
    """
    rotation, translation = transform.rotation, transform.translation
    return make_transform(
        (rotation.x, rotation.y, rotation.z, rotation.w), (translation.x, translation.y, translation.z)
    )


def matrix_to_transform(T_parent_child: NDArray) -> Transform:
    """geometry_msgs/Transform of a (4, 4) matrix."""
    transform = Transform()
    rotation, translation = transform.rotation, transform.translation
    rotation.x, rotation.y, rotation.z, rotation.w = matrix_to_quaternion(T_parent_child[:3, :3]).tolist()
    translation.x, translation.y, translation.z = T_parent_child[:3, 3].tolist()
    return transform


def pose_to_matrix(pose: Pose) -> NDArray:
    """(4, 4) T_frame_pose of a geometry_msgs/Pose.

    Raises:
        ValueError: if the quaternion has no length.
    """
    rotation, position = pose.orientation, pose.position
    return make_transform((rotation.x, rotation.y, rotation.z, rotation.w), (position.x, position.y, position.z))
