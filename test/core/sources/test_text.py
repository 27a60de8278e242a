"""The one reader of KITTI's text files: what is accepted, and that what is not is named with file and line."""

import numpy as np
import pytest

from scanssc_core.sources.text import Entries, parse_numbers, read_lines, read_stamps_ns


@pytest.fixture
def file(tmp_path):
    return tmp_path / "a.txt"


def texts(file):
    return [line.text for line in read_lines(file)]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_lines_end_as_on_any_system_and_the_byte_order_mark_is_no_text(file, end, mark):
    file.write_bytes(mark + f"P2: 1\t2{end}{end}Tr: 3 {end}{end} {end}".encode())
    assert texts(file) == ["P2: 1\t2", "", "Tr: 3"]
    assert str(read_lines(file)[2]) == f"{file}, line 3"


def test_empty_file_has_no_lines(file):
    for content in (b"", b"\n \n", b"\xef\xbb\xbf"):
        file.write_bytes(content)
        assert texts(file) == []


def test_symbolic_link_is_read_and_a_broken_one_is_missing(file, tmp_path):
    (tmp_path / "target.txt").write_text("1\n")
    file.symlink_to("target.txt")
    assert texts(file) == ["1"]
    (tmp_path / "target.txt").unlink()
    with pytest.raises(ValueError, match=f"missing {file}"):
        read_lines(file)


def test_folder_is_refused_with_its_name(tmp_path):
    with pytest.raises(ValueError, match=f"{tmp_path}: expected a text file, got a folder"):
        read_lines(tmp_path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("# Messung Straße\n".encode("latin-1"), r", line 1: expected text in UTF-8, got the byte 0xdf"),
        (b"P0: 1\r\nP1: 2\r\n\xe9\r\n", r", line 3: expected text in UTF-8, got the byte 0xe9"),
        ("P0: 1\n".encode("utf-16"), "UTF-16"),
        ("P0: 1\n".encode("utf-16-le"), "UTF-16 or no text"),
        (b"\x89PNG\r\n\x1a\n\0\0", "no text at all"),
    ],
)
def test_what_is_not_utf_8_is_refused_with_file_and_line(file, content, reason):
    file.write_bytes(content)
    with pytest.raises(ValueError, match=rf"a\.txt.*{reason}"):
        read_lines(file)


def test_numbers_are_separated_by_blanks_and_tabs():
    np.testing.assert_array_equal(parse_numbers(" 1\t-2.5  3e-2\xa04", (4,), "a"), [1, -2.5, 0.03, 4])


@pytest.mark.parametrize(
    ("text", "got"),
    [
        ("1 2", "got 2"),
        ("", "got 0"),
        ("1 2 3 4", "got 4"),
        ("1, 2, 3", "got '1,'"),
        ("1;2;3", "got '1;2;3'"),
        ("1 2 nan", "got 'nan'"),
        ("1 -inf 3", "got '-inf'"),
        ("1 2 x", "got 'x'"),
        ("1 2 3.0D+00", "got '3.0D\\+00'"),
        ("1 2 3 # why", "got '#'"),
    ],
)
def test_other_than_the_expected_numbers_is_refused(text, got):
    with pytest.raises(ValueError, match=f"calib.txt: expected 3 or 9 finite numbers with blanks between, {got}"):
        parse_numbers(text, (3, 9), "calib.txt")


def test_entry_is_found_among_lines_of_other_kinds(file):
    file.write_text("calib_time: 09-Jan-2012 13:57:47\n\n# P2: 5\nno colon\n  P2 :1 2\n")
    entries = Entries.read(file)
    np.testing.assert_array_equal(entries.numbers("P2", 2), [1, 2])
    assert "P2" in entries and "P3" not in entries


def test_missing_and_double_entries_are_named(file):
    file.write_text("P2: 1\nP3: 2\nhello\nP2: 1\n")
    entries = Entries.read(file)
    with pytest.raises(ValueError, match=rf"{file}: no entry Tr \(do this\); there are P2, P3$"):
        entries.numbers("Tr", 12, hint=" (do this)")
    with pytest.raises(ValueError, match=rf"{file}: expected one entry P2, got it in lines 1 and 4"):
        entries.numbers("P2", 1)
    with pytest.raises(ValueError, match=rf"{file}, line 2, entry P3: expected 12 or 16 .* got 1"):
        entries.numbers("P3", 12, 16)
    file.write_text("")
    with pytest.raises(ValueError, match=rf"{file}: no entry P2; there are none"):
        Entries.read(file).numbers("P2", 1)


@pytest.mark.parametrize(
    ("text", "stamp_ns"),
    [
        ("0", 0),
        ("1.036117e-01", 103_611_700),
        ("1317646534.097020160", 1_317_646_534_097_020_160),  # more digits than a float has
        ("2011-10-03 12:55:34.097020160", 1_317_646_534_097_020_160),
        ("2011-10-03T12:55:34.097020160Z", 1_317_646_534_097_020_160),
        ("2011-10-03t12:55:34,097020160z", 1_317_646_534_097_020_160),
        ("2011-10-03T14:55:34.09702016+02:00", 1_317_646_534_097_020_160),
        ("2011-10-03 07:25:34.09702016 -0530", 1_317_646_534_097_020_160),
        ("2011-10-03 12:55:34", 1_317_646_534_000_000_000),
        ("2011-10-03 12:55:34.0970201609", 1_317_646_534_097_020_160),  # below a nanosecond is cut off
    ],
)
def test_times_are_seconds_or_dates(file, text, stamp_ns):
    file.write_text(f"{text}\n")
    assert read_stamps_ns(file) == [stamp_ns]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("0.0\nx\n", "line 2: expected a time, .* got 'x'"),
        ("0.0,x", "line 1: expected a time, .* got '0.0,x'"),
        ("0,5", "line 1: .* got '0,5'"),
        ("0.0 0.1", "line 1: .* got '0.0 0.1'"),
        ("nan", "line 1: .* got 'nan'"),
        ("inf", "line 1: .* got 'inf'"),
        ("2011-13-03 12:55:34", "line 1: .* got '2011-13-03 12:55:34'"),
        ("03.10.2011 12:55:34", "line 1: .* got '03.10.2011 12:55:34'"),
        ("12:55:34.5", "line 1: .* got '12:55:34.5'"),
        ("# stamps\n0.0", "line 1: .* got '# stamps'"),
        ("-0.1", "line 1: expected 0 to 2147483648 seconds, got -0.1"),
        ("1317646534097020160", "line 1: expected 0 to 2147483648 seconds.*another unit"),
        ("1e999999", "line 1: expected"),
        ("0.0\n\n0.2", "line 2: expected the time of frame 1, got a blank line"),
        ("\n0.0", "line 1: expected the time of frame 0, got a blank line"),
        (
            "0.0\n\n2011-10-03 12:55:34",
            "line 3: expected a time like the first line's, '0.0', got '2011-10-03 12:55:34'",
        ),
    ],
)
def test_what_is_no_time_is_refused_with_file_and_line(file, text, reason):
    file.write_text(text)
    with pytest.raises(ValueError, match=rf"a\.txt, {reason}"):
        read_stamps_ns(file)
