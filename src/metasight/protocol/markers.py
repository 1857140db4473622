"""Markers of a study as data: what each one stains, how laboratories spell it, what is needed.

A stage never knows a marker by its name. It asks the protocol for the marker of a role (tumour
cells, T cells, B cells), and for the study's own name of a marker that a table or a slide's
channel spells in some other way.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from metasight.errors import ProtocolError

MarkerRole = Literal["tumour", "t_cell", "b_cell"]
MARKER_ROLES: tuple[MarkerRole, ...] = ("tumour", "t_cell", "b_cell")

_IN_BRACKETS = re.compile(r"[(\[{].*?[)\]}]")
_FLUOROPHORE = re.compile(r"\b(opal|cy|alexa\s*fluor|af|dylight|atto|fitc|tritc)[\s-]*\d*\b", re.I)
_NOT_OF_A_NAME = re.compile(r"[^a-z0-9α-ω]")


class MarkerNames(BaseModel):
    """What a marker is called and what it stains.

    Attributes
    ----------
    name
        As results, ledger and report call it.
    role
        The cells that carry it; None for a marker that is read but has no part in biomarkers.
    spellings
        How else tables and slides name it: other spellings, synonyms, clones. Capitals, spaces,
        hyphens and a fluorophore beside the name make no difference and need not be listed.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    role: MarkerRole | None = None
    spellings: tuple[str, ...] = ()

    @property
    def plain_names(self) -> frozenset[str]:
        """Its name and spellings as `plain_name` gives them."""
        return frozenset(plain_name(s) for s in (self.name, *self.spellings))


class Marker(MarkerNames):
    """One marker of the study's sections.

    Attributes
    ----------
    required
        Whether a patient's sections must show it to count as complete.
    positive_per_mm2
        Cells per mm² from which a region counts as positive when maps are compared; the colours
        of a sheet's density picture end at a multiple of it.
    """

    required: bool
    positive_per_mm2: float = Field(gt=0, allow_inf_nan=False)

    @property
    def names(self) -> MarkerNames:
        """The same without what is asked of it."""
        return MarkerNames(name=self.name, role=self.role, spellings=self.spellings)


def plain_name(text: str) -> str:
    """A marker's name without capitals, separators, brackets and fluorophore.

    ``Pan-Cytokeratin (Opal 690)`` and ``pan cytokeratin`` give the same.
    """
    bare = _FLUOROPHORE.sub(" ", _IN_BRACKETS.sub(" ", text))
    return _NOT_OF_A_NAME.sub("", bare.casefold()) or text.casefold()


def problem_of_markers(markers: Sequence[Marker]) -> str:
    """What is wrong with a protocol's markers together; empty where nothing is.

    Biomarkers are measured from tumour cells, T cells and B cells, so that a protocol names one
    marker for each of these roles, or no marker at all.
    """
    claimed: dict[str, str] = {}
    for marker in markers:
        for plain in sorted(marker.plain_names):
            if plain in claimed:
                return f"markers {claimed[plain]} and {marker.name} share the spelling {plain!r}"
            claimed[plain] = marker.name
    roles = [m.role for m in markers if m.role is not None]
    wrong = [role for role in MARKER_ROLES if roles.count(role) != 1]
    if markers and wrong:
        return f"one marker is needed for each role; not so for {', '.join(wrong)}"
    return ""


class MarkerRoles(BaseModel):
    """The names of the three markers that biomarkers are measured from."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    tumour: str
    t_cell: str
    b_cell: str

    @property
    def names(self) -> tuple[str, str, str]:
        """Tumour, T-cell and B-cell marker."""
        return self.tumour, self.t_cell, self.b_cell

    @property
    def lymphocytes(self) -> tuple[str, str]:
        """T-cell and B-cell marker."""
        return self.t_cell, self.b_cell


def roles_of(markers: Sequence[MarkerNames]) -> MarkerRoles | None:
    """Markers of tumour, T and B cells; None where there is no marker."""
    named = {m.role: m.name for m in markers if m.role is not None}
    return MarkerRoles.model_validate(named) if named else None


def study_name(spelled: str, markers: Sequence[MarkerNames]) -> str:
    """The study's name of a marker that is spelled in some way; unchanged where it has none."""
    plain = plain_name(spelled)
    return next((m.name for m in markers if plain in m.plain_names), spelled)


def study_names(
    spelled: Sequence[str], markers: Sequence[MarkerNames], *, where: str
) -> tuple[str, ...]:
    """`study_name` of each, refusing two that come to the same.

    Raises
    ------
    ProtocolError
        Two of ``spelled`` are the same marker.
    """
    names = tuple(study_name(s, markers) for s in spelled)
    twice = sorted({n for n in names if names.count(n) > 1})
    if twice:
        same = [s for s, n in zip(spelled, names, strict=True) if n in twice]
        raise ProtocolError(
            f"{', '.join(twice)} is named twice",
            where=where,
            value="; ".join(same),
            remedy="Name each marker once, or correct its spellings in the protocol",
        )
    return names
