"""Expression: linked sets follow the images, purity shifts its own, genes of a set go together."""

from __future__ import annotations

import numpy as np
import pytest

from metasight.biology.gene_sets import read_gmt
from metasight.simulate.lung.expression import (
    GENES_A_SET,
    LINKED,
    OF_PURITY,
    draw_expression,
    gene_sets,
    set_names,
    write_expression,
)
from metasight.simulate.lung.patients import draw_patients
from metasight.simulate.lung.settings import LungSettings

N, GENES = 1500, 110


@pytest.fixture(scope="module")
def drawn():
    people = draw_patients(np.random.default_rng(2), LungSettings(), np.arange(N) % 2)
    names = [f"p{i}" for i in range(N)]
    table = draw_expression(people, names, genes=GENES, share=1.0, seed=3)
    return people, names, table


def score(table, own):
    return table[own].mean(axis=1).to_numpy()


def test_sets_have_twenty_genes_and_what_is_left_over_has_none():
    sets = gene_sets(GENES)
    assert list(sets) == [*LINKED, OF_PURITY, "SIM_OTHER_01"]
    assert all(len(own) == len(set(own)) == GENES_A_SET for own in sets.values())
    every = [g for own in sets.values() for g in own]
    assert len(every) == len(set(every)) == 100
    assert set_names(80) == [*LINKED, OF_PURITY]


@pytest.mark.parametrize("name", LINKED)
def test_a_linked_set_follows_its_latent_and_no_other(drawn, name):
    """0.8 of the latent beside 0.6 of the set's own and 1 / √20 of the genes': r = 0.78."""
    people, _, table = drawn
    sets = gene_sets(GENES)
    r = {
        other: np.corrcoef(score(table, own), getattr(people, LINKED[name]))[0, 1]
        for other, own in sets.items()
    }
    assert r.pop(name) == pytest.approx(0.8 / np.sqrt(0.64 + 0.36 + 1 / 20), abs=0.05)
    assert max(abs(v) for v in r.values()) < 0.1


def test_purity_goes_with_stroma_alone(drawn):
    _, _, table = drawn
    r = {
        name: np.corrcoef(score(table, own), table["purity"])[0, 1]
        for name, own in gene_sets(GENES).items()
    }
    assert r.pop(OF_PURITY) < -0.4
    assert max(abs(v) for v in r.values()) < 0.1
    assert table["purity"].between(0, 1).all()


def test_centres_shift_genes(drawn):
    people, _, table = drawn
    genes = table.filter(like="SIMG")
    apart = genes[people.centre == 0].mean() - genes[people.centre == 1].mean()
    assert apart.std() == pytest.approx(0.4 * np.sqrt(2), rel=0.25)


def test_who_has_expression(drawn):
    people, names, _ = drawn
    table = draw_expression(people, names, genes=80, share=0.3, seed=3)
    assert len(table) / N == pytest.approx(0.3, abs=0.04)


def test_files(drawn, tmp_path):
    people, names, table = drawn
    write_expression(tmp_path, people, names, genes=GENES, share=1.0, seed=3)
    import pandas as pd

    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "expression.csv"), table)
    assert read_gmt(tmp_path / "gene_sets.gmt") == {
        k: tuple(v) for k, v in gene_sets(GENES).items()
    }
