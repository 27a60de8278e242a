import numpy as np
import pytest

from core.sources.small_bags import HEIGHT, WIDTH, SmallBag
from scanssc_core.sources.bag import open_bag
from scanssc_core.sources.stereo_topics import NamedTopics, find_stereo_topics

DEPTH = np.zeros((HEIGHT, WIDTH), np.uint16)


def find(tmp_path, *topics, named=None, depth=()):
    """The pair of a bag with one message in each topic: what is called camera_info is, all else are images."""
    bag = SmallBag()
    for topic in topics:
        if topic.endswith("camera_info"):
            bag.info(topic)
        elif topic.endswith("/compressed"):
            bag.jpeg(topic)
        else:
            bag.image(topic)
    for topic in depth:
        bag.image(topic, pixels=DEPTH, encoding="16UC1")
    with open_bag(bag.write(tmp_path / "bag")) as reader:
        return find_stereo_topics(reader, named)


def both(left):
    return left, left.replace("left", "right")


# Topic and CameraInfo, with {} for the side.
SIDES = ("left", "right")
NAMES = [
    ("/kitti/camera_color_{}/image_raw", "/kitti/camera_color_{}/camera_info", SIDES),
    ("/kitti/camera/color/{}/image_raw", "/kitti/camera/color/{}/camera_info", SIDES),
    ("/stereo/{}/image_rect/compressed", "/stereo/{}/camera_info", SIDES),
    ("/stereo/{}/image_rect/compressed", "/stereo/{}/image_rect/camera_info", SIDES),
    ("/camera/infra{}/image_rect_raw", "/camera/infra{}/camera_info", ("1", "2")),
    ("/cam{}/image_raw", "/cam{}/camera_info", ("0", "1")),
    ("/cam{}/image_raw", "/cam{}/camera_info", ("9", "10")),
    ("/kitti/image_{}/image", "/kitti/image_{}/camera_info", ("02", "03")),
    ("/robot_left/camera_{}/image", "/robot_left/camera_{}/camera_info", SIDES),
    ("/robot2/{}/image", "/robot2/{}/camera_info", SIDES),
    ("/robot_right/{}/image", "/robot_right/{}/camera_info", ("Left", "Right")),
    ("/{}/image", "/{}/camera_info", ("LEFT", "RIGHT")),
    ("/stereo/{}/image", "/stereo/{}/camera_info", ("l", "r")),
    ("/{}cam/image", "/{}cam/camera_info", SIDES),
    ("/stereo/{}_image", "/stereo/{}_camera_info", SIDES),
    ("/stereo/{}", "/stereo/{}/camera_info", SIDES),
    ("camera/{}/image_raw", "camera/{}/camera_info", SIDES),
]


@pytest.mark.parametrize(("image", "info", "sides"), NAMES)
def test_pairs_are_found_by_the_names_that_drivers_give(tmp_path, image, info, sides):
    (left, right), (left_info, right_info) = ([name.format(side) for side in sides] for name in (image, info))
    found = find(tmp_path, left, right, left_info, right_info)
    assert (found.left_image, found.right_image) == (left, right)
    assert (found.left_info, found.right_info) == (left_info, right_info)
    assert found.is_compressed == left.endswith("compressed")


INFOS = both("/stereo/left/camera_info")


@pytest.mark.parametrize(
    ("taken", "left"),
    [
        ("image_rect", "image_raw"),
        ("image_rect_color", "image_rect"),
        ("image_rect_color", "image_rect_gray"),
        ("image_rect", "image_rect/compressed"),
        ("image_rect/compressed", "image_raw"),
        ("image", "image_raw"),
        ("image_rect", "image_color"),
        ("rect/image", "raw/image"),
    ],
)
def test_of_pictures_of_the_same_cameras_rectified_then_colour_then_raw_transport_is_taken(tmp_path, taken, left):
    pictures = [topic for name in (taken, left) for topic in both(f"/stereo/left/{name}")]
    found = find(tmp_path, *pictures, *INFOS)
    assert (found.left_image, found.right_image) == both(f"/stereo/left/{taken}")


def test_cameras_with_several_pictures_below_them_are_one_rig(tmp_path):
    kinds = [f"/zed/left/{color}/{kind}" for color in ("color", "gray") for kind in ("rect", "raw")]
    topics = [topic for kind in kinds for name in ("image", "camera_info") for topic in both(f"{kind}/{name}")]
    found = find(tmp_path, *topics)
    assert (found.left_image, found.left_info) == ("/zed/left/color/rect/image", "/zed/left/color/rect/camera_info")


@pytest.mark.parametrize(
    ("rigs", "sides"),
    [
        (("/front/{}/", "/back/{}/"), [SIDES, SIDES]),
        (("/kitti/camera_gray_{}/", "/kitti/camera_color_{}/"), [SIDES, SIDES]),
        (("/cams/front_{}_", "/cams/back_{}_"), [SIDES, SIDES]),
        (("/camera_1/{}/", "/camera_2/{}/"), [SIDES, SIDES]),
        (("/cam{}/", "/cam{}/"), [("0", "1"), ("2", "3")]),
    ],
)
def test_two_rigs_are_refused_with_both_and_the_options(tmp_path, rigs, sides):
    pairs = [[rig.format(side) for side in its_sides] for rig, its_sides in zip(rigs, sides, strict=True)]
    topics = [f"{camera}{name}" for pair in pairs for camera in pair for name in ("image", "camera_info")]
    with pytest.raises(ValueError, match="stereo pairs, choose one") as refusal:
        find(tmp_path, *topics)
    for left, right in pairs:
        assert f"--left-topic {left}image --right-topic {right}image" in str(refusal.value)


