"""The one place where anything is fitted to data; the file to audit for leakage.

Every model of a study is fitted here and nowhere else: in cross-validation, leave-one-centre-out
and temporal splits, under bootstrap resampling, on noise, and once on everybody for the bundle.
Three guards, all of which run in every study:

* a model is handed the training rows only. It cannot read a test row because it does not have
  one; what it was handed is recorded in the :class:`Audit`, which asserts that the sides are
  disjoint;
* :func:`corrupt_test_rows_check` spoils features and outcomes of the test rows and fits again:
  what was learnt must be the same, byte for byte, or something before the split saw them;
* :func:`on_noise` deals the feature rows out to other patients and replays the whole procedure:
  any discrimination left is leakage.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metasight.cohort.outcome import NodalOutcome, Outcome, SurvivalOutcome
from metasight.cohort.splits import Split
from metasight.errors import LeakageError
from metasight.features.bags import BagFolder
from metasight.features.columns import COPY_MARK, FeatureTable, Kind
from metasight.features.images import ImageFolders
from metasight.features.multiple_imputation import MultipleImputer
from metasight.models.base import FittedModel, RiskModel, State
from metasight.models.patient_interval import FittedIntervals, IntervalModel
from metasight.models.pooled_coefficients import examined, outcome_columns
from metasight.predictions import EXTERNAL_FOLD, NODAL_LABELS, Predictions
from metasight.provenance import canonical_json


@dataclass(frozen=True)
class Data:
    """What a split is cut from.

    Attributes
    ----------
    patients
        Pseudonyms, in the order of the rows of ``features`` and ``outcome``.
    features
        Values of every modality.
    outcome
        Of the same patients.
    centre, arm
        Text by pseudonym; missing where unknown.
    endpoint
        Name of the endpoint ``outcome`` belongs to.
    """

    patients: tuple[str, ...]
    features: FeatureTable
    outcome: Outcome
    centre: pd.Series[str]
    arm: pd.Series[str]
    endpoint: str

    def __post_init__(self) -> None:
        if tuple(self.features.values.index) != self.patients or len(self.outcome) != len(
            self.patients
        ):
            raise LeakageError("features and outcomes are not of the same patients in one order")

    def positions(self, patients: Sequence[str]) -> NDArray[np.intp]:
        """Rows of ``patients``."""
        return pd.Index(self.patients).get_indexer(pd.Index(list(patients)))

    def take(self, patients: Sequence[str]) -> tuple[FeatureTable, Outcome]:
        """Features and outcome of ``patients``, in that order."""
        return self.features.rows(patients), self.outcome.take(self.positions(patients))


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What a fit was handed.

    Attributes
    ----------
    model, scheme, repeat, fold
        Which fit.
    n_train, n_test
        Patients on each side.
    handed
        sha256 of the sorted pseudonyms that ``fit`` was handed.
    state
        sha256 of everything learnt.
    """

    model: str
    scheme: str
    repeat: int
    fold: int
    n_train: int
    n_test: int
    handed: str
    state: str

    def to_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)


@dataclass(frozen=True, kw_only=True)
class Fold:
    """A fitted model, what it predicts for the test side, and the audit of how it was fitted."""

    fitted: FittedModel
    predictions: Predictions
    audit: Audit


def fold_seed(seed: int, *names: object) -> int:
    """Return a seed of its own for each fit, the same in every run and on every machine.

    Models of one fold share it: what is compared is then what they are, not how inner folds fell,
    and a model's name changes nothing.
    """
    digest = hashlib.sha256("\x1f".join(map(str, (seed, *names))).encode()).digest()
    return int.from_bytes(digest[:4], "big")


