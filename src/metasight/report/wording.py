"""Numbers in words: digits, signs, intervals and units, the same everywhere in a report."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence

from metasight.estimate import Estimate
from metasight.units import DAYS_PER_YEAR
from metasight.validation.fold_contrast import FoldContrast
from metasight.validation.results import (
    Contrast,
    ContrastMetric,
    Metric,
    NotEstimable,
    Pooled,
)

MINUS = "\u2212"
NBSP = "\u00a0"
NOT_ESTIMABLE = "not estimable"


def number(value: float, digits: int = 3, *, signed: bool = False) -> str:
    """A number with a real minus; ``signed`` shows a plus too. Never ``−0.000``."""
    text = f"{abs(value):.{digits}f}"
    if float(text) == 0:
        return text
    return (MINUS if value < 0 else "+" if signed else "") + text


def significant(value: float, digits: int = 3) -> str:
    """A number to some significant digits, with a real minus and never as 1e+03."""
    if value == 0 or not math.isfinite(value):
        return f"{value:.0f}" if math.isfinite(value) else "–"
    places = max(digits - 1 - math.floor(math.log10(abs(value))), 0)
    text = number(value, places)
    return text.rstrip("0").rstrip(".") if "." in text else text


def count(n: float) -> str:
    """A count with commas from 10,000 on."""
    return f"{n:,.0f}" if abs(n) >= 10_000 else f"{n:.0f}"


def plural(n: int, noun: str, many: str = "") -> str:
    """``1 patient``, ``2 patients``."""
    return f"{count(n)} {noun if n == 1 else many or noun + 's'}"


def listed(items: Iterable[str], last: str = "and") -> str:
    """``a, b and c``."""
    parts = list(items)
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} {last} {parts[-1]}"


def percent(share: float, digits: int = 0) -> str:
    """A share as a percentage, with the space that SI asks for."""
    return f"{number(100 * share, digits)}{NBSP}%"


def years(days: float) -> str:
    """``5 years`` from 1826 days; months below one year that are not whole years."""
    value = days / DAYS_PER_YEAR
    if value < 0.95:
        return plural(round(value * 12), "month")
    text = f"{value:.1f}".removesuffix(".0")
    return f"{text} year" if text == "1" else f"{text} years"


def in_years(text: str) -> str:
    """A sentence of the evaluation with its horizons in years (``by 3652 days``)."""
    return re.sub(r"\b(\d{3,5}) days\b", lambda m: years(int(m[1])), text)


def span(lower: float, upper: float, digits: int = 3, *, signed: bool = False) -> str:
    """``0.55 to 0.67``, kept on one line: a dash would be read as a minus."""
    low, high = number(lower, digits, signed=signed), number(upper, digits, signed=signed)
    return f"{low}{NBSP}to{NBSP}{high}"


def metric(m: Metric, digits: int = 3, *, scale: float = 1.0) -> str:
    """``0.61 (0.55 to 0.67)``, or the reason why there is none."""
    if isinstance(m, NotEstimable):
        return f"{NOT_ESTIMABLE}: {in_years(m.not_estimable)}"
    value = number(m.value * scale, digits)
    if m.lower is None or m.upper is None:
        return value
    return f"{value} ({span(m.lower * scale, m.upper * scale, digits)})"


def contrast(c: ContrastMetric, digits: int = 3, *, scale: float = 1.0) -> str:
    """A signed difference with its interval, or the reason why there is none."""
    if isinstance(c, NotEstimable):
        return f"{NOT_ESTIMABLE}: {in_years(c.not_estimable)}"
    value = number(c.difference * scale, digits, signed=True)
    return f"{value} ({span(c.lower * scale, c.upper * scale, digits, signed=True)})"


def pooled(p: Pooled | NotEstimable, digits: int = 3) -> str:
    """A pooled value with its interval, or the reason why there is none."""
    if isinstance(p, NotEstimable):
        return f"{NOT_ESTIMABLE}: {in_years(p.not_estimable)}"
    return f"{number(p.value, digits)} ({span(p.lower, p.upper, digits)})"


def excludes_zero(c: ContrastMetric | FoldContrast) -> int:
    """Sign of a contrast whose interval excludes zero: 1 above, −1 below, 0 otherwise."""
    if isinstance(c, NotEstimable):
        return 0
    return 1 if c.lower > 0 else -1 if c.upper < 0 else 0


def reading(
    c: ContrastMetric | FoldContrast,
    *,
    higher_is_better: bool = True,
    ranking: Metric | None = None,
) -> str:
    """What an interval of a difference says, in words.

    Parameters
    ----------
    c
        The difference.
    higher_is_better
        Of the measure.
    ranking
        The C or AUC of the model itself, where the difference is one of these: a model that does
        not rank better than chance is not called better.
    """
    if isinstance(c, NotEstimable):
        return NOT_ESTIMABLE
    sign = excludes_zero(c) * (1 if higher_is_better else -1)
    if sign > 0 and ranking is not None and not above_chance(ranking):
        return "higher, not above chance"
    return {1: "better", -1: "worse", 0: "no clear difference"}[sign]


def contrast_over_folds(c: FoldContrast, digits: int = 3) -> str:
    """A difference with the interval that counts the fitting."""
    between = span(c.lower, c.upper, digits, signed=True)
    return f"{number(c.difference, digits, signed=True)} ({between}, {c.folds} folds)"


def costs_predictions(failure: Mapping[str, str]) -> bool:
    """Whether a failed fit (its ledger row) is one of the cross-validation, not a refit beside."""
    stage = failure.get("stage", "")
    return stage.startswith("fit ") or not stage


def above_chance(m: Metric) -> bool:
    """Whether the interval of a C or AUC lies above 0.5."""
    return isinstance(m, Estimate) and m.lower is not None and m.lower > 0.5


def covers(m: Metric, value: float) -> bool:
    """Whether an estimate's interval covers a value; an estimate without interval does not."""
    return (
        isinstance(m, Estimate)
        and m.lower is not None
        and m.upper is not None
        and m.lower <= value <= m.upper
    )


