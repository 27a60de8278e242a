import logging
from unittest.mock import patch

import numpy as np
import pytest

from core.sources.small_bags import BASELINE_M, FX, HEIGHT, MS, START_NS, WIDTH, SmallBag, good_bag
from scanssc_core.geometry import invert_transform, make_transform
from scanssc_core.sources.bag_calibration import BagCalibration, BagOptions
from scanssc_core.sources.bag_reader import BagSequence

GREY = np.full((HEIGHT, WIDTH), 100, np.uint8)
LEFT, RIGHT = "/stereo/left/image", "/stereo/right/image"
LEFT_INFO, RIGHT_INFO = "/stereo/left/camera_info", "/stereo/right/camera_info"


def frames(bag, path, **options):
    return list(BagSequence(bag.write(path / "bag"), BagOptions(**options)))


def refusal(bag, path, **options):
    """The error, without the bag's path, which it begins with."""
    with pytest.raises(ValueError) as refused:
        frames(bag, path, **options)
    message = str(refused.value)
    assert message.startswith(f"{path / 'bag'}: ")
    return message.removeprefix(f"{path / 'bag'}: ")


def test_pairs_have_images_calibration_pose_and_the_left_stamp(tmp_path):
    found = frames(SmallBag().rig().pairs(delay_ns=MS), tmp_path)
    assert [frame.stamp_ns for frame in found] == [START_NS + index * 100 * MS for index in range(3)]
    assert found[0].rig.baseline_m == pytest.approx(BASELINE_M) and found[0].rig.left.fx == FX
    assert (found[0].left_rgb == 100).all() and found[0].left_rgb.shape == (HEIGHT, WIDTH, 3)
    np.testing.assert_allclose(found[0].T_cam_velo[:3, :3], [[0, -1, 0], [0, 0, -1], [1, 0, 0]], atol=1e-12)


def test_ros1_bag_gives_the_same_frames(tmp_path):
    [expected, *_] = BagSequence(good_bag(tmp_path / "bag"))
    bag = SmallBag(is_ros1=True).rig().pairs(num_pairs=1).write(tmp_path / "a.bag")
    [frame] = BagSequence(bag)
    assert frame.rig == expected.rig and frame.stamp_ns == expected.stamp_ns
    np.testing.assert_array_equal(frame.left_rgb, expected.left_rgb)
    np.testing.assert_array_equal(frame.T_cam_velo, expected.T_cam_velo)


def test_stamps_pair_within_the_tolerance_and_not_beyond(tmp_path):
    bag = SmallBag().rig().pairs(delay_ns=5 * MS)
    assert len(frames(bag, tmp_path / "a", tolerance=0.005)) == 3
    message = refusal(bag, tmp_path / "b", tolerance=0.004)
    assert "no pair within 4 ms (--tolerance) of 3 left and 3 right images" in message
    assert "the nearest stamps are 5 ms apart" in message


@pytest.mark.parametrize("delay_ms", [-1500, 1500])
def test_clocks_far_apart_are_told_with_their_distance_not_taken_for_jumps_of_time(tmp_path, delay_ms):
    bag = SmallBag().rig()
    for index in range(3):
        stamp_ns = START_NS + index * 2000 * MS
        bag.image(LEFT, stamp_ns)
        bag.image(RIGHT, stamp_ns + delay_ms * MS, time_ns=stamp_ns)
    assert "the nearest stamps are 500 ms apart" in refusal(bag, tmp_path)


def test_right_images_that_are_recorded_much_later_are_told(tmp_path, caplog):
    bag = SmallBag().rig()
    for index in range(15):
        bag.image(LEFT, START_NS + 100 * MS * index)
        bag.image(RIGHT, START_NS + 100 * MS * index, time_ns=START_NS + 10**10 + index)
    assert len(frames(bag, tmp_path)) == 10
    assert "of 15 left and 15 right images; at most 10 images of a side wait" in caplog.text


def test_a_distance_just_beyond_the_tolerance_is_told_with_all_its_digits(tmp_path):
    assert "the nearest stamps are 20.000001 ms apart" in refusal(
        SmallBag().rig().pairs(delay_ns=20 * MS + 1), tmp_path
    )


def test_images_without_partner_are_counted(tmp_path, caplog):
    bag = SmallBag().rig().pairs(num_pairs=2)
    bag.image(LEFT, START_NS + 300 * MS)
    assert len(frames(bag, tmp_path)) == 2
    assert "2 pairs within 20 ms (--tolerance) of 3 left and 2 right images" in caplog.text


