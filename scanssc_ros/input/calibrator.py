"""CameraInfo messages of the cameras in use to the calibration that holds for a pair of images."""

from collections.abc import Mapping, Sequence

from sensor_msgs.msg import CameraInfo

from scanssc_ros.input.calibration import Calibration, CalibrationError, is_same_calibration, make_calibration
from scanssc_ros.input.camera_info_history import CameraInfoHistory

_NUM_KNOWN = 2  # while a calibration changes, pairs of the old and of the new one come


class Calibrator:
    """Gives the calibration of each pair.

    Args:
        sides: of the cameras in use: left, or left and right.
        is_to_rectify: build rectifiers too.
        depth: CameraInfo messages of a camera that are kept.
        baseline_m: of the pair, whatever CameraInfo says.

    Attributes:
        histories: of each camera, by side.
        newest: what the newest messages say, or what is wrong with them; None before all cameras have sent one.
    """

    def __init__(self, sides: Sequence[str], is_to_rectify: bool, depth: int, baseline_m: float | None = None) -> None:
        self._is_to_rectify, self._baseline_m = is_to_rectify, baseline_m
        self._known: list[tuple[Mapping[str, CameraInfo], Calibration | CalibrationError]] = []
        self.histories = {side: CameraInfoHistory(depth) for side in sides}
        self.newest: Calibration | CalibrationError | None = None

    def add(self, side: str, info: CameraInfo) -> bool:
        """Take a message of a camera; returns whether it says something new."""
        known = self.histories[side].newest
        self.histories[side].add(info)
        if known is not None and is_same_calibration(known, info):
            return False
        self.newest = self._calibration_of({side: history.newest for side, history in self.histories.items()})
        return True

    def at(self, stamps_ns: Mapping[str, int]) -> Calibration | CalibrationError | None:
        """The calibration of images, or what is wrong with it; None while their CameraInfo have yet to come.

        Args:
            stamps_ns: of the image of each camera.
        Raises:
            LookupError: if a CameraInfo was lost while the calibration changed.
        """
        return self._calibration_of({side: self.histories[side].at(stamp_ns) for side, stamp_ns in stamps_ns.items()})

    def stop_waiting(self, stamps_ns: Mapping[str, int]) -> None:
        """The CameraInfo of these images does not come: the newest ones hold, until one comes with its image again."""
        for side, stamp_ns in stamps_ns.items():
            history = self.histories[side]
            if history.newest is not None and history.at(stamp_ns) is None:
                history.is_static = True

    def forget_stamps(self) -> None:
        """Forget which stamps CameraInfo had: time has jumped."""
        for history in self.histories.values():
            history.forget_stamps()

    def _calibration_of(self, found: Mapping[str, CameraInfo | None]) -> Calibration | CalibrationError | None:
        infos = {side: info for side, info in found.items() if info is not None}
        if len(infos) < len(found):
            return None
        outcome: Calibration | CalibrationError
        for known, outcome in self._known:
            if all(is_same_calibration(known[side], info) for side, info in infos.items()):
                return outcome
        try:
            outcome = make_calibration(infos, self._is_to_rectify, self._baseline_m)
        except CalibrationError as error:
            outcome = error
        except Exception as error:  # numbers so absurd that arithmetic, OpenCV or the memory gives up
            outcome = CalibrationError(infos, f"{type(error).__name__}: {error}")
        self._known = [(infos, outcome), *self._known][:_NUM_KNOWN]
        return outcome
