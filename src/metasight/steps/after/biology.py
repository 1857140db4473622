"""What the risk has to do with biology: genes, sets of genes, and what chance would give."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from metasight.biology.association import Associated, associate, prepare
from metasight.biology.enrichment import Enrichment, enrich, set_trace, single_sample
from metasight.biology.expression import genes_of_all, log_of_counts
from metasight.biology.gene_sets import GeneSets, read_gmt, within
from metasight.engine.step import Inputs
from metasight.errors import EvaluationError, StudyError
from metasight.spreadsheet import write_csv
from metasight.steps import artefacts
from metasight.steps.files import number
from metasight.steps.risk.out_of_fold import out_of_fold_risks
from metasight.study.biology_settings import BiologySettings

Found = dict[str, Any]

BIOLOGY = "biology"
_DRAWN_SETS = 4
_BINS = 20
_CERTAIN = 1e-6


@dataclass(frozen=True, kw_only=True)
class BiologyArgument:
    """What is related to what.

    Attributes
    ----------
    model
        Whose out-of-fold risk.
    settings
        ``[biology]``.
    gene_sets
        The GMT file.
    seed
        Of the study.
    """

    model: str
    settings: BiologySettings
    gene_sets: Path
    seed: int


def relate(inputs: Inputs, out: Path, argument: BiologyArgument) -> None:
    """Write ``biology.json``, ``genes.csv``, ``gene_sets.csv`` and ``single_sample.csv``.

    What cannot be related says why, and the study goes on.
    """
    try:
        told = _relate(inputs, out, argument)
    except (EvaluationError, StudyError) as error:
        told = {"skipped": str(error)}
    artefacts.BIOLOGY.write(out, {"model": argument.model, **told})


def _relate(inputs: Inputs, out: Path, argument: BiologyArgument) -> Found:
    risk = out_of_fold_risks(inputs, argument.model)
    if risk is None:
        raise EvaluationError("the model could not be fitted")
    risk.index = risk.index.astype(object)  # tables of the cohort have plain text
    asked = argument.settings
    cohort = inputs["cohort"]
    expression = pd.read_parquet(cohort / f"modality_{asked.expression}.parquet")
    table = pd.read_parquet(artefacts.PATIENT_TABLE.path(cohort))
    covariates, lacking = _covariates(table, expression, asked)
    genes = expression.drop(columns=[asked.purity] if asked.purity else [])
    measured = genes.notna().any(axis=1)
    complete = covariates.notna().all(axis=1)
    patients = [
        p for p in risk.index if p in genes.index and bool(measured[p]) and bool(complete[p])
    ]
    y = genes_of_all(genes.loc[patients])
    if not asked.log_scale:
        y = log_of_counts(y, where=f"modality {asked.expression}")
    own = risk.loc[patients].clip(_CERTAIN, 1 - _CERTAIN)
    prepared = prepare(y, own, covariates.loc[patients])
    sets = within(
        read_gmt(argument.gene_sets),
        list(prepared.genes),
        smallest=asked.smallest,
        largest=asked.largest,
    )
    found = enrich(
        prepared,
        sets,
        permutations=asked.permutations,
        seed=argument.seed,
        null_replicates=asked.null_replicates,
    )
    scores = single_sample(y, sets, seed=argument.seed)
    by_patient = associate(prepare(scores, own, covariates.loc[patients])).table
    write_csv(found.genes.table, artefacts.GENES.path(out), index=True)
    table_of_sets = found.sets.join(by_patient[["t", "p", "fdr"]].add_prefix("single_sample_"))
    write_csv(table_of_sets, artefacts.GENE_SETS.path(out), index=True)
    write_csv(scores, artefacts.SINGLE_SAMPLE.path(out), index=True)
    return {
        "patients": len(patients),
        "predicted": len(risk),
        "without_expression": int(
            len(risk) - sum(p in genes.index and bool(measured[p]) for p in risk.index)
        ),
        "genes": len(prepared.genes),
        "genes_left_out": int(len(genes.columns) - len(y.columns)),
        "constant": len(prepared.constant),
        "adjusted": list(prepared.adjusted),
        "not_adjusted": lacking,
        "permutations": found.permutations,
        **_genes(found.genes),
        **_sets(found, table_of_sets, sets),
        "null": _null(found),
    }


def _covariates(
    table: pd.DataFrame, expression: pd.DataFrame, asked: BiologySettings
) -> tuple[pd.DataFrame, list[str]]:
    """What is taken out, by patient; and what was asked for but no table gives, or never varies."""
    columns: dict[str, Any] = {}
    lacking = []
    for name in asked.adjust:
        if name not in table or table[name].nunique() < 2:
            lacking.append(name)
        else:
            columns[name] = table[name]
    if asked.purity is not None:
        if asked.purity not in expression:
            raise StudyError(
                "the expression table has no such column",
                value=asked.purity,
                where="study.toml [biology] purity",
            )
        columns["purity"] = expression[asked.purity].reindex(table.index)
    return pd.DataFrame(columns, index=table.index), lacking


def _genes(told: Associated) -> Found:
    """All genes' effects and p values for the volcano, and the leading ones by name."""
    table = told.table
    top = table.reindex(table["t"].abs().sort_values(ascending=False, kind="stable").index)[:12]
    return {
        "volcano": {
            "effect": [round(float(v), 5) for v in table["effect"]],
            "p": [float(f"{v:.4g}") for v in table["p"]],
            "fdr": [float(f"{v:.4g}") for v in table["fdr"]],
        },
        "genes_below_5_percent": int((table["fdr"] < 0.05).sum()),
        "leading_genes": [
            {"gene": str(g), **{k: number(float(r[k])) for k in ("effect", "t", "p", "fdr")}}
            for g, r in top.iterrows()
        ],
    }


def _sets(found: Enrichment, table: pd.DataFrame, sets: GeneSets) -> Found:
    """Sets by p value, and the running score of the first few."""
    ordered = table.sort_values(["p", "fdr"], kind="stable")
    drawn = []
    for name in ordered.index[:_DRAWN_SETS]:
        trace = set_trace(found.genes.table["t"], sets[str(name)])
        running = [round(v, 5) for v in trace.running]
        drawn.append({"set": str(name), "running": running, "ranks": list(trace.ranks)})
    numbers = (
        "es",
        "nes",
        "p",
        "fdr",
        "gseapy_p",
        "gseapy_fdr",
        "single_sample_t",
        "single_sample_fdr",
    )
    return {
        "sets": [
            {"set": str(n), "size": int(r["size"]), **{k: number(float(r[k])) for k in numbers}}
            for n, r in ordered.iterrows()
        ],
        "drawn": drawn,
    }


def _null(found: Enrichment) -> Found:
    counts, _ = np.histogram(found.null.p, bins=_BINS, range=(0, 1))
    return {
        "replicates": found.null.replicates,
        "counts": [int(c) for c in counts],
        "below_5_percent": found.null.below_5_percent,
        "any_discovery": found.null.any_discovery,
        "distance": found.null.distance,
    }
