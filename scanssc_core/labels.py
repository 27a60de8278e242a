"""Class ids, names, colours and raw-id maps: the only place in the project with class numbers.

Missing is not free, everywhere:

* A voxel that nothing is known of is UNKNOWN, never FREE. FREE is what was seen through, or what a model calls free.
* Its confidence is 0.
* A pixel without a measurement has depth 0; NaN, infinity and what is below zero are read as 0.
* In a .label file an UNKNOWN voxel has the raw id UNKNOWN_RAW_ID, which no class has and which is read as UNKNOWN.

SemanticKITTI's evaluation classes (J. Behley et al., ICCV 2019) and those of SSCBench-KITTI-360 (Y. Li et al., 2023).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FREE = 0  #: no matter in the voxel
OCCUPIED = 254  #: matter of a class that is not known; only of a teacher (datasets/teacher.py)
CERTAIN = 254  #: probability 1 of a soft teacher, whose probabilities are uint8 too, 255 = unknown
UNKNOWN = 255  #: not observed and not completed; as a training label: not scored
UNKNOWN_RAW_ID = 1  #: of UNKNOWN in .label files; SemanticKITTI's "outlier", which has no class


@dataclass(frozen=True)
class LabelSet:
    """The classes of a data set: index = class id, 0 = free.

    Attributes:
        names: class names.
        colors: (num_classes, 3) uint8 RGB.
        frequencies: (num_classes,) voxels of each class in the training data; None if it was never counted.
    """

    names: tuple[str, ...]
    colors: NDArray
    frequencies: NDArray | None = None

    def __post_init__(self) -> None:
        if self.colors.shape != (len(self.names), 3):
            raise ValueError(f"expected a colour for each of {len(self.names)} classes, got {self.colors.shape}")

    @property
    def num_classes(self) -> int:
        return len(self.names)

    def id_of(self, name: str) -> int:
        """Class id of a name; ValueError names the classes there are."""
        if name not in self.names:
            raise ValueError(f"no class named {name!r}; the classes are {', '.join(self.names)}")
        return self.names.index(name)


# name: (RGB, raw id that stands for the class in files)
_SEMANTIC_KITTI = {
    "empty": ((0, 0, 0), 0),
    "car": ((100, 150, 245), 10),
    "bicycle": ((100, 230, 245), 11),
    "motorcycle": ((30, 60, 150), 15),
    "truck": ((80, 30, 180), 18),
    "other-vehicle": ((0, 0, 255), 20),
    "person": ((255, 30, 30), 30),
    "bicyclist": ((255, 40, 200), 31),
    "motorcyclist": ((150, 30, 90), 32),
    "road": ((255, 0, 255), 40),
    "parking": ((255, 150, 255), 44),
    "sidewalk": ((75, 0, 75), 48),
    "other-ground": ((175, 0, 75), 49),
    "building": ((255, 200, 0), 50),
    "fence": ((255, 120, 50), 51),
    "vegetation": ((0, 175, 0), 70),
    "trunk": ((135, 60, 0), 71),
    "terrain": ((150, 240, 80), 72),
    "pole": ((255, 240, 150), 80),
    "traffic-sign": ((255, 0, 0), 81),
}

SEMANTIC_KITTI = LabelSet(
    names=tuple(_SEMANTIC_KITTI),
    colors=np.array([color for color, _ in _SEMANTIC_KITTI.values()], np.uint8),
    frequencies=np.array(
        (5.41773033e9, 1.57835390e7, 1.25136e5, 1.18809e5, 6.46799e5, 8.21951e5, 2.62978e5, 2.83696e5, 2.04750e5)
        + (6.16887030e7, 4.50296100e6, 4.48836500e7, 2.26992300e6, 5.68402180e7, 1.57196520e7, 1.58442623e8)
        + (2.06162300e6, 3.69705220e7, 1.15198800e6, 3.34146e5)
    ),
)

#: (20,) uint16: class id -> raw id written to submission files (learning_map_inv).
SEMANTIC_KITTI_RAW_IDS = np.array([raw_id for _, raw_id in _SEMANTIC_KITTI.values()], np.uint16)

#: Raw ids of what moves, by its class, in SemanticKITTI; 256 (on rails) and 257 (bus) are other-vehicle too.
MOVING_RAW_IDS = {
    "car": 252,
    "truck": 258,
    "other-vehicle": 259,
    "person": 254,
    "bicyclist": 253,
    "motorcyclist": 255,
}
FIRST_MOVING_RAW_ID = min(MOVING_RAW_IDS.values())  #: this one and all above are of what moves

# Further raw ids: parts of a class, and its moving members.
_OTHER_RAW_IDS = {name: (raw_id,) for name, raw_id in MOVING_RAW_IDS.items()} | {
    "other-vehicle": (13, 16, 256, 257, 259),
    "road": (60,),
}

# SSCBench-KITTI-360 in SemanticKITTI's colours; its last two classes have none there.
_KITTI_360_NAMES = (
    ("empty", "car", "bicycle", "motorcycle", "truck", "other-vehicle", "person", "road", "parking", "sidewalk")
    + ("other-ground", "building", "fence", "vegetation", "terrain", "pole", "traffic-sign")
    + ("other-structure", "other-object")
)
_KITTI_360_OWN_RAW_IDS = {"other-structure": 52, "other-object": 99}
_KITTI_360_OWN_COLORS = {"other-structure": (0, 150, 255), "other-object": (255, 255, 50)}

KITTI_360 = LabelSet(
    names=_KITTI_360_NAMES,
    colors=np.array(
        [_KITTI_360_OWN_COLORS.get(name) or _SEMANTIC_KITTI[name][0] for name in _KITTI_360_NAMES], np.uint8
    ),
    frequencies=np.array(
        (2264087502, 20098728, 104972, 96297, 1149426, 4051087, 125103, 105540713, 16292249, 45297267, 14454132)
        + (110397082, 6766219, 295883213, 50037503, 1561069, 406330, 30516166, 1950115)
    ),
)

#: Label sets by the name of their data set.
LABEL_SETS = {"semantic_kitti": SEMANTIC_KITTI, "kitti360": KITTI_360}

#: Raw id that stands for each class in files, by the name of the data set; SSCBench's files hold class ids.
RAW_IDS = {
    "semantic_kitti": SEMANTIC_KITTI_RAW_IDS,
    "kitti360": np.arange(KITTI_360.num_classes, dtype=np.uint16),
}

_NUM_RAW_IDS = 359  # the highest raw id and a hundred, as published


def _completion_table(names: tuple[str, ...], raw_ids: dict[str, int]) -> NDArray:
    table = np.full(_NUM_RAW_IDS, UNKNOWN, np.uint8)
    for class_id, name in enumerate(names):
        table[[raw_ids[name], *_OTHER_RAW_IDS.get(name, ())]] = class_id
    return table


#: (359,) uint8 by the name of the data set: raw id of a voxel file -> class id. Only raw 0 is free; every other id
#: without a class is UNKNOWN. Higher raw ids are an error.
COMPLETION_TABLES = {
    "semantic_kitti": _completion_table(
        SEMANTIC_KITTI.names, {name: raw for name, (_, raw) in _SEMANTIC_KITTI.items()}
    ),
    "kitti360": _completion_table(
        KITTI_360.names, {name: raw for name, (_, raw) in _SEMANTIC_KITTI.items()} | _KITTI_360_OWN_RAW_IDS
    ),
}

#: What geometry alone can tell (the stereo occupancy backend).
STEREO_GEOMETRY = LabelSet(
    names=("empty", "ground", "obstacle", "overhead"),
    colors=np.array([(0, 0, 0), (128, 100, 130), (245, 140, 60), (0, 140, 150)], np.uint8),
)

_COLORS = {
    name: color
    for label_set in (SEMANTIC_KITTI, KITTI_360, STEREO_GEOMETRY)
    for name, color in zip(label_set.names, label_set.colors.tolist(), strict=True)
}


def colors_of(class_names: Sequence[str]) -> NDArray:
    """(N, 3) uint8 RGB of classes of any set; grey where a name is not known."""
    return np.array([_COLORS.get(name, (160, 160, 160)) for name in class_names], np.uint8)


#: Groups of classes by the names of their members in any label set (ScanSSC Tab. E.1; a set may lack some).
CLASS_GROUPS = {
    "ground": ("road", "sidewalk", "parking", "other-ground"),
    "structure": ("building", "other-structure"),
    "nature": ("vegetation", "trunk", "terrain"),
    "vehicle": ("car", "truck", "bicycle", "motorcycle", "other-vehicle"),
    "human": ("person", "bicyclist", "motorcyclist"),
    "object": ("fence", "pole", "traffic-sign", "other-object"),
}
#: Classes that one stands on, in any label set.
GROUND_SURFACES = ("ground", *CLASS_GROUPS["ground"], "terrain")
#: Sums of groups in the same table.
GROUP_TOTALS = {"large": ("ground", "structure", "nature"), "small": ("vehicle", "human", "object")}
