"""Which topics of a bag are the stereo pair: by their names, unless they are named."""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

from rosbags.highlevel import AnyReader

from scanssc_core.sources.bag import deserialize, read_messages
from scanssc_core.sources.images import is_depth

_IMAGE, _COMPRESSED = "sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage"
_CAMERA_INFO = "sensor_msgs/msg/CameraInfo"

# Words that tell left from right, and numbers of neighbouring cameras (cam0 and cam1, infra1 and infra2, image_02 and
# image_03). Numbers count only where no words do.
_SIDE_WORDS = re.compile(r"left|(?<![a-z])l(?![a-z])", re.IGNORECASE)
_NUMBERS = re.compile(r"\d+")
_RECTIFIED, _UNRECTIFIED = {"rect", "rectified"}, {"raw"}
_COLOR, _GREY = {"color", "colour", "rgb", "bgr"}, {"gray", "grey", "mono"}
# Words after the side that tell pictures of one camera apart, not cameras.
_KINDS = {"image", "img", "compressed", *_RECTIFIED, *_UNRECTIFIED, *_COLOR, *_GREY}


@dataclass(frozen=True)
class NamedTopics:
    """Topics that the user names; empty: found by their names.

    Attributes:
        left_topic, right_topic: images; both or none.
        left_info, right_info: CameraInfo that does not lie beside its image.
    """

    left_topic: str = ""
    right_topic: str = ""
    left_info: str = ""
    right_info: str = ""


@dataclass(frozen=True)
class StereoTopics:
    """Which topics of a bag are the stereo pair.

    Attributes:
        left_image, right_image: Image or CompressedImage topics.
        left_info, right_info: CameraInfo topics.
        is_compressed: whether the images are CompressedImage.
    """

    left_image: str
    right_image: str
    left_info: str
    right_info: str
    is_compressed: bool

    def __str__(self) -> str:
        return f"left {self.left_image} ({self.left_info}), right {self.right_image} ({self.right_info})"


@dataclass(frozen=True)
class _Pair:
    """Two image topics whose names differ in the side.

    Attributes:
        left, right: topics.
        side_start, side_end: where the word that says left, or the number, lies in the left name.
    """

    left: str
    right: str
    side_start: int
    side_end: int

    @property
    def words(self) -> tuple[str, ...]:
        """Words of the topic's name that follow the side."""
        return tuple(re.findall(r"[^/_]+", self.left[self.side_end :].lower()))

    @property
    def rig(self) -> tuple[str, ...]:
        """What the names of topics of the same two cameras have in common."""
        return self.left[: self.side_start], *(word for word in self.words if word not in _KINDS)

    @property
    def rank(self) -> tuple[int, int, bool]:
        """Least for the picture to take: rectified before raw, colour before grey, raw transport before compressed."""
        words = set(self.words)
        rectified = 0 if words & _RECTIFIED else 2 if words & _UNRECTIFIED else 1
        color = 0 if words & _COLOR else 2 if words & _GREY else 1
        return rectified, color, "compressed" in words


def find_stereo_topics(reader: AnyReader, named: NamedTopics | None = None) -> StereoTopics:
    """Find the stereo pair of a bag.

    Topics without messages and depth images do not count. Of several pictures of the same two cameras the rectified
    ones are taken, then colour, then those that are not compressed.

    Args:
        reader: an opened bag.
        named: topics that the user named.
    Raises:
        ValueError: if there is no pair with CameraInfo, or more than one; lists what there is, and the options.
    """
    named = named or NamedTopics()
    types = {topic: info.msgtype for topic, info in reader.topics.items() if info.msgcount}
    images = [topic for topic, its_type in types.items() if its_type in (_IMAGE, _COMPRESSED)]
    infos = [topic for topic, its_type in types.items() if its_type == _CAMERA_INFO]
    pair = _named_pair(named, images) or _only_pair(reader, images, infos)
    left_info, right_info = _infos_of(pair, infos, named)
    if types[pair.left] != types[pair.right]:
        raise ValueError(
            f"expected two topics of one type, got {pair.left} ({types[pair.left]}) and {pair.right} "
            f"({types[pair.right]})"
        )
    return StereoTopics(pair.left, pair.right, left_info, right_info, types[pair.left] == _COMPRESSED)


def _named_pair(named: NamedTopics, images: Collection[str]) -> _Pair | None:
    topics = (named.left_topic, named.right_topic)
    if topics == ("", ""):
        return None
    if named.left_topic == named.right_topic:
        raise ValueError(f"expected two topics, --left-topic and --right-topic are both {named.left_topic}")
    for topic in topics:
        if topic not in images:
            raise ValueError(
                f"no messages of an image topic {topic!r} (--left-topic and --right-topic name both sides); "
                f"there are {_listed(images)}"
            )
    return _Pair(*topics, side_start=0, side_end=0)


