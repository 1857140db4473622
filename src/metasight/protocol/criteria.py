"""Eligibility criteria as data, evaluated in three-valued logic without ``eval``.

A condition is a small tree read from TOML::

    { variable = "age_years", at_least = 18 }
    { variable = "sex", is = "female" }
    { recorded = ["grade", "er_positive"] }
    { all = [ … ] }   { any = [ … ] }   { not = { … } }

Every condition is *met*, *not met* or *unknown* (Kleene's strong logic): a missing value makes a
comparison unknown, and unknown is never silently either of the others. ``recorded`` is the one
condition that a missing value decides: it asks whether the value is there.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Iterable, Iterator, Mapping
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

Value = bool | int | float | str | dt.date
Row = Mapping[str, Value | None]
"""Canonical values of one patient; a missing value is None (never NaN)."""


class Verdict(StrEnum):
    """Outcome of a criterion for one patient."""

    MET = "met"
    NOT_MET = "not met"
    UNKNOWN = "unknown"

    @classmethod
    def of(cls, truth: bool | None) -> Verdict:
        """``None`` is unknown."""
        if truth is None:
            return cls.UNKNOWN
        return cls.MET if truth else cls.NOT_MET


class _Condition(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True)


class Compare(_Condition):
    """One variable against limits or values; all the tests given must hold.

    Attributes
    ----------
    variable
        Canonical name in the data dictionary, in that entry's unit.
    is_, any_of, none_of
        Equal to; one of; none of.
    at_least, at_most, above, below
        Numeric or date limits; ``at_least`` and ``at_most`` include the limit.
    at_least_variable, at_most_variable
        Limits that are another variable of the same patient.
    """

    variable: str
    is_: Value | None = Field(default=None, alias="is")
    any_of: tuple[Value, ...] | None = None
    none_of: tuple[Value, ...] | None = None
    at_least: float | dt.date | None = None
    at_most: float | dt.date | None = None
    above: float | None = None
    below: float | None = None
    at_least_variable: str | None = None
    at_most_variable: str | None = None

    @model_validator(mode="after")
    def _some_test(self) -> Compare:
        if len(self.model_fields_set) < 2:
            raise ValueError(f"condition on {self.variable!r} tests nothing")
        return self

    def evaluate(self, row: Row) -> bool | None:
        """Truth for one patient; None where a value is missing."""
        value = row.get(self.variable)
        if value is None:
            return None
        results: list[bool | None] = []
        if self.is_ is not None:
            results.append(value == self.is_)
        if self.any_of is not None:
            results.append(value in self.any_of)
        if self.none_of is not None:
            results.append(value not in self.none_of)
        results += [_limit(value, op, limit) for op, limit in self._limits(row)]
        return _all(results)

    def _limits(self, row: Row) -> Iterator[tuple[str, Any]]:
        for op in ("at_least", "at_most", "above", "below"):
            limit = getattr(self, op)
            if limit is not None:
                yield op, limit
        if self.at_least_variable is not None:
            yield "at_least", row.get(self.at_least_variable)
        if self.at_most_variable is not None:
            yield "at_most", row.get(self.at_most_variable)

    def variables(self) -> Iterator[str]:
        """Names of the variables read."""
        yield self.variable
        yield from (v for v in (self.at_least_variable, self.at_most_variable) if v)


class Recorded(_Condition):
    """Every named variable has a value; met or not met, never unknown."""

    recorded: tuple[str, ...] = Field(min_length=1)

    def evaluate(self, row: Row) -> bool | None:
        """Whether all are there."""
        return all(row.get(name) is not None for name in self.recorded)

    def variables(self) -> Iterator[str]:
        """Names of the variables read."""
        yield from self.recorded


class All(_Condition):
    """Every part holds; not met as soon as one part is not."""

    all: tuple[Condition, ...] = Field(min_length=1)

    def evaluate(self, row: Row) -> bool | None:
        """Kleene conjunction."""
        return _all([part.evaluate(row) for part in self.all])

    def variables(self) -> Iterator[str]:
        """Names of the variables read."""
        for part in self.all:
            yield from part.variables()


class AnyOf(_Condition):
    """Some part holds; met as soon as one part is."""

    any: tuple[Condition, ...] = Field(min_length=1)

    def evaluate(self, row: Row) -> bool | None:
        """Kleene disjunction."""
        parts = [part.evaluate(row) for part in self.any]
        if True in parts:
            return True
        return None if None in parts else False

    def variables(self) -> Iterator[str]:
        """Names of the variables read."""
        for part in self.any:
            yield from part.variables()


class Not(_Condition):
    """The part does not hold; unknown stays unknown."""

    not_: Condition = Field(alias="not")

    def evaluate(self, row: Row) -> bool | None:
        """Kleene negation."""
        part = self.not_.evaluate(row)
        return None if part is None else not part

    def variables(self) -> Iterator[str]:
        """Names of the variables read."""
        yield from self.not_.variables()


Condition = Annotated[Compare | Recorded | All | AnyOf | Not, Field(union_mode="smart")]
for _model in (All, AnyOf, Not):
    _model.model_rebuild()


def parts(condition: Condition) -> tuple[str, ...]:
    """Variables whose part of a condition can be left out and the rest still be asked.

    All parts that have to hold together, and each variable that has to be recorded; in the order in
    which the condition names them. Empty where the condition is one whole.
    """
    match condition:
        case Not():
            inner = condition.not_
            return parts(inner) if isinstance(inner, Recorded) else ()
        case Recorded():
            return condition.recorded if len(condition.recorded) > 1 else ()
        case All():
            names = [v for part in condition.all for v in part.variables()]
            return (
                tuple(dict.fromkeys(names)) if len(condition.all) > 1 else parts(condition.all[0])
            )
    return ()


def without(condition: Condition, variables: Collection[str]) -> Condition | None:
    """The condition without its parts that read any of ``variables``; None where nothing is left.

    A variable that must be recorded is taken out of the list alone; of parts that must hold
    together those that read it go as a whole.
    """
    match condition:
        case Not():
            inner = without(condition.not_, variables)
            return None if inner is None else Not(**{"not": inner})
        case Recorded():
            left = tuple(v for v in condition.recorded if v not in variables)
            return Recorded(recorded=left) if left else None
        case All():
            rest = [without(part, variables) for part in condition.all]
            kept = tuple(part for part in rest if part is not None)
            return All(all=kept) if kept else None
    return None if set(condition.variables()) & set(variables) else condition


def about_values(condition: Condition) -> Condition | None:
    """The condition without what only asks whether something is recorded; None if that is all."""
    match condition:
        case Recorded():
            return None
        case Not():
            inner = about_values(condition.not_)
            return None if inner is None else Not(**{"not": inner})
        case All():
            kept = [c for part in condition.all if (c := about_values(part)) is not None]
            return All(all=tuple(kept)) if kept else None
        case AnyOf():
            either = [c for part in condition.any if (c := about_values(part)) is not None]
            return AnyOf(any=tuple(either)) if len(either) == len(condition.any) else None
    return condition


class CriterionTest(_Condition):
    """What a criterion tests, without its wording.

    Attributes
    ----------
    id
        As in the registration (I1, E6): kept in ledger, flow diagram and report.
    kind
        A patient stays when an inclusion criterion is met, goes when an exclusion one is.
    condition
        What is tested. For an exclusion criterion, the state that excludes.
    """

    id: str = Field(pattern=r"^[IE]\d+$")
    kind: Literal["inclusion", "exclusion"]
    condition: Condition

    def evaluate(self, row: Row) -> tuple[Verdict, str]:
        """Verdict for one patient and the values it rests on, as ``name=value`` text."""
        verdict = Verdict.of(self.condition.evaluate(row))
        names = dict.fromkeys(self.condition.variables())
        shown = "; ".join(f"{n}={_text(row.get(n))}" for n in names)
        return verdict, shown

    @property
    def parts(self) -> tuple[str, ...]:
        """Variables whose part of the criterion a study may waive alone (``I3.surgery_date``)."""
        # of an exclusion, parts that have to hold together: without one more patients would go
        if self.kind == "exclusion" and isinstance(self.condition, All):
            return ()
        return parts(self.condition)

    def undecided_by(self, variable: str, values: Iterable[float]) -> bool:
        """Whether values of ``variable`` that are all possible lead to different verdicts.

        Nothing else is taken to be known of the patient.
        """
        return len({self.condition.evaluate({variable: v}) for v in values}) > 1

    def keeps(self, verdict: Verdict) -> bool | None:
        """Whether a patient with ``verdict`` stays; None when that is unknown."""
        if verdict is Verdict.UNKNOWN:
            return None
        return (verdict is Verdict.MET) == (self.kind == "inclusion")


class Criterion(CriterionTest):
    """One line of the protocol's eligibility section.

    Attributes
    ----------
    text
        The registered wording, short.
    evidence
        Where the value comes from: ``table``, or the stage that supplies it.
    selects_on_future
        Uses what was only known after time zero; such a criterion is reported both ways.
    """

    text: str
    evidence: str
    selects_on_future: bool = False

    @property
    def test(self) -> CriterionTest:
        """The same without its wording."""
        return CriterionTest(id=self.id, kind=self.kind, condition=self.condition)


def _text(value: Value | None) -> str:
    if value is None:
        return "missing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, dt.date):
        # A day may point to one patient; the year and month are what a criterion needs shown.
        return f"{value:%Y-%m}"
    return str(value)


def _limit(value: Any, op: str, limit: Any) -> bool | None:
    if limit is None:
        return None
    match op:
        case "at_least":
            return bool(value >= limit)
        case "at_most":
            return bool(value <= limit)
        case "above":
            return bool(value > limit)
        case _:
            return bool(value < limit)


def _all(parts: list[bool | None]) -> bool | None:
    if False in parts:
        return False
    return None if None in parts else True
