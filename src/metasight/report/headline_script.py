"""``headline.R``: the headline measure computed again in R from the published predictions.

It shares no code with this package and needs no R package, so that a reader can check the figure.
"""

from __future__ import annotations

import math
from importlib.resources import files
from pathlib import Path

import pandas as pd

from metasight.predictions import Predictions
from metasight.spreadsheet import write_csv
from metasight.validation.results import EvaluationSettings

SCRIPT, DATA = "headline.R", "headline.csv"


def write_headline(predictions: Predictions, settings: EvaluationSettings, out: Path) -> None:
    """Write ``headline.R`` and ``headline.csv``, of the reference and the headline model.

    Parameters
    ----------
    predictions
        What the evaluation was made from, every model in.
    settings
        As they were followed.
    out
        Folder.
    """
    write_csv(headline_rows(predictions, settings), out / DATA)
    (out / SCRIPT).write_text(headline_script(settings), "utf-8")


def headline_rows(predictions: Predictions, settings: EvaluationSettings) -> pd.DataFrame:
    """Predictions of the two leading models for the patients that were evaluated.

    Those are the patients with an observed outcome whom every model predicts in every repeat.

    Returns
    -------
    ``patient``, ``model``, ``repeat_number``, ``fold``, ``target`` (horizon in days, or stage),
    ``risk``, ``time_days`` (empty for nodal stage) and ``status``.
    """
    table = predictions.select(endpoint=settings.endpoint).table
    table = table[table["status"].notna()]
    blocks = table.groupby(["model", "repeat"])["patient"].agg(set)
    shared = set.intersection(*blocks)
    leading = [settings.reference_model, settings.headline_model]
    table = table[table["patient"].isin(shared) & table["model"].isin(leading)]
    if settings.horizons_days:
        table = table[table["horizon_days"].isin(list(settings.horizons_days))]
    target = table["horizon_days"] if settings.horizons_days else table["label"]
    rows = table.assign(target=target).rename(columns={"repeat": "repeat_number"})
    return rows[
        ["patient", "model", "repeat_number", "fold", "target", "risk", "time_days", "status"]
    ]


def headline_script(settings: EvaluationSettings) -> str:
    """The script, with this evaluation's settings at its head."""
    tau = "Inf" if settings.tau_days is None else _number(settings.tau_days)
    days = ", ".join(str(h) for h in settings.horizons_days)
    lines = [
        f"endpoint <- {_text(settings.endpoint)}",
        f"headline_model <- {_text(settings.headline_model)}",
        f"reference_model <- {_text(settings.reference_model)}",
        f"nodal <- {'FALSE' if settings.horizons_days else 'TRUE'}",
        f"tau_days <- {tau}",
        f"horizons_days <- c({days})",
    ]
    template = files("metasight.report").joinpath(SCRIPT).read_text("utf-8")
    return template.replace("@SETTINGS@", "\n".join(lines))


def _number(value: float) -> str:
    return repr(float(value)) if math.isfinite(value) else "Inf"


def _text(value: str) -> str:
    """A string as R reads it, whatever the user's name for a model holds."""
    shown = "".join(
        c if c.isprintable() and c not in '"\\' else f"\\U{{{ord(c):x}}}" for c in value
    )
    return f'"{shown}"'
