"""The archive for SemanticKITTI's hidden test server, checked by the rules of its validator.

`sequences/XX/predictions/NNNNNN.label` for every `sequences/XX/voxels/NNNNNN.bin` of the test sequences, directory
entries of their own, description.txt, and nothing else. The server does not look at the labels, but an id that it does
not score makes its evaluation fail, so they are checked too.
"""

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from scanssc_core.datasets.layout import SPLITS
from scanssc_core.datasets.semantic_kitti import LABEL_BYTES
from scanssc_core.files import whole_file
from scanssc_core.labels import SEMANTIC_KITTI_RAW_IDS, UNKNOWN_RAW_ID

TEST_SEQUENCES = SPLITS["semantic_kitti"]["test"]
DESCRIPTION = "description.txt"
_MAX_SHOWN_PROBLEMS = 5


def description(name: str, pdf_url: str, code_url: str) -> str:
    """Text of the file description.txt, which the test server shows."""
    return f"name: {name}\npdf url: {pdf_url}\ncode url: {code_url}\n"


def expected_files(data: Path) -> list[str]:
    """Names in the archive of the label files that the server needs, sorted.

    Raises:
        ValueError: naming the folder, if the voxels of a test sequence are not there.
    """
    names = []
    for sequence in TEST_SEQUENCES:
        voxels = data / "sequences" / sequence / "voxels"
        frames = sorted(file.stem for file in voxels.glob("*.bin") if not file.name.startswith("."))
        if not frames:
            raise ValueError(f"{voxels}: no .bin files; the submission needs all of the sequences 11 to 21")
        names += [f"sequences/{sequence}/predictions/{frame}.label" for frame in frames]
    return names


def problems(sizes: dict[str, int], expected: list[str]) -> list[str]:
    """What the test server's validator would refuse, one line each.

    Args:
        sizes: bytes of all files but description.txt, by their names in the archive.
        expected: label files that the server needs.
    """
    missing = [f"missing {name}" for name in expected if name not in sizes]
    wrong = [
        f"{name}: expected {LABEL_BYTES:,} bytes, got {sizes[name]:,}"
        for name in expected
        if sizes.get(name, LABEL_BYTES) != LABEL_BYTES
    ]
    surplus = [f"not wanted: {name}" for name in sorted(set(sizes) - set(expected))]
    return missing + wrong + surplus


def directories() -> list[str]:
    """Directory entries that the test server's validator asks for in an archive."""
    folders = [f"sequences/{sequence}/" for sequence in TEST_SEQUENCES]
    return ["sequences/", *(name for folder in folders for name in (folder, f"{folder}predictions/"))]


def check_archive(path: Path, data: Path) -> None:
    """Refuse an archive that the validator would refuse.

    Raises:
        ValueError: with the reasons.
    """
    with zipfile.ZipFile(path) as archive:
        entries = {entry.filename: entry.file_size for entry in archive.infolist()}
    found = [f"no directory entry {name}" for name in directories() if name not in entries]
    files = {name: size for name, size in entries.items() if not name.endswith("/") and name != DESCRIPTION}
    _refuse(str(path), found + problems(files, expected_files(data)))


def write_submission(
    predictions: Path, data: Path, path: Path, text: str, on_file: Callable[[], None] = lambda: None
) -> int:
    """Check a tree of predictions and write the archive, whole or not at all.

    Args:
        predictions: folder with `sequences/`.
        data: root of the data set, whose .bin files say what is needed.
        path: of the archive, with the suffix .zip.
        text: of description.txt.
        on_file: called after each label file.
    Returns:
        number of label files.
    Raises:
        ValueError: with the reasons, if the tree is not what the server takes.
    """
    if path.suffix != ".zip":
        raise ValueError(f"{path}: the server takes files whose name ends with .zip")
    expected = expected_files(data)
    found = (Path(folder) / name for folder, _, names in os.walk(predictions, followlinks=True) for name in names)
    files = {file.relative_to(predictions).as_posix(): file for file in found}
    sizes = {name: file.stat().st_size for name, file in files.items() if name != DESCRIPTION}
    _refuse(str(predictions), problems(sizes, expected))
    with whole_file(path) as temporary:
        with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
            archive.writestr(DESCRIPTION, text)
            for name in directories():
                archive.writestr(zipfile.ZipInfo(name), b"")
            for name in expected:
                content = files[name].read_bytes()
                _check_ids(files[name], content)
                archive.writestr(name, content)
                on_file()
        check_archive(temporary, data)
    return len(expected)


def _check_ids(file: Path, content: bytes) -> None:
    raw_ids = np.frombuffer(content, "<u2")
    is_scored = np.zeros(np.iinfo(np.uint16).max + 1, bool)
    is_scored[SEMANTIC_KITTI_RAW_IDS] = True
    if not (valid := is_scored[raw_ids]).all():
        known = ", ".join(map(str, SEMANTIC_KITTI_RAW_IDS))
        got = raw_ids[~valid][0]
        hint = (
            " (unknown): every voxel needs a class, as `eval --save-predictions` gives it"
            if got == UNKNOWN_RAW_ID
            else ""
        )
        raise ValueError(f"{file}: expected raw ids among {known}, got {got}{hint}")


def _refuse(what: str, found: list[str]) -> None:
    if found:
        more = f"; and {len(found) - _MAX_SHOWN_PROBLEMS} more" if len(found) > _MAX_SHOWN_PROBLEMS else ""
        shown = "; ".join(found[:_MAX_SHOWN_PROBLEMS])
        raise ValueError(f"{what} is not what the test server takes, {len(found)} problem(s): {shown}{more}")
