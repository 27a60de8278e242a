"""Naive twins of the data readers, from the format descriptions."""

import numpy as np

KITTI_LEARNING_MAP = {
    **{0: 0, 1: 0, 10: 1, 11: 2, 13: 5, 15: 3, 16: 5, 18: 4, 20: 5, 30: 6, 31: 7, 32: 8, 40: 9, 44: 10, 48: 11, 49: 12},
    **{50: 13, 51: 14, 52: 0, 60: 9, 70: 15, 71: 16, 72: 17, 80: 18, 81: 19, 99: 0, 252: 1, 253: 7, 254: 6, 255: 8},
    **{256: 5, 257: 5, 258: 4, 259: 5},
}
KITTI_360_LEARNING_MAP = {
    **{0: 0, 1: 0, 10: 1, 11: 2, 13: 5, 15: 3, 16: 5, 18: 4, 20: 5, 30: 6, 31: 0, 32: 0, 40: 7, 44: 8, 48: 9, 49: 10},
    **{50: 11, 51: 12, 52: 17, 60: 7, 70: 13, 71: 0, 72: 14, 80: 15, 81: 16, 99: 18, 252: 1, 253: 0, 254: 6, 255: 0},
    **{256: 5, 257: 5, 258: 4, 259: 5},
}


def completion_label(raw_id: int, learning_map: dict[int, int]) -> int:
    """Class of a raw id: everything that the map sends to 0 is unknown, but for 0 itself."""
    class_id = learning_map.get(raw_id, 0)
    return class_id if class_id or raw_id == 0 else 255


def bit_of(packed: bytes, x: int, y: int, z: int) -> int:
    """The bit of a voxel of a 256 x 256 x 32 grid: z fastest, most significant bit first."""
    position = (x * 256 + y) * 32 + z
    return packed[position // 8] >> (7 - position % 8) & 1


def lidar_depth(points_velo, T_cam_velo, P, scale, translation, height, width):
    """Nearest depth of the points in each pixel of the network's image, point by point."""
    image = np.zeros((height, width), np.float32)
    for point in points_velo:
        u_depth, v_depth, depth_m = P @ T_cam_velo @ np.append(point, 1.0)
        if depth_m <= 0:
            continue
        u, v = scale * u_depth / depth_m + translation[0], scale * v_depth / depth_m + translation[1]
        if 0 <= u <= width - 1 and 0 <= v <= height - 1:
            row, column = round(v), round(u)
            if image[row, column] == 0 or depth_m < image[row, column]:
                image[row, column] = depth_m
    return image
