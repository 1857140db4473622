"""Reference values from R, found beside the checkout; where absent, the tests skip saying so."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

CLOSED = 1e-8
"""Tolerance of closed forms (the reference's README)."""
FITTED = 1e-6
"""Tolerance of coefficients found by iteration (the same)."""
SETS = ("transbig_clinical", "gbsg2")
FILES = {"transbig_clinical": "transbig", "gbsg2": "gbsg2", "rotterdam": "rotterdam"}
PREDICTIONS = {
    "transbig_clinical": "transbig_clin_test_predictions",
    "gbsg2": "gbsg2_test_predictions",
    "rotterdam": "rotterdam_test_predictions",
    "nodepos": "nodepos_test_predictions",
}


class Reference:
    """The tables and values of ``shared/reference/statistics``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.values = json.loads((folder / "values.json").read_text())
        self.resampling = json.loads((folder / "resampling.json").read_text())
        self._tables: dict[str, pd.DataFrame] = {}

    def value(self, path: str):
        """Value at ``a/b/c`` of values.json; lists of numbers become arrays."""
        return self._look(self.values, path)

    def resampled(self, path: str):
        return self._look(self.resampling, path)

    @staticmethod
    def _look(tree, path: str):
        for part in path.split("/"):
            tree = tree[int(part)] if isinstance(tree, list) else tree[part]
        if isinstance(tree, list) and tree and not isinstance(tree[0], (str, dict)):
            return np.array(tree, dtype=float)
        return tree

    def table(self, name: str) -> pd.DataFrame:
        if name not in self._tables:
            self._tables[name] = pd.read_csv(self.folder / "data" / f"{name}.csv")
        return self._tables[name]

    def cohort(self, name: str) -> pd.DataFrame:
        return self.table(FILES[name])

    def held(self, name: str) -> pd.DataFrame:
        """Held-out rows beside their frozen predictions."""
        table = self.cohort(name)
        held = table[table["test"] == 1].reset_index(drop=True)
        return pd.concat([held, self.table(PREDICTIONS[name]).iloc[:, 1:]], axis=1)


@pytest.fixture(scope="session")
def reference() -> Reference:
    here = Path(__file__).resolve()
    folder = here.parents[3] / "shared" / "reference" / "statistics"
    if not (folder / "values.json").exists():
        pytest.skip(
            "no reference values: ../shared/reference/statistics is not beside the checkout"
        )
    return Reference(folder)


@pytest.fixture(scope="session")
def cox(reference):
    """Efron Cox fits of the whole cohorts: coefficients, risks at any times."""
    return {name: FullCox(reference, name) for name in SETS}


@pytest.fixture(scope="session")
def rotterdam_risks(reference):
    """Held-out risks by each year, models fitted on the training part: CSC and FGR."""
    from oracles.hazard_fit import fit_hazard

    table, held = reference.cohort("rotterdam"), reference.held("rotterdam")
    train = table[table["test"] == 0]
    terms = reference.value("rotterdam/crr_cause1/terms")
    times = reference.value("rotterdam/times")
    x, new = train[terms].to_numpy(float), held[terms].to_numpy(float)
    fgr = [
        fit_hazard(train["time"], train["status"], x, t, fine_gray=True, as_crr=True).risk(new)
        for t in times
    ]
    csc = cause_specific_incidence(train, x, new, times)
    return {"CSC": csc, "FGR": np.column_stack(fgr)}


def cause_specific_incidence(table, x, new, times) -> np.ndarray:
    """Incidence of cause 1 from two Efron Cox models, by the product limit as riskRegression."""
    from oracles.hazard_fit import fit_hazard

    time = table["time"].to_numpy(float)
    grid = np.unique(time[(table["status"] > 0) & (time <= max(times))])
    jumps = []
    for cause in (1, 2):
        event = (table["status"] == cause).to_numpy().astype(int)
        fit = fit_hazard(time, event, x, max(times))
        r = np.exp((x - fit.centre) @ fit.coef)
        step = np.zeros(grid.size)
        for k, t in enumerate(grid):
            dying = (time == t) & (event == 1)
            d = int(dying.sum())
            at_risk, tied = r[time >= t].sum(), r[dying].sum()
            step[k] = sum(1 / (at_risk - j / d * tied) for j in range(d))
        jumps.append(np.outer(np.exp((new - fit.centre) @ fit.coef), step))
    surviving = np.cumprod(1 - jumps[0] - jumps[1], axis=1)
    before = np.hstack([np.ones((len(new), 1)), surviving[:, :-1]])
    incidence = np.cumsum(before * jumps[0], axis=1)
    return incidence[:, np.searchsorted(grid, times, side="right") - 1]


class FullCox:
    """An Efron Cox model of a whole cohort by greenwood, with the Efron baseline hazard."""

    def __init__(self, reference: Reference, name: str) -> None:
        from oracles.hazard_fit import fit_hazard

        table = reference.cohort(name)
        self.time = table["time"].to_numpy(float)
        self.event = table["event"].to_numpy()
        terms = reference.value(f"{name}/cox_efron/terms")
        self.x = table[terms].to_numpy(float)
        self.fit = fit_hazard(self.time, self.event, self.x, 1826)
        self.lp = (self.x - self.fit.centre) @ self.fit.coef

    def _jumps(self, share: bool) -> tuple[np.ndarray, np.ndarray]:
        """Event times and Efron's jumps there; with ``share``, those of the tied deaths."""
        r = np.exp(self.lp)
        order = np.unique(self.time[self.event == 1])
        jumps = []
        for t in order:
            dying = (self.time == t) & (self.event == 1)
            d = int(dying.sum())
            at_risk, tied = r[self.time >= t].sum(), r[dying].sum()
            own = [1 - k / d if share else 1 for k in range(d)]
            jumps.append(sum(own[k] / (at_risk - k / d * tied) for k in range(d)))
        return order, np.array(jumps)

    def hazard(self, times) -> np.ndarray:
        """Cumulative Efron baseline hazard at the centre."""
        order, jumps = self._jumps(share=False)
        total = np.concatenate([[0.0], np.cumsum(jumps)])
        return total[np.searchsorted(order, times, side="right")]

    def expected(self) -> np.ndarray:
        """Each patient's own cumulative hazard, as predict(coxph, type = "expected").

        Efron lets a patient who dies on a day with others meet part of that day's hazard only.
        """
        order, jumps = self._jumps(share=False)
        _, shared = self._jumps(share=True)
        own = self.hazard(self.time)
        dead = self.event == 1
        day = np.searchsorted(order, self.time[dead])
        own[dead] += (shared - jumps)[day]
        return own * np.exp(self.lp)

    def risk(self, times) -> np.ndarray:
        """Shape (patients, times)."""
        return -np.expm1(-np.outer(np.exp(self.lp), self.hazard(times)))
