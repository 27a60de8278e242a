"""The ground under a robot over time: a Kalman filter of its height and slopes.

A robot nods by degrees within a frame's time, and one frame tells its slope to some tenths of a degree: no model of
nodding lets a filter average over frames without lagging behind. The camera's own motion does: it carries the ground
from frame to frame, and what is left to be filtered is a street, which changes slowly.
"""

import math

import numpy as np
from numpy.typing import NDArray

from scanssc_core.geometry import LIDAR_HEIGHT_M, invert_transform
from scanssc_core.ground.measured_ground import GroundPlane

MEASURED, HELD, LOST = "measured", "held", "lost"

#: How a robot nods, rolls and heaves about the pose that it has at rest: standard deviation of both slopes and of the
#: height (metres), and how long, in seconds, a deviation lasts.
_SPREAD = np.array([math.tan(math.radians(5.0)), math.tan(math.radians(5.0)), 0.2])
_LASTS_S = np.array([1.0, 1.0, 10.0])
#: What a frame's measured motion is off.
_MOTION_ERROR = np.array([math.tan(math.radians(0.03)), math.tan(math.radians(0.03)), 0.005])
#: How much the plane of the next 15 m changes along a metre of the way; with the square root of the way.
_STREET_CHANGE = np.array([math.tan(math.radians(0.15)), math.tan(math.radians(0.15)), 0.01])
#: What every measurement may be off beside what its fit says, for many frames alike: kerbs, feet of what stands there.
_UNTOLD = np.array([math.tan(math.radians(0.3)), math.tan(math.radians(0.3)), 0.02])
#: A measurement that is further from the ground that is held, in standard deviations, moves it no more than one that is
#: just so far.
_DOUBT = 1.75
#: What a ground does at once, at most: a kerb, the foot of a ramp. What is more than _GATE times further off is of
#: something else.
_SUDDEN, _GATE = np.array([math.tan(math.radians(2.0)), math.tan(math.radians(2.0)), 0.03]), 4.0
#: Without a measurement for longer the ground is lost.
_HELD_S = 2.0
#: The ground that was given stays until the filtered one lies further from it, this far ahead and to the side: what is
#: computed once for each pose of a camera, a fifth of a frame's time, is then kept.
_STEADY_M, _STEADY_WITHIN_M = 0.02, np.array([15.0, 6.0, 1.0])


