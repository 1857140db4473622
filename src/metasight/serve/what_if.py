"""What the locked headline model says of a patient if recorded values were others.

It describes the model, not what changing anything would do. Values are asked for within those of
the patients that the model was fitted to; the patient may be one of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from metasight import bundle
from metasight.biomarkers.names import in_words
from metasight.bundle.content import Bundle
from metasight.bundle.predict import PatientPrediction, patient_features, predict
from metasight.errors import StudyError
from metasight.features.columns import CENTRE, Feature, FeatureTable, Kind
from metasight.features.images import ImageFolders
from metasight.models.registry import features_of
from metasight.report.wording import percent, span, years
from metasight.serve.last_run import NOT_RUN, LastRun
from metasight.steps.cohort.data import load_data

_UNITS = frozenset({"mm", "ml", "hu", "um", "days", "years", "kg"})
_SHORT = frozenset({"ct", "pet", "suv", "ctr", "tls"})
_FEWEST = 2
"""Different values of a predictor below which there is nothing to choose from."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A predictor that may be given another value.

    Attributes
    ----------
    name
        Of the feature.
    label
        With its unit.
    recorded
        As the form shows it; empty where it is not known.
    low, high
        Of the training patients; None where the values are ``levels``.
    levels
        (value, text) of those that occur.
    """

    name: str
    label: str
    recorded: str
    low: float | None = None
    high: float | None = None
    levels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Both risks at each horizon or stage.

    Attributes
    ----------
    risks
        (target, with the recorded values, with the others) in words.
    changed
        Labels of what was given another value, with it.
    why_none
        Why the model gives none with the other values; empty where it does.
    """

    risks: tuple[tuple[str, str, str], ...] = ()
    changed: tuple[str, ...] = ()
    why_none: tuple[str, ...] = ()