def fit_fold(
    model: RiskModel, data: Data, split: Split, horizons_days: NDArray[np.int64], *, seed: int
) -> Fold:
    """Fit to the training side, predict the test side.

    Parameters
    ----------
    model
        Specification.
    data
        Everybody; only training rows reach ``model.fit``.
    split
        Disjoint sides.
    horizons_days
        Ascending.
    seed
        Of the study; the fit gets its own (:func:`fold_seed`).

    Raises
    ------
    FitError
        The training rows cannot support the model.
    LeakageError
        The model was handed a patient of the test side.
    """
    features, outcome = data.take(split.train)
    handed = set(features.values.index)
    if handed & set(split.test):
        raise LeakageError("a test patient was handed to fit", where=model.name)
    fitted = model.fit(
        features,
        outcome,
        seed=fold_seed(seed, split.scheme, split.repeat, split.fold),
    )
    predictions = predict(
        fitted, model.name, data, split.test, horizons_days, repeat=split.repeat, fold=split.fold
    )
    audit = Audit(
        model=model.name,
        scheme=split.scheme,
        repeat=split.repeat,
        fold=split.fold,
        n_train=len(split.train),
        n_test=len(split.test),
        handed=hashlib.sha256("\n".join(sorted(handed)).encode()).hexdigest(),
        state=state_hash(fitted.state),
    )
    return Fold(fitted=fitted, predictions=predictions, audit=audit)


def state_hash(state: State) -> str:
    """sha256 of all that was learnt."""
    return hashlib.sha256(canonical_json(state).encode()).hexdigest()


def predict(
    fitted: FittedModel,
    name: str,
    data: Data,
    patients: Sequence[str],
    horizons_days: NDArray[np.int64],
    *,
    repeat: int = 0,
    fold: int = EXTERNAL_FOLD,
) -> Predictions:
    """Predictions of a fitted model for some patients, with what was observed beside them."""
    risk = fitted.predict(data.features.rows(patients), horizons_days)
    return _predictions_of(risk, name, data, patients, horizons_days, repeat=repeat, fold=fold)


def _predictions_of(
    risk: NDArray[np.float64],
    name: str,
    data: Data,
    patients: Sequence[str],
    horizons_days: NDArray[np.int64],
    *,
    repeat: int,
    fold: int,
) -> Predictions:
    """Risks of some patients, shape (n, n_horizons or 3), with what was observed beside them."""
    outcome = data.outcome.take(data.positions(patients))
    n, width = risk.shape
    base = {
        "patient": np.repeat(np.asarray(patients, dtype=object), width),
        "centre": np.repeat(data.centre.loc[list(patients)].to_numpy(dtype=object), width),
        "arm": np.repeat(data.arm.loc[list(patients)].to_numpy(dtype=object), width),
        "model": name,
        "repeat": repeat,
        "fold": fold,
        "endpoint": data.endpoint,
        # Rounding errors of 1e-16 beyond the ends of [0, 1] are no risks of their own.
        "risk": np.clip(risk, 0.0, 1.0).ravel(),
    }
    if isinstance(outcome, SurvivalOutcome):
        own: dict[str, Any] = {
            "horizon_days": np.tile(horizons_days, n),
            "label": None,
            "time_days": np.repeat(outcome.time_days, width),
            "status": np.repeat(outcome.status, width),
        }
    else:
        stage = pd.array(np.repeat(outcome.stage, width), dtype="Int8")
        own = {
            "horizon_days": pd.NA,
            "label": np.tile(np.asarray(NODAL_LABELS, dtype=object), n),
            "time_days": np.nan,
            "status": pd.Series(stage).where(np.repeat(outcome.observed, width)),
        }
    return Predictions(pd.DataFrame({**base, **own}))


def fit_everybody(model: RiskModel, data: Data, *, seed: int) -> FittedModel:
    """Fit to all patients: the model that the bundle carries, never the one that is evaluated."""
    return model.fit(data.features, data.outcome, seed=fold_seed(seed, "everybody"))


# ------------------------------------------------------------------------------------- guards


