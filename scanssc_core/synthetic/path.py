"""The middle of a road on the ground: places by length along it and distance to its left."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

_STEP_M = 0.5


@dataclass(frozen=True, eq=False)
class RoadPath:
    """A smooth line sampled every half metre.

    Attributes:
        start_m: length along the road of the first sample.
        x, y: (N,) float64 world.
        heading_rad: (N,).
        curvature: (N,) per metre, positive to the left.
    """

    start_m: float
    x: NDArray
    y: NDArray
    heading_rad: NDArray
    curvature: NDArray

    @classmethod
    def from_curvature(cls, start_m: float, curvature: NDArray) -> "RoadPath":
        """The path that heads along x where its length is zero, at the world's origin."""
        s = start_m + np.arange(len(curvature)) * _STEP_M
        heading = np.concatenate([[0.0], np.cumsum(curvature[:-1]) * _STEP_M])
        heading -= np.interp(0.0, s, heading)
        x = np.concatenate([[0.0], np.cumsum(np.cos(heading[:-1])) * _STEP_M])
        y = np.concatenate([[0.0], np.cumsum(np.sin(heading[:-1])) * _STEP_M])
        return cls(start_m, x - np.interp(0.0, s, x), y - np.interp(0.0, s, y), heading, curvature)

    @property
    def s(self) -> NDArray:
        """(N,) length along the road of the samples."""
        return self.start_m + np.arange(len(self.x)) * _STEP_M

    def heading_at(self, s_m: float) -> float:
        return float(np.interp(s_m, self.s, self.heading_rad))

    def place(self, s_m: float, left_m: float) -> tuple[float, float]:
        """World x, y of a place beside the road."""
        heading = self.heading_at(s_m)
        x, y = float(np.interp(s_m, self.s, self.x)), float(np.interp(s_m, self.s, self.y))
        return x - left_m * np.sin(heading), y + left_m * np.cos(heading)

    def locate(self, x: NDArray, y: NDArray) -> tuple[NDArray, NDArray]:
        """Length along the road and distance to its left of world places, by Newton's steps from s = x."""
        samples = self.s
        s = np.clip(x, samples[0], samples[-1])
        left = np.zeros_like(s)
        for _ in range(7):
            heading = np.interp(s, samples, self.heading_rad)
            off_x, off_y = x - np.interp(s, samples, self.x), y - np.interp(s, samples, self.y)
            cos, sin = np.cos(heading), np.sin(heading)
            along, left = cos * off_x + sin * off_y, cos * off_y - sin * off_x
            bend = np.clip(1 - left * np.interp(s, samples, self.curvature), 0.35, 3)
            s = s + np.clip(along / bend, -25, 25)
        return s, left


#: Along x, 400 m behind the origin and ahead of it.
STRAIGHT_ROAD = RoadPath.from_curvature(-400.0, np.zeros(1600))
