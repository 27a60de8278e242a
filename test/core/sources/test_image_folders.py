"""Frames and pairs of folders of images."""

import pytest

from scanssc_core.sources.image_folders import image_files, numbered_pairs


def touch(folder, *names):
    folder.mkdir(exist_ok=True)
    for name in names:
        (folder / name).touch()
    return folder


@pytest.fixture
def left(tmp_path):
    return tmp_path / "image_2"


@pytest.fixture
def right(tmp_path):
    return tmp_path / "image_3"


def test_suffixes_count_in_small_and_capital_letters_and_other_files_do_not(left):
    names = ["000000.png", "000001.PNG", "000002.jpg", "000003.Jpeg"]
    touch(left, *names, "000004.txt", "._000005.png", "Thumbs.db", "000006.png.part")
    assert [path.name for path in image_files(left).values()] == names
    assert list(image_files(left)) == ["000000", "000001", "000002", "000003"]


def test_pairs_are_of_one_number_whatever_the_suffix_and_the_zeros(left, right):
    touch(left, "9.png", "10.png", "8.jpg")
    touch(right, "000009.png", "10.JPG", "8.png")
    pairs = numbered_pairs(left, right)
    assert [(number, a.name, b.name) for number, (a, b) in pairs.items()] == [
        (8, "8.jpg", "8.png"),
        (9, "9.png", "000009.png"),
        (10, "10.png", "10.JPG"),
    ]


@pytest.mark.parametrize("side", ["left", "right"])
def test_missing_image_of_either_side_is_named_with_its_partner(left, right, side):
    lacking, whole = (left, right) if side == "left" else (right, left)
    touch(whole, "000000.png", "000001.jpg", "000002.png")
    touch(lacking, "000000.png")
    expected = rf"2 {side} image\(s\) missing, the first is {lacking}/000001.jpg, the other image of {whole}/000001.jpg"
    with pytest.raises(ValueError, match=expected):
        numbered_pairs(left, right)


def test_images_missing_on_both_sides_are_named_one_side_first(left, right):
    touch(left, "000000.png", "000001.png")
    touch(right, "000001.png", "000002.png")
    with pytest.raises(ValueError, match=r"1 left image.*image_2/000002\.png"):
        numbered_pairs(left, right)


def test_two_files_of_one_frame_are_refused(left, right):
    touch(left, "000000.png", "000000.jpg")
    with pytest.raises(ValueError, match=r"image_2: 000000\.jpg and 000000\.png are the same frame"):
        image_files(left)
    touch(right, "0.png", "000000.png")
    with pytest.raises(ValueError, match=r"image_3: 0\.png and 000000\.png are the same frame"):
        numbered_pairs(right, right)


@pytest.mark.parametrize(
    "name", ["frame_000000.png", "000000_left.png", "000000 (1).png", "1.5.png", "-1.png", "²³.png"]
)
def test_names_that_are_no_number_are_refused_with_their_folder(left, name):
    touch(left, name)
    with pytest.raises(
        ValueError, match=r"image_2: expected names that are the frame's number, like 000000\.png; got "
    ):
        numbered_pairs(left, left)


def test_what_is_no_file_is_refused(left):
    touch(left)
    (left / "000000.png").mkdir()
    with pytest.raises(ValueError, match=r"000000\.png: expected an image file, got a folder"):
        image_files(left)
    (left / "000000.png").rmdir()
    (left / "000000.png").symlink_to("nothing.png")
    with pytest.raises(ValueError, match=r"000000\.png: expected an image file, got none: a broken link"):
        image_files(left)


def test_links_to_folders_and_files_are_followed(left, tmp_path):
    touch(tmp_path / "store", "a.png")
    touch(left)
    (left / "000000.png").symlink_to("../store/a.png")
    (tmp_path / "linked").symlink_to("image_2")
    assert list(image_files(tmp_path / "linked")) == ["000000"]


def test_folder_without_images_says_what_was_expected_and_what_is_there(left, tmp_path):
    with pytest.raises(ValueError, match="missing folder .*image_2"):
        image_files(left)
    touch(left)
    with pytest.raises(ValueError, match=r"image_2: no images: expected NNNNNN with \.png, \.jpg, \.jpeg, got none"):
        numbered_pairs(left, left)
    touch(left, "000000.bmp", "000001.tiff")
    with pytest.raises(ValueError, match=r"image_2: no images: .* got files of \.bmp, \.tiff"):
        numbered_pairs(left, left)