def corrupt_test_rows_check(
    model: RiskModel, data: Data, split: Split, *, seed: int
) -> tuple[str, str]:
    """Fit twice, the second time with spoilt test rows; hashes of what was learnt.

    Everything about the test patients is spoilt: features are replaced by wild values, outcomes
    are turned over. Equal hashes prove that nothing learnt depends on them.

    Returns
    -------
    Hash of the state with the true and with the spoilt test rows.
    """
    return (
        state_hash(_fit_train(model, data, split, seed).state),
        state_hash(_fit_train(model, corrupt(data, split.test), split, seed).state),
    )


def _fit_train(model: RiskModel, data: Data, split: Split, seed: int) -> FittedModel:
    features, outcome = data.take(split.train)
    return model.fit(features, outcome, seed=fold_seed(seed, "corrupt check"))


def corrupt(data: Data, patients: Sequence[str]) -> Data:
    """``data`` with features and outcomes of ``patients`` spoilt."""
    rows = data.positions(patients)
    values = data.features.values.copy()
    for feature in data.features.features:
        column = values[feature.name].to_numpy(copy=True)
        if feature.kind is Kind.CATEGORICAL:
            column[rows] = feature.levels[-1]
        elif feature.kind.is_key:
            column[rows] = None  # the image is gone
        elif feature.kind is Kind.BINARY:
            column[rows] = 1.0 - np.nan_to_num(column[rows])
        else:
            column[rows] = 1e6 + np.arange(len(rows), dtype=float)
        values[feature.name] = column
    outcome: Outcome
    if isinstance(data.outcome, SurvivalOutcome):
        time, status = data.outcome.time_days.copy(), data.outcome.status.copy()
        time[rows], status[rows] = 1.0 + np.arange(len(rows)), 1 - np.minimum(status[rows], 1)
        outcome = SurvivalOutcome(time, status)
    else:
        stage = data.outcome.stage.copy()
        stage[rows] = np.where(stage[rows] < 0, stage[rows], 2 - stage[rows])
        outcome = NodalOutcome(stage)
    features = FeatureTable(values, data.features.features)
    return Data(data.patients, features, outcome, data.centre, data.arm, data.endpoint)


def on_noise(data: Data, *, seed: int) -> Data:
    """``data`` with the feature rows dealt out to other patients at random.

    Distributions and correlations of the features stay; every link to the outcome is cut.
    """
    order = np.random.default_rng([seed, 0x6E6F]).permutation(len(data.patients))
    values = data.features.values.iloc[order].set_axis(data.features.values.index)
    features = FeatureTable(values, data.features.features)
    return Data(data.patients, features, data.outcome, data.centre, data.arm, data.endpoint)


def order_within(strata: NDArray[np.integer], rng: np.random.Generator) -> NDArray[np.intp]:
    """Rows in a random order within each stratum: row ``i`` gets what row ``order[i]`` had.

    Examples
    --------
    >>> strata = np.array([0, 1, 0, 1, 1])
    >>> order = order_within(strata, np.random.default_rng(1))
    >>> bool((strata[order] == strata).all()), sorted(order.tolist())
    (True, [0, 1, 2, 3, 4])
    """
    order = np.arange(len(strata))
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        order[members] = rng.permutation(members)
    return order


def deal_modality(
    data: Data, modalities: Sequence[str], strata: NDArray[np.integer], *, seed: int
) -> Data:
    """``data`` with the rows of some modalities dealt out to other patients of the same stratum.

    A patient's columns of these modalities stay together, missing values too; everything else
    and the outcome stay where they are. What the modalities tell beyond the strata is cut.

    Parameters
    ----------
    data
        Everybody.
    modalities
        What is dealt out, jointly.
    strata
        Shape (n,): whom a patient's rows may go to; drawn without the patient's outcome.
    seed
        Of the dealing.
    """
    order = order_within(strata, np.random.default_rng([seed, 0x6465]))
    values = data.features.values.copy()
    for feature in data.features.of_modality(modalities).features:
        values[feature.name] = values[feature.name].array[order]
    features = FeatureTable(values, data.features.features)
    return Data(data.patients, features, data.outcome, data.centre, data.arm, data.endpoint)


