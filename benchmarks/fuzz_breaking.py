"""Files broken by chance, for benchmarks/fuzz.py."""

import re

import numpy as np

_SIZES = [0, 1, -1, 2**15, 2**16 - 1, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**64 - 1, 10**9]
_WORDS = [
    "nan",
    "inf",
    "-1",
    "1e400",
    "9" * 400,
    "",
    "null",
    "[",
    "{}",
    "~",
    "é",
    "\r",
    "0x10",
    "- a",
    "1_0",
    "true",
    "&a *a",
]


def broken(content: bytes, rng: np.random.Generator) -> bytes:
    """A file with one to three things done to it; most of them near its ends, where sizes and indices are."""
    for _ in range(rng.integers(1, 4)):
        is_text = b"\0" not in content[:200] and rng.random() < 0.7
        content = _break_text(content, rng) if is_text else _break_bytes(bytearray(content), rng)
    return content


def _place(size: int, rng: np.random.Generator) -> int:
    kind = rng.integers(4)
    if kind == 0:
        return int(rng.integers(min(size, 256) + 1))
    if kind == 1:
        return size - int(rng.integers(min(size, 512) + 1))
    return int(rng.integers(size + 1))


def _break_bytes(content: bytearray, rng: np.random.Generator) -> bytes:
    at = _place(len(content), rng)
    kind = rng.integers(7)
    if kind <= 1 and content:
        for _ in range(rng.integers(1, 9)):
            at = min(_place(len(content), rng), len(content) - 1)
            content[at] ^= 1 << rng.integers(8)
    elif kind == 2:
        del content[at:]
    elif kind <= 4:
        num_bytes = int(rng.choice([1, 2, 4, 8]))
        number = int(rng.choice(_SIZES[:3])) if num_bytes == 1 else _SIZES[rng.integers(len(_SIZES))]
        order = "little" if rng.random() < 0.8 else "big"
        content[at : at + num_bytes] = (number % 2 ** (8 * num_bytes)).to_bytes(num_bytes, order)
    elif kind == 5:
        content[at:at] = rng.bytes(int(rng.integers(1, 64)))
    else:
        del content[at : at + int(rng.integers(1, 64))]
    return bytes(content)


def _break_text(content: bytes, rng: np.random.Generator) -> bytes:
    words = re.split(rb"(\s+)", content)
    at = int(rng.integers(len(words)))
    kind = rng.integers(3)
    word = str(rng.choice(_WORDS)).encode()
    if kind == 0:
        words[at] = word
    elif kind == 1:
        words[at] += word
    else:
        other = int(rng.integers(len(words)))
        words[at], words[other] = words[other], words[at]
    return b"".join(words)
