"""Results where people look for them: whole, checked, replaced only where metasight made them."""

from __future__ import annotations

import hashlib
from pathlib import Path
from types import SimpleNamespace

import pytest

from metasight.cohort.settings import CohortSettings
from metasight.engine.step import StepKind
from metasight.errors import StudyError
from metasight.plan.publishing import (
    MARK,
    mark,
    openings,
    publish,
    require_latest,
    set_out,
)
from metasight.steps import artefacts

FILES = {
    "report": {"report.html": b"<p>risk</p>", "report.pdf": b"%PDF"},
    "sheet": {"sheet.html": b"<p>slide</p>"},
    "fit": {"state.json": b"{}"},
}


class Made:
    """What stands for the store of a run: three steps with their files."""

    def __init__(self) -> None:
        self.copied: list[str] = []
        self.contents = SimpleNamespace(
            file=lambda path: hashlib.sha256(Path(path).read_bytes()).hexdigest()
        )
        self.store = SimpleNamespace(listing=self._listing)

    def _listing(self, key: str) -> SimpleNamespace:
        files = FILES[key].items()
        return SimpleNamespace(files={n: (len(b), hashlib.sha256(b).hexdigest()) for n, b in files})

    def copy(self, step: SimpleNamespace, target: Path) -> None:
        self.copied.append(step.key)
        target.mkdir(parents=True, exist_ok=True)
        for name, content in FILES[step.key].items():
            (target / name).write_bytes(content)


STEPS = (
    SimpleNamespace(kind=StepKind.WRITE_REPORT, subject="", key="report"),
    SimpleNamespace(kind=StepKind.DRAW_SHEET, subject="P01", key="sheet"),
    SimpleNamespace(kind=StepKind.FIT, subject="", key="fit"),
)


@pytest.fixture
def study(tmp_path: Path) -> SimpleNamespace:
    settings = CohortSettings.model_validate(
        {"key": "ab12" * 16, "patients": {"path": "patients.csv", "id": "id"}, "columns": {}}
    )
    (tmp_path / "patients.csv").write_text("id,Surname\nMRN-4711,Kanarius\n")
    return SimpleNamespace(
        secret_key=settings.key, folder=tmp_path, results=tmp_path / "results", settings=settings
    )


def test_files_go_where_their_kind_belongs_and_fits_stay_inside(study) -> None:
    work = Made()
    final = publish(study, "abc", STEPS, work)
    assert (final / "report.html").read_bytes() == b"<p>risk</p>"
    assert (final / "slides" / "P01" / "sheet.html").is_file()
    assert not list(final.rglob("state.json"))
    assert (study.results / "latest").resolve() == final.resolve()
    assert sorted(p.name for p in study.results.iterdir()) == ["abc", "latest"]


def test_what_is_whole_is_not_copied_again(study) -> None:
    publish(study, "abc", STEPS, Made())
    again = Made()
    publish(study, "abc", STEPS, again)
    assert again.copied == []


@pytest.mark.parametrize("damage", ["changed", "deleted"])
def test_a_published_file_that_was_altered_is_put_back(study, damage) -> None:
    final = publish(study, "abc", STEPS, Made())
    if damage == "changed":
        (final / "report.html").write_bytes(b"<p>no risk</p>")
    else:
        (final / "report.html").unlink()
    publish(study, "abc", STEPS, Made())
    assert (final / "report.html").read_bytes() == b"<p>risk</p>"


def test_latest_points_at_the_last_run_and_a_validation_has_its_own(study) -> None:
    publish(study, "abc", STEPS, Made())
    publish(study, "def", STEPS, Made())
    publish(study, "ghi", STEPS, Made(), latest="latest-validation")
    assert (study.results / "latest").resolve().name == "def"
    assert (study.results / "latest-validation").resolve().name == "ghi"
    assert (study.results / "abc").is_dir(), "earlier runs stay"


def test_a_folder_of_the_users_is_not_taken_for_the_link(study) -> None:
    (study.results / "latest").mkdir(parents=True)
    with pytest.raises(StudyError, match=r"results/latest.*Move it away"):
        publish(study, "abc", STEPS, Made())
    assert (study.results / "latest").is_dir()


def test_where_there_are_no_links_the_latest_is_a_copy(study, monkeypatch) -> None:
    def none(*_: object, **__: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(Path, "symlink_to", none)
    publish(study, "abc", STEPS, Made())
    publish(study, "def", STEPS, Made())
    latest = study.results / "latest"
    assert not latest.is_symlink()
    assert (latest / "report.html").read_bytes() == b"<p>risk</p>"
    assert sorted(p.name for p in study.results.iterdir()) == ["abc", "def", "latest"]
    # a disk with links again: the copy is ours to replace
    monkeypatch.undo()
    publish(study, "abc", STEPS, Made())
    assert latest.resolve().name == "abc"


def test_a_study_that_was_copied_without_its_link_runs_again(study) -> None:
    (study.results / "abc").mkdir(parents=True)
    (study.results / "abc" / artefacts.MANIFEST.name).write_text('{"run": "abc"}')
    (study.results / "latest").mkdir()
    (study.results / "latest" / artefacts.MANIFEST.name).write_text('{"run": "other"}')
    with pytest.raises(StudyError, match=r"results/latest.*Move it away"):
        require_latest(study)
    (study.results / "latest" / artefacts.MANIFEST.name).write_text('{"run": "abc"}')
    require_latest(study)
    publish(study, "def", STEPS, Made())
    assert (study.results / "latest").resolve().name == "def"


def test_a_folder_that_the_user_named_is_replaced_only_where_it_is_ours(
    study, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    set_out(study, STEPS, out, Made())
    assert (out / MARK).is_file()
    (out / "old.txt").write_text("of the run before")
    set_out(study, STEPS, out, Made())
    assert not (out / "old.txt").exists()
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "thesis.docx").write_text("x")
    with pytest.raises(StudyError, match="not empty"):
        set_out(study, STEPS, theirs, Made())
    assert (theirs / "thesis.docx").is_file()
    mark(theirs)
    set_out(study, STEPS, theirs, Made())
    assert not (theirs / "thesis.docx").exists()


@pytest.mark.parametrize(("said", "what"), [("MRN-4711", "the id"), ("kanarius", "the name")])
def test_nothing_that_names_a_patient_is_published(
    study, monkeypatch, tmp_path: Path, said: str, what: str
) -> None:
    publish(study, "abc", STEPS, Made())
    monkeypatch.setitem(FILES["report"], "report.html", f"<h1>Of {said}</h1>".encode())
    for put in (
        lambda: publish(study, "def", STEPS, Made()),
        lambda: set_out(study, STEPS, tmp_path / "out", Made()),
    ):
        with pytest.raises(StudyError, match=f"the results would contain {what} of a") as refusal:
            put()
        assert said not in str(refusal.value)
        assert "(html)" in str(refusal.value)
    assert (study.results / "latest").resolve().name == "abc"
    assert sorted(p.name for p in study.results.iterdir()) == ["abc", "latest"]
    assert not [p for p in tmp_path.iterdir() if p.name.startswith((".out", "out"))]


def test_an_opening_is_counted_once_a_model(study) -> None:
    assert openings(study, "one") == 1
    assert openings(study, "two") == 2
    assert openings(study, "one") == 1
    assert openings(study, "three") == 3
