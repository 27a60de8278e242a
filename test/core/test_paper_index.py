"""The index of the paper at the head of network/scanssc.py leads to what is there."""

import importlib
import re

import pytest

from scanssc_core.network import scanssc

ENTRIES = [
    (match[1].strip(), match[2], name)
    for match in re.finditer(r"^    (\S.*?) +(\S+)\.py (.+)$", scanssc.__doc__, re.MULTILINE)
    for name in match[3].split(", ")
]


def test_every_equation_has_an_entry():
    places = " ".join(place for place, _, _ in ENTRIES)
    numbers = {
        int(number) for found in re.findall(r"Eq\. ([\d, ]+)", places) for number in found.split(",") if number.strip()
    }
    assert numbers == set(range(1, 11))


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry[0] + " " + entry[2])
def test_what_the_index_names_is_there(entry):
    _, module, name = entry
    thing = importlib.import_module("scanssc_core." + module.replace("/", "."))
    for part in name.split("."):
        thing = getattr(thing, part)
