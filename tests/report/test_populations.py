"""Both populations side by side: differences are of the printed figures, models that both have."""

from __future__ import annotations

from dataclasses import replace

from metasight.report.blocks import DataTable
from metasight.report.populations import section
from metasight.report.view import View


def plain(value) -> str:
    return str(value).replace("\u00a0", " ").replace("\u202f", " ").replace("\u2212", "-")


def table(contents, anchor):
    blocks = section(View(contents))
    return next(b for b in blocks if isinstance(b, DataTable) and b.anchor == anchor)


def cells(found):
    return [tuple(plain(c) for c in r.cells) for r in found.rows]


def test_counts_and_their_gap(survival):
    written, everyone = (
        next(a for a in survival.analyses if a.population == p and a.endpoint == first)
        for p in ("as_written", "all_eligible")
        for first in (survival.analyses[0].endpoint,)
    )
    rows = cells(table(survival, "populations-table"))
    assert rows[0][:3] == ("Patients", str(written.n), str(everyone.n))
    gap = written.n - everyone.n
    assert rows[0][3] in (f"{gap:+d}", "0")
    assert rows[1][1:3] == (str(written.events), str(everyone.events))


def test_a_difference_is_that_of_the_values(survival):
    a, b = (
        next(x for x in survival.analyses if x.population == p and x.endpoint == e)
        for p in ("as_written", "all_eligible")
        for e in (survival.analyses[0].endpoint,)
    )
    model = View(survival).models[0]
    wanted = a.evaluation.models[model].harrell_c.value - b.evaluation.models[model].harrell_c.value
    rows = cells(table(survival, "populations-table"))
    first = next(r for r in rows if r[0] == "Harrell’s C")
    assert float(first[3]) == round(wanted, 3)


def test_one_population_and_one_endpoint_need_no_section(null_signal):
    assert section(View(null_signal)) == []


def test_a_model_that_one_population_lacks_is_left_out(survival):
    second = next(k for k, a in enumerate(survival.analyses) if a.population == "as_written")
    changed = survival.analyses[second]
    lead = View(survival).lead
    models = {n: m for n, m in changed.evaluation.models.items() if n != lead}
    changed = replace(changed, evaluation=replace(changed.evaluation, models=models))
    analyses = tuple(changed if k == second else a for k, a in enumerate(survival.analyses))
    rows = cells(table(replace(survival, analyses=analyses), "populations-table"))
    assert (lead,) not in rows
    assert (View(survival).reference,) in rows


def test_other_endpoints_have_a_table_each(survival):
    found = [b for b in section(View(survival)) if isinstance(b, DataTable)]
    others = [a for a in survival.analyses if a.endpoint != survival.analyses[0].endpoint]
    assert len(found) == 1 + len(others)
    assert "competing events" in plain(found[1].caption)