def test_pairs_of_neighbouring_frames_are_told(tmp_path, caplog):
    bag = SmallBag().rig()
    for index in range(9):
        stamp_ns = START_NS + index * 10 * MS
        if index != 4:
            bag.image(RIGHT, stamp_ns)
        bag.image(LEFT, stamp_ns)
    frames(bag, tmp_path / "a")
    assert "differ by up to 10 ms, images come every 10 ms" in caplog.text and "--tolerance 0.005" in caplog.text
    caplog.clear()
    assert len(frames(bag, tmp_path / "b", tolerance=0.005)) == 8
    assert "keeps them apart" not in caplog.text


def test_stamps_of_zero_are_refused(tmp_path):
    bag = SmallBag().rig()
    for topic in (LEFT, RIGHT):
        bag.image(topic, stamp_ns=0, time_ns=START_NS)
    assert refusal(bag, tmp_path) == f"{LEFT}: stamps of zero, by which no pair can be told"


def test_messages_of_another_type_than_their_topic_has_are_named(tmp_path):
    bag = SmallBag()
    for topic, Tx in (
        ("/stereo/left/camera_info", 0.0),
        ("/stereo/right/camera_info", -FX * BASELINE_M),
        ("/tf_static", 0),
    ):
        bag.info(topic, Tx)
    with pytest.raises(ValueError, match=r"bag: a message has not the fields of its type: .*transforms"):
        list(BagSequence(bag.pairs().write(tmp_path / "bag")))


def test_a_good_bag_is_read_without_a_warning(tmp_path, caplog):
    assert len(list(BagSequence(good_bag(tmp_path / "bag")))) == 3
    assert not caplog.records


def test_broken_image_costs_its_pair_and_is_named_with_its_stamp(tmp_path, caplog):
    bag = SmallBag().rig()
    for index in range(3):
        stamp_ns = START_NS + 100 * MS * index
        bag.jpeg(f"{LEFT}/compressed", stamp_ns, data=b"\xff\xd8 broken" if index == 1 else None)
        bag.jpeg(f"{RIGHT}/compressed", stamp_ns)
    assert [frame.stamp_ns for frame in frames(bag, tmp_path)] == [START_NS, START_NS + 200 * MS]
    [record] = caplog.records
    assert record.levelno == logging.WARNING
    assert f"{LEFT}/compressed at 1700000000.100000000: " in record.getMessage()
    assert "not a whole image of JPEG, PNG, TIFF (9 bytes); the pair is left out" in record.getMessage()


def test_bag_of_broken_images_alone_is_an_error(tmp_path):
    bag = SmallBag().rig().pairs(encoding="mono17")
    assert "none of 3 pairs can be decoded, the first: /stereo/left/image at 1700000000.000" in refusal(bag, tmp_path)


def test_image_of_another_size_than_its_camera_info_is_refused_with_both(tmp_path):
    bag = SmallBag().rig(size=(2 * WIDTH, 2 * HEIGHT)).pairs()
    assert "/stereo/left/image at 1700000000.000000000: the image is 30x20, its CameraInfo is of 60x40" in refusal(
        bag, tmp_path
    )


def test_binned_images_get_binned_calibration(tmp_path):
    bag = SmallBag().rig(size=(2 * WIDTH, 2 * HEIGHT), binning=2).pairs()
    [frame, *_] = frames(bag, tmp_path)
    assert (frame.rig.left.fx, frame.rig.left.cx) == (FX / 2, WIDTH / 2)
    assert frame.rig.baseline_m == pytest.approx(BASELINE_M)


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"P": np.zeros((3, 4))}, f"{LEFT_INFO}: the projection matrix P is all zero"),
        ({"Tx": -BASELINE_M}, f"{LEFT_INFO} and {RIGHT_INFO}: expected a baseline of 0.01 to 2 m, got 0.008 m"),
        ({"Tx": -1000 * FX * BASELINE_M}, "got 200 m"),
        ({"Tx": FX * BASELINE_M}, "are left and right swapped"),
        ({"size": (0, 0)}, f"{LEFT_INFO}: expected width and height above zero"),
    ],
)
def test_calibration_that_cannot_be_is_refused_by_topic(tmp_path, fields, reason):
    assert reason in refusal(SmallBag().rig(**fields).pairs(), tmp_path)


def test_calibration_and_transforms_late_in_the_bag_hold_from_its_start(tmp_path):
    bag = SmallBag().pairs()
    late_ns = START_NS + 10**10
    bag.info(LEFT_INFO, stamp_ns=late_ns)
    bag.info(RIGHT_INFO, -FX * BASELINE_M, stamp_ns=late_ns)
    bag.transform("velodyne", "left_optical", time_ns=late_ns)
    assert len(frames(bag, tmp_path)) == 3


