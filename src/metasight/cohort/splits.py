"""Which patients a model is fitted to and which it then predicts; drawn before anything is fitted.

Every scheme gives :class:`Split` objects whose two sides share no patient. The order of the
table does not matter: patients are sorted by pseudonym before they are dealt out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metasight.errors import LeakageError, StudyError

PAIR = "pair"
"""Scheme of a split that leaves two folds of one division out."""


@dataclass(frozen=True, kw_only=True)
class Split:
    """One training set and the patients predicted by what is fitted to it.

    Attributes
    ----------
    scheme
        ``kfold``, ``pair`` (two folds of one division left out), ``centre`` or ``temporal``.
    repeat, fold
        As in predictions.
    train, test
        Pseudonyms, sorted.
    held_out
        Centre or period held out, in words; empty for K-fold.
    """

    scheme: str
    repeat: int
    fold: int
    train: tuple[str, ...]
    test: tuple[str, ...]
    held_out: str = ""

    def __post_init__(self) -> None:
        both = set(self.train) & set(self.test)
        if both:
            raise LeakageError(
                f"{len(both)} patients are in training and test",
                where=f"{self.scheme} repeat {self.repeat} fold {self.fold}",
            )


def repeated_kfold(
    patients: Sequence[str], strata: NDArray[np.integer], *, folds: int, repeats: int, seed: int
) -> tuple[Split, ...]:
    """Repeated K-fold by patient, each stratum spread evenly over the folds.

    Parameters
    ----------
    patients
        Pseudonyms, unique.
    strata
        Shape (n,): event status or nodal stage, so that no fold is left without events.
    folds, repeats
        Each ≥ 1; folds ≥ 2.
    seed
        The same seed and patients give the same folds, whatever the order of the table.

    Raises
    ------
    StudyError
        A fold would have no patient.
    """
    names = np.asarray(patients)
    if folds < 2 or len(names) < 2 * folds:
        raise StudyError(
            f"{len(names)} patients cannot be divided into {folds} folds",
            remedy="Set fewer folds in [analysis], or find more patients",
        )
    order = np.argsort(names)
    names, strata = names[order], np.asarray(strata)[order]
    splits = []
    for repeat in range(repeats):
        rng = np.random.default_rng([seed, repeat])
        fold_of = np.empty(len(names), dtype=int)
        dealt = 0
        for stratum in np.unique(strata):
            members = rng.permutation(np.flatnonzero(strata == stratum))
            fold_of[members] = (np.arange(len(members)) + dealt) % folds
            dealt += len(members)
        splits += [
            Split(
                scheme="kfold",
                repeat=repeat,
                fold=fold,
                train=tuple(names[fold_of != fold]),
                test=tuple(names[fold_of == fold]),
            )
            for fold in range(folds)
        ]
    return tuple(splits)


def pair_number(first: int, second: int, folds: int) -> int:
    """Number of the split that leaves out two of some folds, ``first`` below ``second``."""
    return first * folds + second


def pairs_of_folds(division: Sequence[Split]) -> tuple[tuple[Split, Split, Split], ...]:
    """Every pair of folds of one division, and the split that leaves both out.

    Parameters
    ----------
    division
        The splits of one repeat of K-fold.
    """
    found = []
    for first, second in combinations(division, 2):
        train = set(first.train) & set(second.train)
        both = Split(
            scheme=PAIR,
            repeat=first.repeat,
            fold=pair_number(first.fold, second.fold, len(division)),
            train=tuple(sorted(train)),
            test=tuple(sorted((*first.test, *second.test))),
            held_out=f"folds {first.fold} and {second.fold}",
        )
        found.append((first, second, both))
    return tuple(found)


def leave_one_centre_out(centres: pd.Series[str]) -> tuple[Split, ...]:
    """One split a centre, that centre held out.

    Parameters
    ----------
    centres
        Centre by pseudonym.

    Raises
    ------
    StudyError
        There is one centre only, or a patient has none.
    """
    if centres.isna().any():
        raise StudyError(
            "patients have no centre",
            value=f"{int(centres.isna().sum())} patients",
            remedy="Complete the centre column",
        )
    names = sorted(centres.unique())
    if len(names) < 2:
        raise StudyError(
            "there is only one centre: leave-one-centre-out is not possible",
            value=", ".join(names),
            remedy="Give single_centre_reason in study.toml [analysis] to continue; the report "
            "lists it among the limitations",
        )
    return tuple(
        Split(
            scheme="centre",
            repeat=0,
            fold=fold,
            train=tuple(sorted(centres.index[centres != name])),
            test=tuple(sorted(centres.index[centres == name])),
            held_out=name,
        )
        for fold, name in enumerate(names)
    )


def temporal(year: pd.Series[float], *, first_test_year: int) -> tuple[Split, ...]:
    """One split: fitted to the patients treated before a year, tried on those after.

    Raises
    ------
    StudyError
        A side is empty, or a patient has no year.
    """
    if year.isna().any():
        raise StudyError(
            "a temporal split needs every patient's year of time zero",
            value=f"{int(year.isna().sum())} patients without",
            remedy="Map the date of time zero, or remove first_test_year from [analysis]",
        )
    train = tuple(sorted(year.index[year < first_test_year]))
    test = tuple(sorted(year.index[year >= first_test_year]))
    if not train or not test:
        raise StudyError(
            "one side of the temporal split is empty",
            value=f"{len(train)} before {first_test_year}, {len(test)} from then on",
            remedy=f"Choose a year between {int(year.min()) + 1} and {int(year.max())}",
        )
    held = f"from {first_test_year}"
    return (Split(scheme="temporal", repeat=0, fold=0, train=train, test=test, held_out=held),)