# --------------------------------------------------------------------------- optimism, instability


@dataclass(frozen=True)
class Resample:
    """A model fitted to one bootstrap resample.

    Attributes
    ----------
    index
        Shape (n,): rows drawn, with repeats.
    risk
        Shape (n, n_horizons or 3): its predictions for the original patients.
    fitted
        What was fitted; the bundle keeps it for a new patient's interval.
    """

    index: NDArray[np.intp]
    risk: NDArray[np.float64]
    fitted: FittedModel


def fit_resample(
    model: RiskModel, data: Data, horizons_days: NDArray[np.int64], *, seed: int, number: int
) -> Resample:
    """Fit to bootstrap resample ``number`` of the patients and predict all of them.

    Copies of a patient are marked as such, so that a model's inner folds keep them together:
    a copy in training would tell the held-out one's outcome, and too weak a penalty would win.
    """
    n = len(data.patients)
    index = np.random.default_rng([seed, number, 0x626F]).integers(0, n, n)
    values = data.features.values.iloc[index].set_axis(
        pd.Index([f"{data.patients[i]}{COPY_MARK}{k}" for k, i in enumerate(index)], name="patient")
    )
    fitted = model.fit(
        FeatureTable(values, data.features.features),
        data.outcome.take(index),
        seed=fold_seed(seed, "resample", number),
    )
    return Resample(index, fitted.predict(data.features, horizons_days), fitted)


# ---------------------------------------------------------------------------- a patient's interval


def fold_intervals(
    model: IntervalModel, data: Data, split: Split, horizons_days: NDArray[np.int64], *, seed: int
) -> pd.DataFrame:
    """Intervals of the test side's patients from refits to the training side.

    Parameters
    ----------
    model
        What is refitted.
    data
        Everybody; only training rows reach the refits.
    split
        Disjoint sides.
    horizons_days
        Reported horizons; empty for nodal stage.
    seed
        Of the study.

    Returns
    -------
    DataFrame
        ``patient target lower centre upper``, a row a patient and target.

    Raises
    ------
    FitError
        The training rows cannot support the refits.
    """
    features, outcome = data.take(split.train)
    own = fold_seed(seed, "patient intervals", split.scheme, split.repeat, split.fold)
    fitted = model.fit(features, outcome, horizons_days, seed=own)
    bands = fitted.bands(data.features.rows(split.test))
    sides = {
        side: np.concatenate([np.empty(0), *(getattr(b, side) for b in bands.values())])
        for side in ("lower", "centre", "upper")
    }
    patients = [p for _ in bands for p in split.test]
    targets = [t for t in bands for _ in split.test]
    return pd.DataFrame(
        {
            "patient": pd.Series(patients, dtype=object),
            "target": pd.Series(targets, dtype=object),
            **sides,
        }
    )


def everybody_intervals(
    model: IntervalModel, data: Data, horizons_days: NDArray[np.int64], *, seed: int
) -> FittedIntervals:
    """Refits to all patients, for a new patient's interval: what the bundle carries."""
    own = fold_seed(seed, "patient intervals", "everybody")
    return model.fit(data.features, data.outcome, horizons_days, seed=own)


# ----------------------------------------------------------------------------- multiple imputation