def test_calibration_that_changes_holds_from_then_on(tmp_path):
    bag = SmallBag().rig().pairs(num_pairs=2)
    bag.info(RIGHT_INFO, -2 * FX * BASELINE_M, stamp_ns=START_NS + 50 * MS)
    first, second = frames(bag, tmp_path)
    assert (first.rig.baseline_m, second.rig.baseline_m) == pytest.approx((BASELINE_M, 2 * BASELINE_M))


@pytest.mark.parametrize("info_delay_ns", [-MS, 0, 30 * MS])
def test_pair_is_read_with_the_calibration_of_its_stamp_whichever_is_recorded_first(tmp_path, info_delay_ns):
    bag = SmallBag().rig().pairs(num_pairs=4)
    baselines_m = [BASELINE_M, BASELINE_M, 2 * BASELINE_M, BASELINE_M]
    for index, baseline_m in enumerate(baselines_m):
        stamp_ns = START_NS + 100 * MS * index
        bag.info(LEFT_INFO, stamp_ns=stamp_ns, time_ns=stamp_ns + info_delay_ns)
        bag.info(RIGHT_INFO, -FX * baseline_m, stamp_ns=stamp_ns, time_ns=stamp_ns + info_delay_ns)
    assert [frame.rig.baseline_m for frame in frames(bag, tmp_path)] == pytest.approx(baselines_m)


def test_pairs_do_not_wait_for_calibration_longer_than_half_a_second(tmp_path):
    bag = SmallBag().rig().pairs(num_pairs=20)
    read = iter(BagSequence(bag.write(tmp_path / "bag")))
    with patch.object(BagCalibration, "is_known", autospec=True, side_effect=BagCalibration.is_known) as asked:
        next(read), next(read)
    assert max(call.args[2] for call in asked.call_args_list) == 600 * MS


def test_frames_that_are_not_joined_are_named_with_those_there_are(tmp_path):
    bag = SmallBag().pairs()
    bag.info(LEFT_INFO)
    bag.info(RIGHT_INFO, -FX * BASELINE_M)
    assert "/tf_static does not join" in (message := refusal(bag, tmp_path / "empty"))
    assert "'velodyne'" in message and "'left_optical'; it is empty" in message
    bag.transform("lidar_link", "left_optical")
    assert "its frames are left_optical, lidar_link; name them by --grid-frame" in refusal(bag, tmp_path / "other")
    assert len(frames(bag, tmp_path / "named", grid_frame="lidar_link")) == 3


def test_camera_frame_can_be_named(tmp_path):
    bag = SmallBag().rig().pairs(frame_id="left_body")
    assert "'left_body'" in refusal(bag, tmp_path / "a")
    assert len(frames(bag, tmp_path / "b", camera_frame="left_optical")) == 3


def test_given_pose_goes_before_transforms(tmp_path):
    T_grid_cam = make_transform((-0.5, 0.5, -0.5, 0.5), (0.5, 0.25, 0.125))
    pose = tuple(invert_transform(T_grid_cam)[:3].reshape(-1))
    [frame, *_] = frames(SmallBag().rig().pairs(), tmp_path, t_camera_grid=pose)
    np.testing.assert_allclose(frame.T_cam_velo @ T_grid_cam, np.eye(4), atol=1e-12)


def test_grid_stands_over_the_ground_of_its_frame(tmp_path):
    [frame, *_] = frames(SmallBag().rig().pairs(), tmp_path / "a")
    [on_base, *_] = frames(SmallBag().rig().pairs(), tmp_path / "b", ground_z=0.0)
    on_ground = np.array([10.0, 1.0, -1.73, 1.0])  # of the grid, at 0 in the frame
    np.testing.assert_allclose(on_base.T_cam_velo @ on_ground, frame.T_cam_velo @ [10.0, 1.0, 0.0, 1.0])
    with pytest.raises(ValueError, match="ground_z: expected metres, got nan"):
        BagOptions(ground_z=float("nan"))


def test_given_baseline_goes_before_one_that_drivers_get_wrong(tmp_path):
    for Tx in (0.0, FX * BASELINE_M, -FX * BASELINE_M / 1000):
        bag = SmallBag().rig().pairs()
        bag.info(RIGHT_INFO, Tx)
        [frame, *_] = frames(bag, tmp_path / f"{Tx}", baseline=0.075)
        assert frame.rig.baseline_m == 0.075


@pytest.mark.parametrize("tolerance", [-0.01, float("nan"), float("inf")])
def test_tolerance_that_is_none_is_refused(tolerance):
    with pytest.raises(ValueError, match="tolerance: expected seconds"):
        BagOptions(tolerance=tolerance)


