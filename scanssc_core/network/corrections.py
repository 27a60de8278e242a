"""Slips of the published code, each with a switch for what was meant. What is kept without a switch: docs/model.md."""

from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Corrections:
    """All False is the published behaviour, which the published weights need.

    Attributes:
        consistent_bins: depth bin k is [first + k step, first + (k + 1) step) everywhere. Published: the lift places
            its features at the start of that interval, the stereo one-hot counts depths half a bin beyond it; only the
            cross-attention looks at its middle.
        consistent_pixels: feature pixel j is the middle of its cell of the image, (j + 1/2) stride - 1/2, everywhere.
            Published: j (W - 1) / (W' - 1) in the lift, (j + 1/2) stride in the cross-attention.
        floor_index: the lift rounds voxel indices down. Published: toward zero, which draws in what lies up to one
            voxel below the grid's lower bounds.
        drop_zero_depth: pixels without depth propose no voxel. Published: the voxel that the camera is in.
        visible_when_near: a voxel is visible where it lies in front of the camera. Published: beyond the first depth
            bin, because the test looks at the normalised depth.
        axis_positions: the depth scan is told where on its line a voxel lies. Published: only which line it is.
        nearest_depth: depth maps are resized to the nearest pixel. Published: bicubic, which blends over edges.
        rounded_size: the resized image has the nearest whole size. Published: truncated, 1241 pixels become 1279.
        half_pixel: the camera follows the resize filter, whose pixel centres lie half a pixel in. Published: left out.
        horizon_rows: of an image that is higher than the network's the rows around the horizon are taken. Published:
            those at the bottom, where a camera that sees more up and down than KITTI's shows nothing but near ground.
    """

    consistent_bins: bool = False
    consistent_pixels: bool = False
    floor_index: bool = False
    drop_zero_depth: bool = False
    visible_when_near: bool = False
    axis_positions: bool = False
    nearest_depth: bool = False
    rounded_size: bool = False
    half_pixel: bool = False
    horizon_rows: bool = False

    @classmethod
    def all(cls) -> "Corrections":
        """Every slip corrected."""
        return cls(**{entry.name: True for entry in fields(cls)})
