"""Codes as tables write them: 2, 2.0 and "2,0" are one code; capitals do not count."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TypeVar

PLAIN_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_T = TypeVar("_T")


def number_of(text: str) -> float | None:
    """A number written with a point or a comma; None where the text is no plain number."""
    plain = text.replace(",", ".") if text.count(",") == 1 and "." not in text else text
    return float(plain) if PLAIN_NUMBER.fullmatch(plain) else None


class MissingCodes:
    """Texts that mean missing; a code that is a number also matches -99.0 and "-99,0".

    Parameters
    ----------
    codes
        As declared in ``study.toml``; the empty text is always one.
    """

    def __init__(self, codes: Iterable[str]) -> None:
        self._texts = {"", *codes}
        self._numbers = {n for c in self._texts if (n := number_of(c)) is not None}

    def __contains__(self, text: object) -> bool:
        """Whether a cell means missing."""
        if text in self._texts:
            return True
        return bool(self._numbers) and number_of(str(text)) in self._numbers


def find_code(text: str, codes: Iterable[str]) -> str | None:
    """The declared code that a cell means; None where it is none of them.

    The code as it is written goes first, then capitals and spaces aside, then as a number. A cell
    that two codes fit equally well means none of them.
    """
    declared = list(codes)
    if text in declared:
        return text
    alike = [c for c in declared if _folded(c) == _folded(text)]
    if len(alike) == 1:
        return alike[0]
    if alike:
        return None
    number = number_of(text)
    equal = [c for c in declared if number is not None and number_of(c) == number]
    return equal[0] if len(equal) == 1 else None


def meaning(text: str, codes: Mapping[str, _T]) -> _T | None:
    """What a cell means under ``codes``; None where it is none of them."""
    code = find_code(text, codes)
    return None if code is None else codes[code]


def _folded(text: str) -> str:
    return " ".join(text.split()).casefold()
