"""Many texts looked for in the bytes of a file, in every usual encoding, wherever they stand.

Every place whose next four bytes could begin a text is found by one pass over a table of 2²⁰ bits,
so time does not grow with the number of texts; only these places are compared.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping

import numpy as np
import numpy.typing as npt

_LOWER = bytes(range(65)) + bytes(range(97, 123)) + bytes(range(91, 256))
_ENCODINGS = ("utf-8", "latin-1", "utf-16-le", "utf-16-be")
_OTHER_ENCODINGS = (
    *("gb18030", "shift_jis", "euc_jp", "iso2022_jp", "euc_kr", "big5", "cp1250", "cp1251"),
    *("iso8859-2", "iso8859-4", "iso8859-5", "iso8859-7", "iso8859-9", "koi8-r"),
)
"""Of names beyond ASCII; hospitals of Asia and eastern Europe write files in them."""
_Beside = frozenset[int]
_DIGITS = frozenset(b"0123456789")
_LETTERS = frozenset(b"abcdefghijklmnopqrstuvwxyz") | frozenset(range(0x80, 0x100))
_BITS = 20
_ANCHOR = 4
SHORTEST = 6
"""Bytes: a shorter text stands in pixels by chance."""
_RUN = re.compile(rb"[0-9][0-9./-]{7,}")
_UID = re.compile(rb"[0-9]+(?:\.[0-9]+){3,}")
_COMPACT = re.compile(rb"(?<![0-9.])((?:18|19|20|21)\d{6})(?:\d{4}(?:\d{2})?)?(?![0-9])")
_ISO = re.compile(rb"(?<![0-9])((?:18|19|20|21)\d\d)[-/](\d\d)[-/](\d\d)(?![0-9])")
_POINTS = re.compile(rb"(?<![0-9.])(\d{1,2})\.(\d{1,2})\.((?:18|19|20|21)\d\d)(?![0-9])")


class Texts:
    """Texts to be looked for in bytes.

    Parameters
    ----------
    texts
        Text → what it is; capitals do not count.
    whole_words
        What counts only where no letter stands beside it, as a name: Weber is not in Weberin.
    """

    def __init__(
        self, texts: Mapping[str, str], *, whole_words: Collection[str] = frozenset()
    ) -> None:
        self._by_anchor: dict[bytes, list[tuple[bytes, str, _Beside | None]]] = defaultdict(list)
        self._bits = np.zeros(2**_BITS, bool)
        seen: set[bytes] = set()
        for text, kind in texts.items():
            for encoded in _encoded(text):
                if encoded not in seen:
                    seen.add(encoded)
                    beside = _LETTERS if kind in whole_words else None
                    beside = _DIGITS if text.strip().isdigit() else beside
                    self._by_anchor[encoded[:_ANCHOR]].append((encoded, kind, beside))
        for anchor in self._by_anchor:
            self._bits[_hashed(np.frombuffer(anchor, np.uint8))] = True

    def found_in(self, raw: bytes) -> dict[str, int]:
        """What was found → place of the first byte of its first occurrence."""
        low = raw.translate(_LOWER)
        found: dict[str, int] = {}
        if len(low) < _ANCHOR:
            return found
        places = np.flatnonzero(self._bits[_hashed(np.frombuffer(low, np.uint8))])
        for place in places.tolist():
            for encoded, kind, beside in self._by_anchor.get(low[place : place + _ANCHOR], ()):
                if kind in found or not low.startswith(encoded, place):
                    continue
                if beside and _is_part_of_longer(low, place, len(encoded), beside):
                    continue
                found[kind] = place
        return found


def _encoded(text: str) -> Iterable[bytes]:
    for form in {text, text.lower(), text.upper()}:
        for encoding in _ENCODINGS if form.isascii() else (*_ENCODINGS, *_OTHER_ENCODINGS):
            try:
                encoded = form.encode(encoding).translate(_LOWER)
            except UnicodeEncodeError:
                continue
            if len(encoded) >= SHORTEST:
                yield encoded


def _hashed(low: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint32]:
    n = len(low) - _ANCHOR + 1
    grams = low[:n].astype(np.uint32)
    for k in range(1, _ANCHOR):
        grams |= low[k : n + k].astype(np.uint32) << np.uint32(8 * k)
    return (grams * np.uint32(2654435761)) >> np.uint32(32 - _BITS)


def _is_part_of_longer(low: bytes, place: int, length: int, beside: _Beside) -> bool:
    """Whether a number is part of a longer one, which is another number, or a word of a word."""
    around = low[max(place - 1, 0) : place] + low[place + length : place + length + 1]
    return any(b in beside for b in around)


def uids_in(raw: bytes) -> set[str]:
    """Everything among bytes that is written like a UID, in one or two bytes a character.

    A digit before or behind may belong to what stands beside it: each is told without them too.
    """
    found = {m.decode("ascii") for m in _UID.findall(_digits_of(raw))}
    return {u[a:b] for u in found for a in (0, 1) for b in (None, -1)}


def dates_in(raw: bytes) -> set[str]:
    """Dates among bytes, ``YYYYMMDD``, as DICOM, ISO 8601 and people write them."""
    runs = _digits_of(raw)
    found = {m.decode("ascii") for m in _COMPACT.findall(runs)}
    found.update(b"".join(m).decode("ascii") for m in _ISO.findall(runs))
    found.update(f"{y.decode()}{int(m):02d}{int(d):02d}" for d, m, y in _POINTS.findall(runs))
    return found


def _digits_of(raw: bytes) -> bytes:
    """Runs of digits, points, dashes and slashes, a space between them.

    They are taken from the bytes and from every second of them: text of two bytes a character
    reads as one there.
    """
    lanes = (raw, raw[0::2], raw[1::2])
    return b" ".join(run for lane in lanes for run in _RUN.findall(lane))
