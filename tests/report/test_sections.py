"""What the sections say follows from what happened."""

from __future__ import annotations

from dataclasses import replace

import pytest

from metasight.leakage import Check
from metasight.report.blocks import DataTable, Strong
from metasight.report.contents import ACCEPTED_LESION, ReaderVerdicts, SlideStage
from metasight.report.document import compose, write_report
from metasight.report.findings import findings
from metasight.report.html import to_html
from metasight.report.limitations import limitations
from metasight.report.tripod import answers, checklist
from metasight.report.view import View
from metasight.validation.results import NotEstimable

from .pages import Page


def plain(texts) -> str:
    parts = []
    for text in texts:
        for part in (text,) if isinstance(text, str) else text:
            parts.append(part if isinstance(part, str) else getattr(part, "text", ""))
        parts.append(" ")
    return "".join(parts).replace("\u00a0", " ")


def words(contents) -> str:
    return Page(to_html(compose(contents))).text


@pytest.fixture(scope="module")
def survival_text(survival) -> str:
    return words(survival)


def test_headline_says_what_the_interval_allows(survival):
    told = plain(findings(View(survival)))
    assert "ranks patients better than chance" in told
    assert ("discriminates better" in told) or ("no evidence that “clinical + maps”" in told)


def test_a_signal_near_nothing_is_called_so(null_signal):
    told = plain(findings(View(null_signal)))
    assert "There is hardly any signal." in told
    assert "no evidence that it ranks patients better than chance" in told
    assert "There is no evidence that “clinical + maps” discriminates better" in told
    assert "No signal shown." in plain(limitations(View(null_signal)))


def test_a_demonstration_says_so(null_signal, survival_text):
    text = words(null_signal)
    assert "Demonstration Made up; no evidence." in text
    assert "Demonstration" not in survival_text


def test_a_reason_stands_where_there_is_no_number(survival_text):
    assert "not estimable (a)" in survival_text
    assert "(a) not estimable: " in survival_text
    assert "10 of each are needed" in survival_text


def test_a_headline_that_cannot_be_estimated(survival):
    first = survival.analyses[0]
    none = NotEstimable(not_estimable="no pair can be compared")
    models = {k: replace(m, harrell_c=none) for k, m in first.evaluation.models.items()}
    compared = tuple(replace(c, harrell_c=none) for c in first.evaluation.comparisons)
    evaluation = replace(first.evaluation, models=models, comparisons=compared)
    text = words(replace(survival, analyses=(replace(first, evaluation=evaluation),)))
    assert "Discrimination could not be estimated" in text
    assert "not estimable: no pair can be compared" in text


def test_flow_adds_up(survival_text):
    assert "Patients in the table" not in survival_text  # letters of drawings are outlines
    assert "Of 183 patients in the table, 3 were excluded" in survival_text
    assert "5 were excluded by I1" in survival_text


def test_both_populations_and_other_endpoints(survival_text):
    assert "As written − all eligible" in survival_text
    assert "competing events" in survival_text
    assert "Wolbers’ C" in survival_text


def test_centres_or_the_reason_why_not(survival_text, null_signal):
    assert "Pooled" in survival_text or "Average over left-out centres" in survival_text
    assert "Reason given: the table names no hospital" in words(null_signal)


def test_nodal_stage(nodal):
    text = words(nodal)
    assert "Ordinal C" in text
    assert "AUC for N1 or worse" in text
    assert "AUC for N2" in text
    assert "An unobserved stage is never counted as N0." in text
    assert "D-calibration" not in text


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"waived": {}}, ""),
        ({"accrual": ()}, "Accrual not dated."),
        ({"not_recorded": {}}, ""),
        ({"checks": ()}, "No leakage checks."),
    ],
)
def test_limitations_follow_the_run(survival, change, said):
    assert said in plain(limitations(View(replace(survival, **change))))


def test_limitations_name_what_happened(survival):
    told = plain(limitations(View(survival)))
    for head in (
        "Criteria not assessed.",
        "Not recorded.",
        "Deviation from the protocol.",
        "Smaller than recommended.",
        "Individual risks are unstable.",
        "Missing values.",
        "No external validation.",
        "Unknown eligibility.",
        "Leakage check to look at.",
        "Horizons refused.",
        "Few centres.",
    ):
        assert head in told, head
    quiet = plain(limitations(View(replace(survival, not_recorded={}, optimism=None))))
    assert "Not recorded." not in quiet
    assert "unstable" not in quiet