class Footnotes:
    """Reasons that a table's cells point to by letter, each printed once below it."""

    def __init__(self) -> None:
        self._reasons: list[str] = []

    def mark(self, reason: str) -> str:
        """``not estimable`` with the letter of the note that gives the reason."""
        reason = in_years(reason)
        if reason not in self._reasons:
            self._reasons.append(reason)
        return f"{NOT_ESTIMABLE} ({_letter(self._reasons.index(reason))})"

    def metric(self, m: Metric | Pooled, digits: int = 3, *, scale: float = 1.0) -> str:
        """As :func:`metric`, with the reason in a note."""
        if isinstance(m, NotEstimable):
            return self.mark(m.not_estimable)
        if isinstance(m, Pooled):
            return pooled(m, digits)
        return metric(m, digits, scale=scale)

    def contrast(self, c: ContrastMetric, digits: int = 3, *, scale: float = 1.0) -> str:
        """As :func:`contrast`, with the reason in a note."""
        if isinstance(c, Contrast):
            return contrast(c, digits, scale=scale)
        return self.mark(c.not_estimable)

    @property
    def notes(self) -> tuple[str, ...]:
        """Lines to print below the table."""
        return tuple(f"({_letter(k)}) {NOT_ESTIMABLE}: {r}." for k, r in enumerate(self._reasons))


def _letter(k: int) -> str:
    return chr(ord("a") + k) if k < 26 else f"{_letter(k // 26 - 1)}{_letter(k % 26)}"


def sentence(text: str) -> str:
    """A capital first letter and a full stop."""
    text = text.strip()
    return stopped(text[:1].upper() + text[1:])


def stopped(text: str) -> str:
    """A full stop at the end, and the first letter as it stands (it may be a name)."""
    text = text.strip()
    return text if not text or text[-1] in ".!?:" else text + "."


def points(values: Sequence[float]) -> str:
    """Thresholds as percentages: ``5, 10 and 15 %``."""
    return listed(f"{100 * v:g}" for v in values) + f"{NBSP}%"
