"""Which CameraInfo belongs to an image.

Drivers stamp a CameraInfo as the image it comes with, but nothing says which of the two is received first: an image
waits for its own, so that a calibration that has changed is not used for one image more. Some drivers send a CameraInfo
once, or at a rate of its own: then the newest one holds.
"""

from sensor_msgs.msg import CameraInfo

from scanssc_core.sources.pairing import TIME_JUMP_NS
from scanssc_ros.conversions import stamp_to_ns
from scanssc_ros.input.calibration import is_same_calibration

#: Stamps this close are of one frame: no camera is faster.
_SAME_STAMP_NS = 1_000_000


class CameraInfoHistory:
    """The newest CameraInfo messages of one camera, by stamp.

    Args:
        depth: messages that are kept.

    Attributes:
        newest: the one received last, None before the first.
        is_static: images are not waited for: the newest message holds. Ends with the first that comes with an image.
    """

    def __init__(self, depth: int) -> None:
        self._depth = depth
        self._infos: dict[int, CameraInfo] = {}  # stamp -> message, in the order of arrival
        self._asked_ns: int | None = None
        self.newest: CameraInfo | None = None
        self.is_static = False

    def add(self, info: CameraInfo) -> None:
        """Take a CameraInfo message."""
        stamp_ns = stamp_to_ns(info.header.stamp)
        if self._infos and stamp_ns < max(self._infos) - TIME_JUMP_NS:
            self._infos.clear()
        self._infos[stamp_ns] = self.newest = info
        if len(self._infos) > self._depth:
            del self._infos[next(iter(self._infos))]
        if self._asked_ns is not None and abs(stamp_ns - self._asked_ns) <= _SAME_STAMP_NS:
            self.is_static = False

    def at(self, stamp_ns: int) -> CameraInfo | None:
        """The message of an image; None while it has yet to come.

        Raises:
            LookupError: if it was lost while the calibration changed.
        """
        self._asked_ns = stamp_ns
        nearest_ns = min(self._infos, key=lambda info_ns: abs(info_ns - stamp_ns), default=None)
        if nearest_ns is not None and abs(nearest_ns - stamp_ns) <= _SAME_STAMP_NS:
            self.is_static = False
            return self._infos[nearest_ns]
        if self.is_static:
            return self.newest
        after_ns = min((info_ns for info_ns in self._infos if info_ns > stamp_ns), default=None)
        if after_ns is None:
            return None
        before_ns = max((info_ns for info_ns in self._infos if info_ns < stamp_ns), default=after_ns)
        if not is_same_calibration(self._infos[before_ns], self._infos[after_ns]):
            raise LookupError("the calibration changed, and the CameraInfo of this image was lost")
        return self._infos[after_ns]

    def forget_stamps(self) -> None:
        """Time has jumped: what was stamped before says nothing of what comes."""
        self._infos.clear()
