"""Expression of genes in simulated tumours: sets that go with what images show, and others.

Genes of a set go together in every patient, as in life, whether or not the set has to do with the
image. Purity shifts sets of its own and dilutes all others; each centre shifts every gene a little.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from metasight.simulate.lung.patients import Patients
from metasight.spreadsheet import write_csv

GENES_A_SET = 20
PURITY = "purity"
LINKED = {
    "SIM_INVASION": "spiculation",
    "SIM_CLONALITY": "heterogeneity",
    "SIM_GLYCOLYSIS": "uptake",
}
"""Sets that go with a latent of the image."""
OF_PURITY = "SIM_STROMA"

_LINK, _TOGETHER, _OWN, _PURITY, _CENTRE = 0.8, 0.6, 1.0, 3.0, 0.4


def set_names(genes: int) -> list[str]:
    """Names of the sets of a number of genes; what is left over belongs to none."""
    fixed = [*LINKED, OF_PURITY]
    number = genes // GENES_A_SET
    return [*fixed, *(f"SIM_OTHER_{k:02d}" for k in range(1, number - len(fixed) + 1))]


def gene_sets(genes: int) -> dict[str, list[str]]:
    """Genes by set."""
    return {
        name: [_gene(GENES_A_SET * k + i) for i in range(GENES_A_SET)]
        for k, name in enumerate(set_names(genes))
    }


def _gene(number: int) -> str:
    return f"SIMG{number + 1:05d}"


def draw_expression(
    people: Patients, names: list[str], *, genes: int, share: float, seed: int
) -> pd.DataFrame:
    """Log expression of some patients, with the purity of the sample.

    Parameters
    ----------
    people, names
        Patients and their ids.
    genes
        At least as many as four sets have.
    share
        Of patients with expression data.
    seed
        Of the cohort.

    Returns
    -------
    DataFrame
        Column ``patient``, a column a gene (log₂), and ``purity`` within (0, 1).
    """
    rng = np.random.default_rng([seed, 0x6578])
    n = len(people)
    sets = set_names(genes)
    purity = rng.beta(6, 4, n)
    together = _TOGETHER * rng.standard_normal((n, len(sets)))
    for k, name in enumerate(sets):
        if name in LINKED:
            together[:, k] += _LINK * getattr(people, LINKED[name])
        elif name == OF_PURITY:
            together[:, k] -= _PURITY * (purity - 0.6)
    y = 7 + _OWN * rng.standard_normal((n, genes))
    inside = len(sets) * GENES_A_SET
    y[:, :inside] += np.repeat(together, GENES_A_SET, axis=1)
    y += _CENTRE * rng.standard_normal((int(people.centre.max()) + 1, genes))[people.centre]
    has = rng.random(n) < share
    table = pd.DataFrame(np.round(y, 3), columns=[_gene(k) for k in range(genes)])
    table.insert(0, "patient", names)
    table[PURITY] = np.round(purity, 3)
    return table[has]


def write_expression(
    folder: Path, people: Patients, names: list[str], *, genes: int, share: float, seed: int
) -> None:
    """``expression.csv`` and ``gene_sets.gmt``."""
    table = draw_expression(people, names, genes=genes, share=share, seed=seed)
    write_csv(table, folder / "expression.csv")
    lines = ["\t".join([name, "simulated", *own]) for name, own in gene_sets(genes).items()]
    (folder / "gene_sets.gmt").write_text("\n".join(lines) + "\n", "utf-8")
