"""Associations against plain regressions, scores against fgsea, and a null that invents nothing."""

import socket

import numpy as np
import pandas as pd
import pytest

from metasight.biology.association import associate, prepare
from metasight.biology.enrichment import (
    enrich,
    enrichment_scores,
    running_score,
    set_trace,
    single_sample,
)
from metasight.biology.gene_sets import read_gmt, require_gseapy, within
from metasight.errors import EvaluationError, StudyError


@pytest.fixture(autouse=True)
def no_network(monkeypatch):
    def refused(*_, **__):
        raise AssertionError("the network was used")

    monkeypatch.setattr(socket.socket, "connect", refused)


def cohort(seed: int, n: int = 90, genes: int = 400, effect: float = 0.0):
    """Genes in correlated blocks of twenty; the first block goes with the risk by ``effect``."""
    rng = np.random.default_rng(seed)
    stage = rng.integers(0, 2, n)
    score = rng.standard_normal(n) + stage
    block = rng.standard_normal((n, genes // 20))
    y = 0.7 * np.repeat(block, 20, axis=1) + rng.standard_normal((n, genes)) + stage[:, None]
    y[:, :20] += effect * score[:, None]
    names = [f"G{k}" for k in range(genes)]
    patients = pd.Index([f"P{k}" for k in range(n)])
    sets = {f"block {b}": tuple(names[20 * b : 20 * b + 20]) for b in range(genes // 20)}
    return (
        pd.DataFrame(y, patients, names),
        pd.Series(1 / (1 + np.exp(2 - score)), patients),
        pd.DataFrame({"stage": stage, "centre": rng.choice(["A", "B", "C"], n)}, patients),
        sets,
    )


def test_genes_as_ordinary_regressions_say():
    expression, risk, covariates, _ = cohort(1, effect=0.4)
    found = associate(prepare(expression, risk, covariates))
    x = np.column_stack(
        [
            np.log(risk / (1 - risk)),
            np.ones(len(risk)),
            covariates["stage"],
            covariates["centre"] == "B",
            covariates["centre"] == "C",
        ]
    ).astype(float)
    for gene in ("G0", "G57"):
        y = expression[gene].to_numpy()
        beta, rest, *_ = np.linalg.lstsq(x, y, rcond=None)
        se = np.sqrt(rest[0] / (len(y) - 5) * np.linalg.inv(x.T @ x)[0, 0])
        assert found.table.loc[gene, "effect"] == pytest.approx(beta[0])
        assert found.table.loc[gene, "t"] == pytest.approx(beta[0] / se)
    assert found.freedom == 85
    assert found.adjusted == ("stage", "centre")


def test_scores_as_fgsea_gives_them(shared):
    folder = shared / "data" / "biology" / "genesets" / "fgsea"
    t = pd.read_csv(folder / "inputs" / "stats.tsv")["stats"].to_numpy()
    lines = (folder / "inputs" / "pathways.tsv").read_text().splitlines()
    sets = [np.array(line.split("\t"), dtype=np.int64) - 1 for line in lines]
    wanted = pd.read_csv(folder / "refs" / "ref_calcGseaStatBatchCpp.tsv", sep="\t")["ES"]
    ours = enrichment_scores(t[None], sets)[0]
    assert np.allclose(ours, wanted, atol=1e-12)
    import gseapy

    names = [f"g{k}" for k in range(len(t))]
    theirs = (
        gseapy.prerank(
            rnk=pd.Series(t, names),
            outdir=None,
            min_size=1,
            max_size=3000,
            permutation_num=10,
            gene_sets={f"s{k:02}": [names[i] for i in own] for k, own in enumerate(sets)},
            threads=1,
            no_plot=True,
            seed=1,
        )
        .res2d.set_index("Term")["ES"]
        .astype(float)
        .sort_index()
    )
    assert np.allclose(theirs.to_numpy(), wanted, atol=1e-9)
    for own, score in zip(sets, ours, strict=True):
        running = running_score(t, own)
        assert running[np.abs(running).argmax()] == pytest.approx(score, abs=1e-9)


def test_a_planted_set_is_found_and_its_neighbours_are_not():
    expression, risk, covariates, sets = cohort(2, effect=0.5)
    found = enrich(
        prepare(expression, risk, covariates), sets, permutations=1000, seed=1, null_replicates=50
    )
    assert found.sets.loc["block 0", "fdr"] < 0.1
    assert found.sets.loc["block 0", "nes"] > 1.5
    assert (found.sets["fdr"] < 0.05).sum() <= 1
    edge = found.sets.loc["block 0", "leading_edge"].split(";")
    assert set(edge) <= set(sets["block 0"])
    assert len(edge) >= 10
    again = enrich(
        prepare(expression, risk, covariates), sets, permutations=1000, seed=1, null_replicates=50
    )
    pd.testing.assert_frame_equal(found.sets, again.sets)


def test_the_null_is_uniform_where_dealing_genes_out_is_not():
    """Correlated genes: patients' permutations keep 5 %, gseapy's gene permutations do not."""
    ours, theirs = [], []
    for seed in range(12):
        expression, risk, covariates, sets = cohort(100 + seed)
        found = enrich(
            prepare(expression, risk, covariates),
            sets,
            permutations=200,
            seed=seed,
            null_replicates=100,
        )
        ours += found.sets["p"].tolist()
        theirs += found.sets["gseapy_p"].tolist()
        assert found.null.below_5_percent < 0.09
        assert found.null.distance < 0.1
    # 240 p values, not independent within a cohort: 5 % ± 2 standard errors of 1.4 %
    assert 0.01 < (np.array(ours) < 0.05).mean() < 0.10
    assert (np.array(theirs) < 0.05).mean() > 0.15
    grid = np.linspace(0.1, 0.9, 9)
    assert np.abs([(np.array(ours) <= g).mean() - g for g in grid]).max() < 0.12


def test_single_sample_scores_follow_the_set():
    expression, _, _, sets = cohort(3)
    scores = single_sample(expression, sets, seed=1)
    assert scores.shape == (90, 20)
    mean = expression[list(sets["block 3"])].mean(axis=1) - expression.mean(axis=1)
    assert np.corrcoef(scores["block 3"], mean)[0, 1] > 0.8


def test_gene_sets_are_read_and_cut(shared, tmp_path):
    sets = read_gmt(shared / "data" / "biology" / "genesets" / "h.all.v7.0.symbols.gmt")
    assert len(sets) == 50
    assert len(sets["HALLMARK_HYPOXIA"]) == 200
    cut = within(sets, list(sets["HALLMARK_HYPOXIA"]), smallest=15, largest=500)
    assert len(cut["HALLMARK_HYPOXIA"]) == 200
    assert all(len(own) >= 15 for own in cut.values())
    with pytest.raises(StudyError, match="same identifiers"):
        within(sets, ["ENSG0001", "ENSG0002"], smallest=15, largest=500)
    for text, said in (
        ("a\tb\n", "name, a description and genes"),
        ("", "no gene set"),
        ("a\tb\tG\na\tb\tH\n", "twice"),
    ):
        (tmp_path / "x.gmt").write_text(text)
        with pytest.raises(StudyError, match=said):
            read_gmt(tmp_path / "x.gmt")
    with pytest.raises(StudyError, match="no such file"):
        read_gmt(tmp_path / "none.gmt")


def test_what_cannot_be_associated_is_refused():
    expression, risk, covariates, sets = cohort(4)
    for wrong, said in (
        ((expression.iloc[1:], risk, covariates), "different patients"),
        ((expression.mask(expression > 2), risk, covariates), "missing"),
        ((expression, risk * 0, covariates), "within"),
        ((expression.rename(columns={"G1": "G0"}), risk, covariates), "two columns"),
        ((expression.iloc[:9], risk.iloc[:9], covariates.iloc[:9]), "too few patients"),
        ((expression, risk, covariates.assign(x=np.log(risk / (1 - risk)))), "wholly"),
    ):
        with pytest.raises(EvaluationError, match=said):
            prepare(*wrong)
    with pytest.raises(EvaluationError, match="too few permutations"):
        enrich(
            prepare(expression, risk, covariates), sets, permutations=10, seed=1, null_replicates=2
        )


def _members_with_score(t, size, target):
    """Places of a set whose score is within 1e-3 of ``target``: drawn, then genes are changed."""
    rng = np.random.default_rng(0)
    low, high = -12.0, 12.0
    for _ in range(40):
        lean = (low + high) / 2
        weight = np.exp(-lean * np.arange(len(t)) / len(t))
        drawn = np.random.default_rng(1).choice(
            len(t), size, replace=False, p=weight / weight.sum()
        )
        score = enrichment_scores(t[None], [np.sort(drawn)])[0, 0]
        low, high = (lean, high) if score < target else (low, lean)
    while abs(score - target) > 1e-3:
        changed = drawn.copy()
        changed[rng.integers(size)] = rng.choice(np.setdiff1d(np.arange(len(t)), drawn))
        new = enrichment_scores(t[None], [np.sort(changed)])[0, 0]
        if abs(new - target) < abs(score - target):
            drawn, score = changed, new
    return np.sort(drawn)


def test_small_p_values_as_fgsea_multilevel_gives_them(shared):
    """fgsea's probes: weights 1 to 3000, sets of 25 and 100, scores −0.4 and −0.6.

    For its positive probes gseapy gives no p value: less than ten random sets have that sign.
    """
    import gseapy

    ref = pd.read_csv(
        shared / "data" / "biology" / "genesets" / "fgsea" / "refs" / "ref_fgseaMultilevelCpp.tsv",
        sep="\t",
    )
    ref = ref[ref["ES"] < 0].reset_index(drop=True)
    t = -np.arange(1.0, 3001.0)
    names = [f"g{k}" for k in range(len(t))]
    sets = {
        f"s{k}": [names[i] for i in _members_with_score(t, int(r.pathwaySize), r.ES)]
        for k, r in ref.iterrows()
    }
    found = (
        gseapy.prerank(
            rnk=pd.Series(t, names),
            gene_sets=sets,
            outdir=None,
            min_size=1,
            max_size=3000,
            method="multilevel",
            sample_size=101,
            eps=0.0,
            seed=42,
            threads=1,
            no_plot=True,
        )
        .res2d.set_index("Term")
        .loc[list(sets)]
    )
    ours, theirs = found["NOM p-val"].astype(float).to_numpy(), ref["cppMPval"].to_numpy()
    error = np.hypot(found["log2err"].astype(float).to_numpy(), ref["log2err"].to_numpy())
    assert len(ref) == 4
    assert theirs.min() < 1e-15
    assert (np.abs(np.log2(ours) - np.log2(theirs)) < 2 * error).all()


def test_without_gseapy_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr("metasight.biology.gene_sets.find_spec", lambda _: None)
    with pytest.raises(StudyError, match="pip install 'metasight\\[biology\\]'"):
        require_gseapy()


def test_a_set_is_traced_down_the_ranking():
    t = pd.Series([1.0, -3.0, 4.0, 2.0], index=["A", "B", "C", "D"])
    found = set_trace(t, ("D", "C"))
    # the ranking is C, D, A, B; the set's genes weigh 4 and 2 of 6
    assert found.ranks == (0, 1)
    assert found.running == pytest.approx((4 / 6, 1.0, 0.5, 0.0))
    assert set_trace(t, ("B",)).ranks == (3,)