def test_camera_frame_that_is_not_optical_is_refused_by_its_axis(tmp_path):
    bag = SmallBag().rig().pairs()
    bag.transform("left_optical", "left_body", rotation=(0.5, -0.5, 0.5, 0.5))
    message = refusal(bag, tmp_path, camera_frame="left_body")
    assert (
        "'left_body' (--camera-frame) in 'velodyne' (--grid-frame): the camera's z axis points +0.00 forward" in message
    )


def test_given_pose_that_is_no_rotation_is_refused(tmp_path):
    assert "--t-camera-grid: expected a rotation" in refusal(
        SmallBag().rig().pairs(), tmp_path, t_camera_grid=(0.0,) * 12
    )


def test_a_slash_before_frames_makes_no_difference(tmp_path):
    bag = SmallBag().pairs(num_pairs=1, frame_id="/left_optical")
    bag.info(LEFT_INFO)
    bag.info(RIGHT_INFO, -FX * BASELINE_M)
    bag.transform("/velodyne", "left_optical")
    assert len(frames(bag, tmp_path)) == 1


def test_transform_that_is_none_is_left_out_by_name(tmp_path, caplog):
    bag = SmallBag().rig().pairs()
    bag.transform("velodyne", "gps", rotation=(0.0, 0.0, 0.0, 0.0))
    assert len(frames(bag, tmp_path)) == 3
    assert "/tf_static: velodyne -> gps is not used" in caplog.text


def distorted_rig():
    bag = SmallBag()
    bag.rig(D=(-0.3, 0.1, 0.0, 0.0, 0.0))
    pattern = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)
    return bag, pattern


def test_distorted_images_are_warned_about_and_rectified_where_asked_for(tmp_path, caplog):
    bag, pattern = distorted_rig()
    bag.pairs(num_pairs=1, pixels=pattern)
    [taken] = frames(bag, tmp_path / "taken")
    assert f"D of {LEFT_INFO} is not zero: {LEFT} is taken to be rectified already; --rectify does it" in caplog.text
    np.testing.assert_array_equal(taken.left_rgb[..., 0], pattern)
    caplog.clear()
    [rectified] = frames(bag, tmp_path / "rectified", rectify=True)
    assert not caplog.records
    assert not np.array_equal(rectified.left_rgb, taken.left_rgb)
    np.testing.assert_array_equal(rectified.left_rgb, rectified.right_rgb)


def test_images_whose_topic_says_rectified_are_not_warned_about(tmp_path, caplog):
    bag, pattern = distorted_rig()
    bag.pairs(left="/stereo/left/image_rect", right="/stereo/right/image_rect", pixels=pattern)
    frames(bag, tmp_path)
    assert not caplog.records


def test_sixteen_bits_of_a_pair_are_scaled_alike(tmp_path):
    bag = SmallBag().rig()
    bag.image(LEFT, pixels=np.full((HEIGHT, WIDTH), 1000, np.uint16), encoding="mono16")
    bag.image(RIGHT, pixels=np.full((HEIGHT, WIDTH), 4000, np.uint16), encoding="mono16")
    [frame] = frames(bag, tmp_path)
    assert (frame.left_rgb.max(), frame.right_rgb.max()) == (62, 250)


def test_sequence_is_as_long_as_the_side_with_fewer_images(tmp_path):
    bag = SmallBag().rig().pairs(num_pairs=2)
    bag.image(LEFT, START_NS + 300 * MS)
    assert len(BagSequence(bag.write(tmp_path / "bag"))) == 2


def test_a_baseline_that_tf_contradicts_is_warned_about_once(tmp_path, caplog):
    for index, distance_m in enumerate((0.2, 0.3)):
        bag = SmallBag().rig()
        bag.transform("left_optical", "right_optical", (distance_m, 0.0, 0.0), (0.0, 0.0, 0.0, 1.0))
        for at in range(2):
            bag.image("/stereo/left/image", START_NS + 100 * MS * at)
            bag.image("/stereo/right/image", START_NS + 100 * MS * at, frame_id="/right_optical")
        list(BagSequence(bag.write(tmp_path / str(index))))
    (warning,) = caplog.messages
    assert "'left_optical' and 'right_optical' 0.3000 m apart, the calibration 0.2000 m" in warning
    assert "or set --baseline" in warning


def test_a_baseline_replaces_what_no_camera_has_without_a_word(tmp_path, caplog):
    bag = SmallBag().rig(Tx=0.0).pairs().write(tmp_path / "bag")
    assert next(iter(BagSequence(bag, BagOptions(baseline=0.3)))).rig.baseline_m == 0.3
    assert not caplog.messages
