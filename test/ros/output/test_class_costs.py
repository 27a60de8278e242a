import pytest

from scanssc_core.labels import LABEL_SETS, STEREO_GEOMETRY
from scanssc_ros.output.class_costs import read_costs


@pytest.mark.parametrize("label_set", [STEREO_GEOMETRY, *LABEL_SETS.values()], ids=lambda entry: entry.names[-1])
def test_the_packages_own_file_has_a_cost_for_every_class(label_set):
    assert max(read_costs("", label_set.names).values()) == 100


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "ground: 0\nobstacle: 100\noverhaed: 100",
            "overhaed: no label set has this class",
        ),
        ("ground: 0\nobstacle: 100", "overhead: this class has no cost"),
        ("ground: 0\nobstacle: 100\noverhead: 101", "overhead: expected a whole number from 0 to 100, got 101"),
        ("[ground, obstacle]", "expected lines of `class: cost`"),
        ("ground: [", "cannot be read"),
    ],
)
def test_a_file_that_says_something_else_is_refused_by_its_name_and_the_class(tmp_path, text, expected):
    path = tmp_path / "costs.yaml"
    path.write_text(text)
    with pytest.raises(ValueError) as error:
        read_costs(str(path), STEREO_GEOMETRY.names)
    assert str(path) in str(error.value) and expected in str(error.value)
    assert str(error.value).startswith("class_costs: ")


def test_a_file_that_is_not_there_is_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match="class_costs: .*missing.yaml cannot be read"):
        read_costs(str(tmp_path / "missing.yaml"), STEREO_GEOMETRY.names)