def fit_imputed_fold(
    models: Sequence[RiskModel],
    data: Data,
    split: Split,
    horizons_days: NDArray[np.int64],
    *,
    imputer: MultipleImputer,
    imputations: int,
    seed: int,
) -> tuple[Predictions, ...]:
    """Fit models to imputations of the training side, predict imputations of the test side.

    Gaps of training rows are filled with their outcome among the predictors, those of test rows by
    regressions of the training rows that read no outcome
    (:mod:`metasight.features.multiple_imputation`). A patient's risk is the mean over imputations
    (Mertens et al., Biom J 2020;62:724). Inner folds are those of :func:`fit_fold`.

    Parameters
    ----------
    models
        Refitted to each imputation.
    data
        Everybody; only training rows reach an imputation model or ``fit``.
    split
        Disjoint sides.
    horizons_days
        Ascending.
    imputer
        How gaps are filled by draws.
    imputations
        1 or more.
    seed
        Of the study.

    Returns
    -------
    Predictions of each model, in their order.

    Raises
    ------
    FitError
        The training rows cannot support a model.
    """
    train, outcome = examined(*data.take(split.train))
    told = outcome_columns(outcome)
    place = (split.scheme, split.repeat, split.fold)
    totals: list[NDArray[np.float64]] = []
    for k in range(imputations):
        own = fold_seed(seed, "imputation", *place, k)
        completed = imputer.complete(train, told, seed=own)
        test = imputer.complete_new(train, data.features.rows(split.test), seed=own)
        fitted = [m.fit(completed, outcome, seed=fold_seed(seed, *place)) for m in models]
        risks = [f.predict(test, horizons_days) for f in fitted]
        totals = [a + b for a, b in zip(totals, risks, strict=True)] if totals else risks
    of = {"repeat": split.repeat, "fold": split.fold}
    return tuple(
        _predictions_of(total / imputations, m.name, data, split.test, horizons_days, **of)
        for m, total in zip(models, totals, strict=True)
    )


# ------------------------------------------------------------------------------ centre shortcut


def predict_centre(
    data: Data, splits: Sequence[Split], images: ImageFolders | None = None
) -> pd.DataFrame:
    """Out-of-fold probability of every centre from the numeric features.

    A ridge-penalised multinomial logistic regression on median-imputed, standardised features,
    all fitted in the fold; of a bag of patch features the mean is taken, of a crop how dense and
    how noisy it is. If centres can be told from features, a model may have learnt the centre
    instead of the biology.

    Returns
    -------
    Index: pseudonym. Columns: centre names. Only patients of ``splits``' test sides.
    """
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    numeric = [
        f.name
        for f in data.features.features
        if f.kind is not Kind.CATEGORICAL and not f.kind.is_key
    ]
    values = data.features.values[numeric].astype(float)
    read = images or ImageFolders()
    if read.bags is not None:
        values = values.join(_of_images(data.features, Kind.BAG, _mean_patches(read.bags)))
    if read.crops is not None:
        values = values.join(_of_images(data.features, Kind.CROP, read.crops.described))
    numeric = list(values.columns)
    names = sorted(data.centre.unique())
    parts = []
    for split in splits:
        train, test = list(split.train), list(split.test)
        filled = [c for c in numeric if values.loc[train, c].notna().any()]
        learner = make_pipeline(
            SimpleImputer(strategy="median"),
            StandardScaler(),
            LogisticRegression(C=0.1, max_iter=2000),
        )
        learner.fit(values.loc[train, filled].to_numpy(), data.centre.loc[train].to_numpy())
        risk = learner.predict_proba(values.loc[test, filled].to_numpy())
        part = pd.DataFrame(risk, index=pd.Index(test, name="patient"), columns=learner.classes_)
        parts.append(part.reindex(columns=names, fill_value=0.0))
    return pd.concat(parts)


def _mean_patches(bags: BagFolder) -> Callable[[str], dict[str, float]]:
    def of(key: str) -> dict[str, float]:
        mean = bags.read(key).features.mean(axis=0)
        return {f"patches {k}": float(v) for k, v in enumerate(mean)}

    return of


def _of_images(
    features: FeatureTable, kind: Kind, described: Callable[[str], dict[str, float]]
) -> pd.DataFrame:
    """Numbers of every patient's image of a kind; rows of NaN for who has none."""
    name = next(f.name for f in features.features if f.kind is kind)
    rows = {
        patient: described(key)
        for patient, key in features.values[name].items()
        if isinstance(key, str)
    }
    frame = pd.DataFrame.from_dict(rows, orient="index", dtype=float)
    return frame.reindex(features.values.index)