def _only_pair(reader: AnyReader, images: Collection[str], infos: Collection[str]) -> _Pair:
    """The pair to take of the only rig there is."""
    depth = {topic for topic in images if _holds_depth(reader, topic)}
    pictures = [topic for topic in images if topic not in depth]
    pairs = list(_pairs_by_word(pictures)) or list(_pairs_by_number(pictures))
    if not pairs:
        left_out = f" (depth images, which are no pictures: {_listed(depth)})" if depth else ""
        raise ValueError(
            "no two image topics whose names differ in left and right or in the camera's number; image topics are "
            f"{_listed(pictures)}{left_out}; name the pair by --left-topic and --right-topic"
        )
    calibrated = [pair for pair in pairs if all(_infos_beside(pair, infos))] or pairs
    best_of_rig: dict[tuple[str, ...], list[_Pair]] = {}
    for pair in sorted(calibrated, key=lambda pair: pair.rank):
        best = best_of_rig.setdefault(pair.rig, [])
        if not best or best[0].rank == pair.rank:
            best.append(pair)
    candidates = [pair for best in best_of_rig.values() for pair in best]
    if len(candidates) > 1:
        listing = "; ".join(f"--left-topic {pair.left} --right-topic {pair.right}" for pair in candidates)
        raise ValueError(f"{len(candidates)} stereo pairs, choose one: {listing}")
    return candidates[0]


def _pairs_by_word(images: Collection[str]) -> Iterator[_Pair]:
    for topic in images:
        for match in _SIDE_WORDS.finditer(topic):
            word = "right" if len(match.group()) > 1 else "r"
            if match.group()[0].isupper():
                word = word.upper() if match.group().isupper() else word.capitalize()
            partner = topic[: match.start()] + word + topic[match.end() :]
            if partner in images:
                yield _Pair(topic, partner, match.start(), match.end())


def _pairs_by_number(images: Collection[str]) -> Iterator[_Pair]:
    for topic in images:
        for match in _NUMBERS.finditer(topic):
            number = match.group()
            partner = f"{topic[: match.start()]}{int(number) + 1:0{len(number)}d}{topic[match.end() :]}"
            if partner in images:
                yield _Pair(topic, partner, match.start(), match.end())


def _holds_depth(reader: AnyReader, topic: str) -> bool:
    """Whether the first message of an image topic is a depth image."""
    for connection, _, raw in read_messages(reader, reader.topics[topic].connections):
        message = deserialize(reader, connection, raw)
        return is_depth(message.encoding if connection.msgtype == _IMAGE else message.format)
    return False


def _infos_of(pair: _Pair, infos: Collection[str], named: NamedTopics) -> tuple[str, str]:
    found = _infos_beside(pair, infos)
    topics = (named.left_info or found[0], named.right_info or found[1])
    for topic, image, option in zip(topics, (pair.left, pair.right), ("--left-info", "--right-info"), strict=True):
        if topic not in infos:
            if not infos:
                raise ValueError(
                    "the bag has no messages of any CameraInfo topic at all: record it, see docs/cameras.md"
                )
            problem = f"no CameraInfo beside {image}" if not topic else f"no messages of a CameraInfo topic {topic!r}"
            raise ValueError(f"{problem}; name one by {option}: {_listed(infos)}")
    return topics


def _infos_beside(pair: _Pair, infos: Collection[str]) -> tuple[str, str]:
    """The CameraInfo topics of a pair, each in the image's namespace or one above; empty if there is none.

    Where left and right would share one, those whose names begin like the images', up to the side, are taken.
    """
    left, right = (_info_above(topic, infos) for topic in (pair.left, pair.right))
    if left == right and pair.side_end:
        side = len(pair.right) - len(pair.left) + pair.side_end
        left, right = (
            named_alike[0] if len(named_alike := [info for info in infos if info.startswith(prefix)]) == 1 else ""
            for prefix in (pair.left[: pair.side_end], pair.right[:side])
        )
    return (left, right) if left != right else ("", "")


def _info_above(image: str, infos: Collection[str]) -> str:
    namespace = image
    while namespace:
        namespace = namespace.rpartition("/")[0]
        if f"{namespace}/camera_info" in infos:
            return f"{namespace}/camera_info"
    return ""


def _listed(topics: Collection[str]) -> str:
    return ", ".join(sorted(topics)) or "none"
