"""What one patient's scan says of "central", by the protocol's definition and by every other.

Definitions differ (Casal et al., Eur Respir J 2019;53:1802220) and the guideline on staging gives
none, so whoever reads that a tumour is central must see by which, how far from its limit, and what
the others say.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import Any

from metasight.lesions.place import DEFINITIONS, Definition, in_words


@dataclass(frozen=True, kw_only=True)
class Centrality:
    """Of one lesion, as measured on the CT.

    Attributes
    ----------
    definition
        Name of the study's.
    value, limit
        What it measures of the lesion, and up to where the lesion is central: mm for
        ``bronchi_2cm``, otherwise a ratio; ``value`` is None where it was not found.
    central
        By the study's definition; None where that is not known.
    others
        By every other definition that could be measured.
    """

    definition: Definition
    value: float | None
    limit: float
    central: bool | None
    others: dict[str, bool]

    @classmethod
    def of(cls, measured: Mapping[str, Any]) -> Centrality | None:
        """From a lesion's row of measurements; None where no place was measured."""
        name = measured.get("central_definition")
        if name not in DEFINITIONS:
            return None
        value = measured.get("central_value")
        own = {d: measured.get(f"central_{d}") for d in DEFINITIONS if d != name}
        return cls(
            definition=name,
            value=None if value is None or not isfinite(value) else float(value),
            limit=float(measured["central_limit"]),
            central=measured.get("central"),
            others={d: bool(said) for d, said in own.items() if said is not None},
        )

    @property
    def disagree(self) -> bool:
        """Whether another definition says otherwise."""
        return self.central is not None and any(o is not self.central for o in self.others.values())

    def sentence(self, counted: bool | None) -> str:
        """One for a clinician.

        Parameters
        ----------
        counted
            Whether the tumour counts as central in the study; the table's word may differ.
        """
        if self.value is None or self.central is None:
            return f"Centrality ({in_words(self.definition)}) could not be measured on the CT."
        unit = "mm" if self.definition == "bronchi_2cm" else "of the way to the lung’s surface"
        shown = f"{self.value:.0f}" if unit == "mm" else f"{self.value:.2f}"
        limit = f"{self.limit:.0f}" if unit == "mm" else f"{self.limit:.2f}"
        text = (
            f"This patient’s CT, by the study’s definition of central ({in_words(self.definition)})"
            f": {shown} {unit}, central up to {limit}: {_said(self.central)}."
        )
        if self.others:
            central = sum(self.others.values())
            text += (
                f" Definitions differ: of {len(self.others)} others, {central} "
                f"{'calls' if central == 1 else 'call'} it central and "
                f"{len(self.others) - central} peripheral"
            )
            text += f" ({self._examples()})." if self._examples() else "."
        if counted is not None and counted is not self.central:
            text += f" The table says {_said(counted)}, and that counts here."
        return text

    def _examples(self) -> str:
        """Two that are used most: the inner third, and 2 cm."""
        named: tuple[Definition, ...] = ("hilum_centre_third", "bronchi_2cm")
        return "; ".join(
            f"{in_words(d)}: {_said(self.others[d])}" for d in named if d in self.others
        )


def _said(central: bool) -> str:
    return "central" if central else "peripheral"