def test_leakage_is_said_first(survival):
    bad = Check(id="x", title="Folds overlap", verdict="fail", finding="9 fits", limit="0")
    contents = replace(survival, checks=(bad,))
    text = words(contents)
    assert "Leakage was found: do not rely on the performance figures." in text
    assert "✗ FAILED" in text
    assert plain(limitations(View(contents))).startswith("Leakage check failed.")


def test_tripod_has_every_row_filled_or_marked(survival, nodal):
    assert len(checklist()) == 52
    for contents in (survival, nodal):
        for answer in answers(View(contents)):
            assert plain([answer.text]).strip(), answer.item.item
            marked = any(isinstance(p, Strong) and p.text == "To write: " for p in answer.text)
            assert marked == (answer.status in {"author", "both"})
            if answer.item.applies == ("E",):
                assert answer.status == "not applicable"
    status = {a.item.item: a.status for a in answers(View(survival))}
    assert status["20a"] == status["23a"] == status["12a"] == "run"
    assert status["17"] == status["18a"] == "author"


def test_external_evaluation_turns_the_checklist_round(survival):
    first = replace(survival.analyses[0], population="external")
    view = View(replace(survival, analyses=(first,)))
    status = {a.item.item: a.status for a in answers(view)}
    assert status["12a"] == "not applicable"
    assert status["12g"] == "run"
    compose(view.contents)


def test_a_run_with_nothing_optional(survival):
    bare = replace(
        survival,
        optimism=None,
        sample_size=None,
        models=(),
        checks=(),
        inputs={},
        settings={},
        constants={},
        waived={},
        not_recorded={},
        versions={},
        analyses=survival.analyses[:1],
    )
    assert "Riley’s criteria were not computed" in words(bare)


def test_many_centres_and_long_names_fit(survival):
    first = survival.analyses[0]
    names = {"All": 160, **{f"Hospital of the Extremely Long Name {k}": 10 for k in range(9)}}
    table = replace(first.table1, groups=names)
    document = compose(replace(survival, analyses=(replace(first, table1=table),)))
    tables = [
        b for b in document.blocks if isinstance(b, DataTable) and b.anchor.startswith("table1")
    ]
    assert len(tables) == 3
    assert max(len(t.columns) for t in tables) == 7


def test_both_files_are_written(nodal, tmp_path):
    write_report(nodal, tmp_path)
    assert (tmp_path / "report.html").stat().st_size > 100_000
    assert (tmp_path / "report.pdf").read_bytes().startswith(b"%PDF-")


def test_slides_are_counted_stage_by_stage(survival, survival_text):
    stage = SlideStage(stage="slide quality", kept=7, excluded=2, failed=1, unknown=0)
    text = words(replace(survival, slides=(stage,)))
    assert "Slides and section pairs by stage" in text
    assert "slide quality 7 2 1 0" in " ".join(text.split())
    assert "Slides and section pairs by stage" not in survival_text


def test_what_readers_replaced_is_counted_by_kind(survival, survival_text):
    told = (
        ReaderVerdicts(about="E6", replaced="excluded", verdict="kept", n=2, readers=1),
        ReaderVerdicts(
            about="slide quality", replaced="unknown", verdict="excluded", n=1, readers=1
        ),
    )
    text = " ".join(words(replace(survival, reader_verdicts=told)).split())
    assert "3 verdicts of the rules were replaced by a reader" in text
    assert "slide quality unknown excluded 1 1" in text
    assert "replaced by a reader" not in survival_text
    lesion = ReaderVerdicts(
        about=ACCEPTED_LESION, replaced="no lesion", verdict="accepted", n=1, readers=1
    )
    text = " ".join(words(replace(survival, reader_verdicts=(lesion,))).split())
    assert "In 1 patient the lesion that is measured is one that a reader accepted" in text
    assert "of the rules" not in text[text.index("Verdicts replaced by readers") :][:200]