class GroundFilter:
    """Where the ground lies in the grid frame, frame by frame.

    With a known motion the ground lies where it lay, seen from where the robot now is, and a measurement moves it by as
    much as the filter's gain: little, where many came before. Without, or once it is lost, each of the two slopes and
    the height is a deviation from the ground of the robot's pose, z = -LIDAR_HEIGHT_M, that wanes over time (an
    Ornstein-Uhlenbeck process): a measurement is followed at once, however the robot nods; between measurements the
    ground goes back, gently, to where the pose has it.

    Attributes:
        state: MEASURED by this frame, HELD for a moment without a measurement, or LOST.
    """

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._deviation, self._covariance = np.zeros(3), np.diag(_SPREAD**2)
        self._given = np.zeros(3)
        self._stamp_ns: int | None = None
        self._measured_ns: int | None = None
        self.state = LOST

    def update(self, stamp_ns: int, measured: GroundPlane | None, T_now_last: NDArray | None = None) -> NDArray:
        """Take a frame.

        Args:
            stamp_ns: of the frame; one before the last frame's begins anew.
            measured: None: the frame shows no ground.
            T_now_last: (4, 4) the grid frame at the last frame -> at this one; None: not known.
        Returns:
            (3,) a, b, c of the ground z = a x + b y + c in the grid frame.
        """
        if self._stamp_ns is not None and stamp_ns < self._stamp_ns:
            self._begin()  # LOST: a motion across the jump is not looked at
        passed_s = 0.0 if self._stamp_ns is None else (stamp_ns - self._stamp_ns) / 1e9
        self._stamp_ns = stamp_ns
        if T_now_last is not None and self.state != LOST:
            self._carry(T_now_last)
        else:
            self._wane(passed_s)
        if measured is not None and self._take(measured):
            self._measured_ns, self.state = stamp_ns, MEASURED
        elif self._measured_ns is not None and stamp_ns - self._measured_ns <= _HELD_S * 1e9:
            self.state = HELD
        else:
            self.state = LOST
        if np.abs(self._deviation - self._given) @ _STEADY_WITHIN_M > _STEADY_M:
            self._given = self._deviation
        return self._given - (0.0, 0.0, LIDAR_HEIGHT_M)

    def _carry(self, T_now_last: NDArray) -> None:
        """Look at the ground from where the robot now is."""
        at_rest = np.array([0.0, 0.0, -LIDAR_HEIGHT_M])
        plane, jacobian = carried_plane(self._deviation + at_rest, T_now_last)
        self._deviation = plane - at_rest
        way_m = np.linalg.norm(T_now_last[:3, 3])
        self._covariance = jacobian @ self._covariance @ jacobian.T
        self._covariance += np.diag(_MOTION_ERROR**2 + _STREET_CHANGE**2 * way_m)

    def _wane(self, passed_s: float) -> None:
        """Let the ground go back to where the pose has it."""
        kept = np.exp(-passed_s / _LASTS_S)
        self._deviation = kept * self._deviation
        self._covariance = self._covariance * np.outer(kept, kept) + np.diag(_SPREAD**2 * (1 - kept**2))

    def _take(self, measured: GroundPlane) -> bool:
        """Correct by a measurement; False if it cannot be of this ground."""
        innovation = measured.values + (0.0, 0.0, LIDAR_HEIGHT_M) - self._deviation
        noise = measured.covariance + np.diag(_UNTOLD**2)
        total = self._covariance + noise
        if innovation @ np.linalg.solve(total + np.diag(_SUDDEN**2), innovation) > _GATE**2:
            return False
        distance = math.sqrt(innovation @ np.linalg.solve(total, innovation))
        trust = 1.0 if self.state == LOST else min(1.0, _DOUBT / max(distance, 1e-9))
        gain = np.linalg.solve(total, self._covariance).T
        self._deviation = self._deviation + trust * gain @ innovation
        self._covariance = self._covariance - trust * (2 - trust) * gain @ self._covariance
        return True


def carried_plane(plane: NDArray, T_now_last: NDArray) -> tuple[NDArray, NDArray]:
    """A plane that stands still, seen from a grid frame that moved, and how it depends on the plane that was.

    Args:
        plane: (3,) a, b, c of z = a x + b y + c in the last grid frame.
        T_now_last: (4, 4) the last grid frame -> that of now.
    Returns:
        (3,) a, b, c in the grid frame of now, and its (3, 3) derivative by `plane`.
    """
    a, b, c = plane
    T_last_now = invert_transform(T_now_last)
    # Of all points of the plane (-a, -b, 1, -c) @ (x, y, z, 1) = 0.
    normal = np.array([-a, -b, 1.0, -c]) @ T_last_now
    carried = -normal[[0, 1, 3]] / normal[2]
    by_plane = T_last_now[[0, 1, 3]]
    return carried, (by_plane[:, [0, 1, 3]] + np.outer(by_plane[:, 2], carried)).T / normal[2]


def T_grid_level(plane: NDArray) -> NDArray:
    """(4, 4) a grid frame that stands on this ground -> the grid frame.

    Its z axis is the plane's normal, its x axis points where the grid frame's does, and the plane lies LIDAR_HEIGHT_M
    below its origin, which stands over the plane where the grid frame's origin is.

    Args:
        plane: (3,) a, b, c of z = a x + b y + c in the grid frame.
    """
    a, b, c = plane
    up = np.array([-a, -b, 1.0]) / np.linalg.norm([a, b, 1.0])
    ahead = np.array([1.0, 0.0, a]) / np.hypot(1.0, a)
    T = np.eye(4)
    T[:3, :3] = np.stack([ahead, np.cross(up, ahead), up], axis=1)
    T[:3, 3] = np.array([0.0, 0.0, c]) + LIDAR_HEIGHT_M * up
    return T
