"""Folders of images, one file a frame: which frames there are, and which files are a pair."""

from pathlib import Path

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg")  #: in small or capital letters


def image_files(folder: Path) -> dict[str, Path]:
    """The images of a folder by the name of their frame, which is the file's name without its suffix, sorted.

    Hidden files are left out.

    Raises:
        ValueError: naming the folder or the files, if there is no such folder, a frame has two files, or something is
            named like an image and is none.
    """
    if not folder.exists():
        raise ValueError(f"missing folder {folder}")
    if not folder.is_dir():
        raise ValueError(f"{folder}: expected a folder of images, got a file")
    files: dict[str, Path] = {}
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() not in IMAGE_SUFFIXES or path.name.startswith("."):
            continue
        if not path.is_file():
            raise ValueError(
                f"{path}: expected an image file, got {'a folder' if path.is_dir() else 'none: a broken link?'}"
            )
        if path.stem in files:
            raise ValueError(
                f"{folder}: {files[path.stem].name} and {path.name} are the same frame: delete one, of every frame"
            )
        files[path.stem] = path
    return files


def image_file(folder: Path, frame: str) -> Path:
    """The image of a frame; where there is none, the name that it is expected under.

    Raises:
        ValueError: see image_files.
    """
    return image_files(folder).get(frame, folder / f"{frame}{IMAGE_SUFFIXES[0]}")


def numbered_pairs(left_folder: Path, right_folder: Path) -> dict[int, tuple[Path, Path]]:
    """Left and right image of every frame by its number, in the order of the numbers.

    Raises:
        ValueError: naming folder or file, if there are no images, a name is no number, a frame has two files, or one
            side lacks a frame that the other one has.
    """
    left_files, right_files = _numbered(left_folder), _numbered(right_folder)
    for name, files, others, folder in (
        ("left", left_files, right_files, left_folder),
        ("right", right_files, left_files, right_folder),
    ):
        if missing := [others[number] for number in sorted(others) if number not in files]:
            first = f"the first is {folder / missing[0].name}, the other image of {missing[0]}"
            raise ValueError(f"{len(missing)} {name} image(s) missing, {first}")
    return {number: (left_files[number], right_files[number]) for number in sorted(left_files)}


def _numbered(folder: Path) -> dict[int, Path]:
    files = image_files(folder)
    if not files:
        suffixes = sorted({path.suffix for path in folder.iterdir() if path.is_file()})
        found = f"files of {', '.join(suffixes)}" if suffixes else "none"
        raise ValueError(f"{folder}: no images: expected NNNNNN with {', '.join(IMAGE_SUFFIXES)}, got {found}")
    numbered: dict[int, Path] = {}
    for name, path in files.items():
        if not (name.isascii() and name.isdigit()):
            raise ValueError(f"{folder}: expected names that are the frame's number, like 000000.png; got {path.name}")
        if int(name) in numbered:
            raise ValueError(f"{folder}: {numbered[int(name)].name} and {path.name} are the same frame: delete one")
        numbered[int(name)] = path
    return numbered
