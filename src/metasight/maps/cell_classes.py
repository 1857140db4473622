"""Classes that another program gave to cells → markers that each cell carries."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from metasight.errors import MarkerError
from metasight.maps.cells import Cells
from metasight.protocol.markers import plain_name

_PART = re.compile(r"[:;&]")
_SIGN = re.compile(r"\s*(\+|-|\bpositive\b|\bnegative\b|\bpos\b|\bneg\b)\s*$", re.IGNORECASE)
_NEGATIVE = {"-", "negative", "neg"}
_POSITIVE_ALONE = {"positive", "1+", "2+", "3+"}


def with_markers(
    cells: Cells,
    markers: Sequence[str],
    *,
    spellings: Mapping[str, str],
    classes: Mapping[str, str],
    where: str,
) -> Cells:
    """Cells with the positivity of each marker, from their classes or columns of 0 and 1.

    ``CD3: CD20`` is positive for both, ``CD3+`` for CD3, ``CD3-`` for nothing; ``Positive`` alone
    counts where the section has one marker.

    Parameters
    ----------
    cells
        From another program.
    markers
        That the section shows, by the study's names.
    spellings
        Usual spellings → marker.
    classes
        Class → marker, as the study says; goes before spellings.
    where
        The file, for messages.

    Raises
    ------
    MarkerError
        No class names one of ``markers``: none positive and a class under another name would look
        alike.
    """
    plain = {plain_name(s): m for s, m in spellings.items()} | {plain_name(m): m for m in markers}
    given = {plain_name(c): m for c, m in classes.items()}
    columns = {
        given.get(plain_name(n)) or plain.get(plain_name(n), n): flags
        for n, flags in cells.positive.items()
    }
    of_type = [_markers_of(t, markers, plain, given) for t in cells.type_names]
    named = {m for positive, negative in of_type for m in (*positive, *negative)}
    missing = [m for m in markers if m not in named | set(columns) | set(given.values())]
    if missing:
        raise MarkerError(
            "no class of the cells names the marker",
            where=where,
            value=", ".join(missing),
            remedy="Say which class carries it in study.toml under [slides.classes], or on the "
            "command line with --class",
        )
    positive = {}
    for marker in markers:
        carries = np.array([marker in found for found, _ in of_type], dtype=np.bool_)
        by_class = carries[cells.type_code] if len(cells) else np.zeros(0, dtype=np.bool_)
        positive[marker] = by_class | columns[marker] if marker in columns else by_class
    first = np.zeros(len(cells), dtype=np.int16)
    for code, marker in reversed(list(enumerate(markers, start=1))):
        first[positive[marker]] = code
    return replace(
        cells, type_code=first, type_names=("other", *markers), positive=positive, probability={}
    )


def _markers_of(
    name: str, markers: Sequence[str], plain: Mapping[str, str], given: Mapping[str, str]
) -> tuple[set[str], set[str]]:
    """Markers that a class is positive for, and those that it says are negative."""
    if plain_name(name) in given:
        return {given[plain_name(name)]}, set()
    positive: set[str] = set()
    negative: set[str] = set()
    for part in _PART.split(name):
        bare = part.strip()
        if len(markers) == 1 and bare.casefold() in _POSITIVE_ALONE | _NEGATIVE:
            (negative if bare.casefold() in _NEGATIVE else positive).add(markers[0])
            continue
        sign = _SIGN.search(bare)
        without = plain_name(_SIGN.sub("", bare))
        marker = given.get(plain_name(bare)) or given.get(without) or plain.get(without)
        if marker is not None:
            denied = sign is not None and sign[1].casefold() in _NEGATIVE
            (negative if denied else positive).add(marker)
    return positive, negative