class WhatIf:
    """The locked model and one patient of the headline analysis.

    Parameters
    ----------
    run
        The last run.
    patient
        Pseudonym.

    Raises
    ------
    StudyError
        The run locked no model, the patient is not analysed, or the model reads images itself.
    """

    def __init__(self, run: LastRun, patient: str) -> None:
        folder = run.published / "bundle"
        if run.headline is None or not folder.is_dir():
            raise NOT_RUN
        self._run, self._patient = run, patient
        self._locked: Bundle = bundle.read(folder)
        data, _, _ = load_data(run.folder(run.headline.data))
        if patient not in data.patients:
            raise StudyError(
                "the patient is not analysed, so the model says nothing of him",
                remedy="Criteria and ledger on the patient's page say why",
            )
        self._all = patient_features(self._locked, data.features)
        state = dict(self._locked.states[self._locked.headline_model])
        self._read = sorted(features_of(state) - {CENTRE})
        about = {f.name: f for f in self._locked.features}
        if any(about[n].kind.is_key for n in self._read if n in about):
            raise StudyError(
                "the model reads images itself, whose values cannot be chosen",
                remedy="Look at the patient's page for what each part adds",
            )
        self._about = {n: about[n] for n in self._read if n in about and not about[n].error_of}

    @property
    def choices(self) -> tuple[Choice, ...]:
        """What may be given another value."""
        return tuple(c for f in self._about.values() if (c := self._choice(f)) is not None)

    def answer(self, asked: Mapping[str, str]) -> Answer:
        """What the model says with other values.

        Parameters
        ----------
        asked
            Feature → value as the form has it; others, and empty ones, stay as they are.

        Raises
        ------
        StudyError
            A value is none, or lies outside of the training patients'.
        """
        values = self._all.values.loc[[self._patient]].copy()
        changed = []
        for choice in self.choices:
            text = asked.get(choice.name, "").strip()
            if not text or text == choice.recorded:
                continue
            values[choice.name] = [self._value(choice, text)]
            shown = dict(choice.levels).get(text, text)
            changed.append(f"{choice.label}: {shown}")
        recorded = self._predicted(self._all.rows([self._patient]))
        other = self._predicted(FeatureTable(values, self._all.features))
        if other.why_none or recorded.why_none:
            return Answer(changed=tuple(changed), why_none=other.why_none or recorded.why_none)
        return Answer(
            risks=tuple(
                (_target(a.target), _shown(a.risk), _shown(b.risk))
                for a, b in zip(recorded.risks, other.risks, strict=True)
            ),
            changed=tuple(changed),
        )

    def _predicted(self, row: FeatureTable) -> PatientPrediction:
        (found,) = predict(self._locked, row, ImageFolders(), refused={}, unassessed={})
        return found

    def _choice(self, feature: Feature) -> Choice | None:
        column = self._all.values[feature.name].dropna()
        seen = sorted(set(column.tolist()))
        if len(seen) < _FEWEST:
            return None
        own = self._all.values[feature.name].loc[self._patient]
        known = own is not None and own == own  # noqa: PLR0124 (not a number is not itself)
        label = self._label(feature.name)
        if feature.kind is Kind.CONTINUOUS:
            low, high = _ends(min(seen), max(seen))
            return Choice(
                name=feature.name,
                label=label,
                recorded=f"{float(own):.4g}" if known else "",
                low=low,
                high=high,
            )
        return Choice(
            name=feature.name,
            label=label,
            recorded=_level(own) if known else "",
            levels=tuple((_level(v), _in_words(v, feature.kind)) for v in seen),
        )

    def _label(self, name: str) -> str:
        for v in self._run.study.protocol.variable:
            if v.name == name:
                return f"{v.label} ({v.unit})" if v.unit else v.label
        known = in_words(name)
        return known if known != name else spelt(name)

    def _value(self, choice: Choice, text: str) -> Any:
        """A value of the form as the model reads it."""
        feature = self._about[choice.name]
        if choice.levels:
            if text not in dict(choice.levels):
                raise StudyError("not a value that occurs", where=choice.label, value=text[:20])
            return text if feature.kind is Kind.CATEGORICAL else float(text)
        try:
            found = float(text.replace(",", "."))
        except ValueError:
            found = np.nan
        low, high = choice.low, choice.high
        if low is None or high is None or not low <= found <= high:
            raise StudyError(
                "no value within those of the patients that the model was fitted to",
                where=choice.label,
                value=text[:20],
                remedy=f"Give one from {low:g} to {high:g}",
            )
        return found


def spelt(name: str) -> str:
    """A column's name for people, where nothing else is known of it: ``CT solid size (mm)``."""
    *words, last = name.split("_")
    unit = {"hu": "HU", "um": "µm"}.get(last, last) if last in _UNITS else ""
    words = [*words, last] if not unit else words
    shown = [w.upper() if w in _SHORT else w for w in words]
    text = " ".join(shown)
    text = text[:1].upper() + text[1:]
    return f"{text} ({unit})" if unit else text


def _ends(low: float, high: float) -> tuple[float, float]:
    """Ends of a range to two digits of its width, both within it."""
    unit = 10.0 ** (math.floor(math.log10(high - low)) - 2)
    inner = math.ceil(low / unit - 1e-9) * unit, math.floor(high / unit + 1e-9) * unit
    return round(inner[0], 12), round(inner[1], 12)


def _level(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _in_words(value: object, kind: Kind) -> str:
    if kind is Kind.BINARY:
        return "yes" if value else "no"
    return _level(value).replace("_", " ")


def _target(target: str) -> str:
    return years(int(target)) if target.isdigit() else target


def _shown(risk: Any) -> str:
    """A risk with its interval; without one it says so."""
    if risk.lower is None or risk.upper is None:
        return f"{percent(risk.value, 1)}, no interval"
    return f"{percent(risk.value, 1)} ({span(100 * risk.lower, 100 * risk.upper, 1)})"