def test_a_second_kind_of_picture_under_one_camera_is_refused(tmp_path):
    with pytest.raises(ValueError, match="2 stereo pairs"):
        find(tmp_path, *both("/stereo/left/image"), *both("/stereo/left/thermal"), *INFOS)


def test_two_robots_whose_names_say_left_and_right_are_refused(tmp_path):
    cameras = [f"/robot_{robot}/{side}/" for robot in SIDES for side in SIDES]
    with pytest.raises(ValueError, match="4 stereo pairs"):
        find(tmp_path, *(f"{camera}{name}" for camera in cameras for name in ("image", "camera_info")))


def test_of_two_rigs_the_only_one_with_calibration_is_taken(tmp_path):
    found = find(tmp_path, *both("/front/left/image"), *both("/back/left/image"), *both("/back/left/camera_info"))
    assert found.left_image == "/back/left/image"


def test_named_topics_go_before_names(tmp_path):
    named = NamedTopics("/front/left/image", "/front/right/image")
    topics = (*both("/front/left/image"), *both("/back/left/image"))
    infos = (*both("/front/left/camera_info"), *both("/back/left/camera_info"))
    assert find(tmp_path, *topics, *infos, named=named).left_info == "/front/left/camera_info"


def test_topics_whose_names_tell_nothing_can_be_named_with_their_calibration(tmp_path):
    named = NamedTopics("/a/image", "/b/image", "/info_a/camera_info", "/info_b/camera_info")
    found = find(tmp_path, "/a/image", "/b/image", "/info_a/camera_info", "/info_b/camera_info", named=named)
    assert (found.right_image, found.right_info) == ("/b/image", "/info_b/camera_info")


def test_depth_images_are_no_pictures_whatever_their_name(tmp_path):
    depth = both("/stereo/left/image_rect")
    found = find(tmp_path, *both("/stereo/left/image_raw"), *INFOS, depth=depth)
    assert found.left_image == "/stereo/left/image_raw"


def test_bag_of_depth_images_alone_has_no_pair(tmp_path):
    with pytest.raises(
        ValueError, match=r"image topics are none \(depth images, which are no pictures: /stereo/left/image_rect, "
    ):
        find(tmp_path, *INFOS, depth=both("/stereo/left/image_rect"))


def test_compressed_depth_is_no_picture(tmp_path):
    bag = SmallBag().rig()
    for topic in both("/stereo/left/image_rect/compressed"):
        bag.jpeg(topic, format_name="16UC1; compressedDepth png")
    for topic in both("/stereo/left/image_raw"):
        bag.image(topic)
    with open_bag(bag.write(tmp_path / "bag")) as reader:
        assert find_stereo_topics(reader).left_image == "/stereo/left/image_raw"


def test_topics_without_a_message_do_not_count(tmp_path):
    bag = SmallBag().rig()
    bag.pairs(left="/stereo/left/image_raw", right="/stereo/right/image_raw")
    path = bag.write(tmp_path / "bag", silent=both("/stereo/left/image_rect"))
    with open_bag(path) as reader:
        assert "/stereo/left/image_rect" in reader.topics
        assert find_stereo_topics(reader).left_image == "/stereo/left/image_raw"


@pytest.mark.parametrize(
    ("topics", "named", "reason"),
    [
        (("/front/image", "/front/camera_info"), None, "image topics are /front/image; name the pair by --left-topic"),
        (
            both("/left/image"),
            None,
            "the bag has no messages of any CameraInfo topic at all: record it, see docs/cameras.md",
        ),
        ((*both("/left/image"), "/camera_info"), None, "no CameraInfo beside /left/image.*--left-info: /camera_info"),
        (INFOS, NamedTopics("/a", "/b"), "no messages of an image topic '/a'.*there are none"),
        ((*both("/left/image"), *INFOS), NamedTopics("/left/image"), "image topic ''.*name both sides"),
        ((*both("/left/image"), *INFOS), NamedTopics("/left/image", "/left/image"), "are both /left/image"),
        (
            (*both("/left/image"), *both("/left/camera_info")),
            NamedTopics(right_info="/nothing"),
            "CameraInfo topic '/nothing'.*--right-info",
        ),
        (
            (*both("/left/image"), "/right/image/compressed", *both("/left/camera_info")),
            NamedTopics("/left/image", "/right/image/compressed"),
            "two topics of one type",
        ),
    ],
)
def test_what_is_missing_is_named_with_what_there_is(tmp_path, topics, named, reason):
    with pytest.raises(ValueError, match=reason):
        find(tmp_path, *topics, named=named)
