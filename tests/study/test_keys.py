"""Every field of every argument of both demonstrations counts, for its step and those after it."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterator, Mapping
from contextlib import suppress
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import BaseModel

from metasight.engine.contents import Contents, Folder
from metasight.engine.step import Step, StepKind
from metasight.errors import MetasightError
from metasight.plan.analysis import cohort_step, plan_analyses
from metasight.plan.fits import attention_steps, fit_steps, judge_steps
from metasight.plan.report import report_steps
from metasight.plan.scans import scan_steps
from metasight.plan.slides import slide_steps
from metasight.simulate.breast.settings import BreastSettings
from metasight.simulate.breast.study_file import study_toml as breast_toml
from metasight.simulate.lung.settings import LungSettings
from metasight.simulate.lung.study_file import study_toml as lung_toml
from metasight.study.file import read_study

SPLITS = [
    {"scheme": "kfold", "repeat": 0, "fold": 0},
    {"scheme": "kfold", "repeat": 0, "fold": 1},
    {"scheme": "centre", "repeat": 0, "fold": 0},
]


def plan(folder: Path, **changed: Any) -> list[Step]:
    """All steps of a study of which nothing was run; what screening finds is made up.

    ``changed`` are parts of its protocol.
    """
    study, contents = read_study(folder), Contents()
    if changed:
        protocol = study.protocol.model_copy(update=changed)
        study = dataclasses.replace(study, protocol=protocol)
    images = (*slide_steps(study, contents), *scan_steps(study, contents))
    cohort = cohort_step(study, images, contents)
    info = {
        "as_written": ["P1", "P2"],
        "all_eligible": ["P1", "P2", "P3"],
        "verdicts": {},
        "screened": 3,
        "windows_checked": ["age_years"],
    }
    analyses = tuple(plan_analyses(study, cohort, info, contents))
    steps = [*images, cohort, *(a.data for a in analyses)]
    needs: list[Step] = [cohort]
    for analysis in analyses:
        fits = fit_steps(study, analysis, SPLITS, contents)
        judged = judge_steps(study, analysis, fits, info["windows_checked"], contents)
        steps += [*fits, *judged]
        needs += [analysis.data, *judged]
        needs += [s for s in fits if s.kind in {StepKind.FIT_EVERYBODY, StepKind.FIT_RESAMPLE}]
    steps += report_steps(study, analyses, needs, {"numpy": ("2.0",)}, contents)
    steps += attention_steps(study, images, [s for s in steps if s.kind is StepKind.FIT], contents)
    return steps


@pytest.fixture(scope="module", params=["breast", "lung"])
def demonstration(request, tmp_path_factory) -> Path:
    """The demonstration's study.toml over files that hold nothing but their names."""
    folder = tmp_path_factory.mktemp(request.param) / "study"
    folder.mkdir()
    if request.param == "breast":
        (folder / "study.toml").write_text(breast_toml(BreastSettings(), 1))
        rows = []
        for patient in ("A", "B", "C", "D", "E", "F"):
            rows.append((patient, f"{patient}-he.svs", "H&E", ""))
            rows.append((patient, f"{patient}-if.ome.tif", "fluorescence", "Pan-CK;CD3;CD20"))
        place, table = "slides", pd.DataFrame(rows, columns=["patient", "file", "stain", "markers"])
    else:
        (folder / "study.toml").write_text(lung_toml(LungSettings(genes=20), 1))
        place = "scans"
        rows = [("A", "CT", "A/CT", "", "", "", ""), ("A", "mask", "A/m.nii.gz", "", "", "", "")]
        rows += [("B", "CT", "B/CT", "", "", "", ""), ("B", "mask", "", "", "1", "2", "3")]
        columns = ["patient", "kind", "path", "roi", "x_mm", "y_mm", "z_mm"]
        table = pd.DataFrame(rows, columns=columns)
    table.to_csv(folder / f"{place}.csv", index=False)
    (folder / place).mkdir()
    for row in rows:
        if row[1 if place == "slides" else 2]:
            file = folder / place / row[1 if place == "slides" else 2]
            file.parent.mkdir(exist_ok=True)
            file.write_text(f"content of {file.name}")
    for name in ("patients.csv", "expression.csv"):
        (folder / name).write_text("patient,place\nA,1\nB,1\nC,1\nD,1\nE,1\nF,1\n")
    (folder / "gene_sets.gmt").write_text("SET\tx\tG1\tG2\n")
    return folder


def other(value: Any, tmp_path: Path) -> Iterator[Any]:  # noqa: C901 - a case a kind
    """Values that differ from one in one place each."""
    if isinstance(value, Enum):
        yield next((v for v in type(value) if v is not value), f"not {value}")
    elif isinstance(value, bool):
        yield not value
    elif isinstance(value, int):
        yield value + 1
    elif isinstance(value, float):
        yield value + 0.5 if np.isfinite(value) else 0.0
    elif isinstance(value, str):
        yield value + "x"
    elif value is None:
        yield 1.5
    elif isinstance(value, dt.date):
        yield value + dt.timedelta(days=1)
    elif isinstance(value, Path):
        (tmp_path / "another").write_text("another content")
        yield tmp_path / "another"
    elif isinstance(value, Folder):
        yield dataclasses.replace(value, files=value.files[:-1])
    elif isinstance(value, Mapping):
        yield {**value, "one more": 1}
        for name, inner in list(value.items())[:1]:
            yield from ({**value, name: changed} for changed in other(inner, tmp_path))
    elif isinstance(value, list):
        yield [*value, "one more"]
    elif isinstance(value, tuple):
        yield (*value, value[-1] if value else "one more")
        if value:
            yield from ((changed, *value[1:]) for changed in other(value[0], tmp_path))
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            for changed in other(getattr(value, name), tmp_path):
                yield value.model_copy(update={name: changed})
    elif dataclasses.is_dataclass(value):
        for f in dataclasses.fields(value):
            for changed in other(getattr(value, f.name), tmp_path):
                with suppress(MetasightError, TypeError):  # no such settings
                    yield dataclasses.replace(value, **{f.name: changed})
    else:
        raise TypeError(type(value).__name__)


def again(steps: list[Step], changed: Step, argument: Any) -> dict[str, str]:
    """Keys of the plan with one step's argument changed."""
    made: dict[str, Step] = {}
    for step in steps:
        needs = tuple(made.get(n.name, n) for n in step.needs)
        own = argument if step.name == changed.name else step.argument
        if own is step.argument and all(
            a.key == b.key for a, b in zip(needs, step.needs, strict=True)
        ):
            made[step.name] = step
        else:
            made[step.name] = dataclasses.replace(step, argument=own, needs=needs)
    return {name: s.key for name, s in made.items()}


def after(steps: list[Step], first: Step) -> set[str]:
    """The step and all that rest on it."""
    found = {first.name}
    for step in steps:
        if any(n.name in found for n in step.needs):
            found.add(step.name)
    return found


def test_the_plan_is_the_same_each_time_and_wherever_it_lies(demonstration, tmp_path):
    import shutil

    there = shutil.copytree(demonstration, tmp_path / "elsewhere")
    one, two = ({s.name: s.key for s in plan(f)} for f in (demonstration, there))
    assert one == two


def test_every_field_of_every_argument_changes_its_step_and_those_after_it(demonstration, tmp_path):
    steps = plan(demonstration)
    before = {s.name: s.key for s in steps}
    assert len(before) == len(steps), "names are unique"
    looked: set[tuple[str, str]] = set()
    perturbed = 0
    for step in steps:
        if step.argument is None:
            continue
        rests = after(steps, step)
        for field in dataclasses.fields(step.argument):
            # whole settings and protocols in every step of a kind would take an hour
            if (step.function.__name__, field.name) in looked:
                continue
            looked.add((step.function.__name__, field.name))
            for value in other(getattr(step.argument, field.name), tmp_path):
                argument = dataclasses.replace(step.argument, **{field.name: value})
                now = (
                    again([step], step, argument)
                    if perturbed % 25
                    else again(steps, step, argument)
                )
                changed = {name for name, key in now.items() if key != before[name]}
                assert changed == (rests if len(now) > 1 else {step.name}), (step.name, field.name)
                perturbed += 1
    assert perturbed > 500


def changed_steps(folder: Path, **changed: Any) -> list[Step]:
    """Steps whose key is another where parts of the protocol are changed."""
    now = {s.name: s.key for s in plan(folder, **changed)}
    return [s for s in plan(folder) if s.key != now[s.name]]


def first_changed(parts: tuple[Any, ...], **changed: Any) -> tuple[Any, ...]:
    """The first of some parts of a protocol changed."""
    return (parts[0].model_copy(update=changed), *parts[1:])


def test_wording_and_endpoints_measure_no_image_again(demonstration):
    protocol = read_study(demonstration).protocol
    endpoint = first_changed(protocol.endpoint, label="another label")
    texts = tuple(c.model_copy(update={"text": f"{c.text}, reworded"}) for c in protocol.criterion)
    sources = tuple(d.model_copy(update={"source": "elsewhere"}) for d in protocol.definition)
    variables = first_changed(protocol.variable, label="another label")
    for changes in (
        {"endpoint": endpoint},
        {"criterion": texts},
        {"title": "another title"},
        {"definition": sources},
        {"variable": variables},
    ):
        found = changed_steps(demonstration, **changes)
        assert found, "the report tells of it"
        assert not [s.name for s in found if s.kind.measures], changes


def test_a_new_version_of_the_protocol_draws_sheets_and_measures_no_image_again(demonstration):
    found = changed_steps(demonstration, version="99.0.0")
    assert {s.kind for s in found if s.kind.measures} <= {StepKind.DRAW_SHEET}


def test_the_density_of_positive_regions_changes_agreement_and_sheets_alone(demonstration):
    """Maps are compared by it, and the sheets' colours are scaled by it."""
    protocol = read_study(demonstration).protocol
    if not protocol.marker:
        pytest.skip("a study without markers")
    marker = first_changed(protocol.marker, positive_per_mm2=7.0)
    found = changed_steps(demonstration, marker=marker)
    assert {s.kind for s in found if s.kind.measures} == {
        StepKind.COMPARE_MAPS,
        StepKind.DRAW_SHEET,
    }


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("slide_quality_tissue_area_mm2", StepKind.CHECK_SLIDE),
        ("tls", StepKind.MEASURE_SLIDES),
        ("alignment_error_gate_um", StepKind.MEASURE_SLIDES),
    ],
)
def test_a_definition_changes_what_is_measured_by_it(demonstration, name, first):
    protocol = read_study(demonstration).protocol
    if name not in {d.name for d in protocol.definition}:
        pytest.skip("a study without slides")

    def more(value: Any) -> Any:
        return tuple(v + 1 for v in value) if isinstance(value, tuple) else value + 1

    definitions = tuple(
        d.model_copy(update={"value": more(d.value)}) if d.name == name else d
        for d in protocol.definition
    )
    found = {s.name for s in changed_steps(demonstration, definition=definitions)}
    steps = plan(demonstration)
    of_kind = [s for s in steps if s.kind is first]
    assert of_kind
    assert set().union(*(after(steps, s) for s in of_kind)) <= found
    if first is StepKind.MEASURE_SLIDES:
        kept = {StepKind.CHECK_SLIDE, StepKind.READ_MARKERS, StepKind.EMBED_PATCHES}
        assert not [s.name for s in steps if s.kind in kept and s.name in found]


def test_the_limit_of_a_criterion_on_slides_is_held_against_them_again(demonstration):
    protocol = read_study(demonstration).protocol
    asked = protocol.criteria_on("tumour_area_percent")
    if not asked:
        pytest.skip("a study that asks for no tumour area")
    condition = asked[0].condition.model_copy(update={"below": 17.0})
    criteria = tuple(
        c.model_copy(update={"condition": condition}) if c is asked[0] else c
        for c in protocol.criterion
    )
    found = changed_steps(demonstration, criterion=criteria)
    kinds = {s.kind for s in found if s.kind.measures}
    assert StepKind.MEASURE_SLIDES in kinds
    assert not kinds & {StepKind.CHECK_SLIDE, StepKind.READ_MARKERS, StepKind.EMBED_PATCHES}


def test_a_changed_input_file_changes_what_reads_it(demonstration):
    steps = plan(demonstration)
    before = {s.name: s.key for s in steps}
    folder = demonstration / ("slides" if (demonstration / "slides").is_dir() else "scans")
    file = next(p for p in sorted(folder.rglob("*")) if p.is_file())
    text = file.read_text()
    file.write_text(text + " changed")
    try:
        now = {s.name: s.key for s in plan(demonstration)}
    finally:
        file.write_text(text)
    changed = {name for name in before if before[name] != now[name]}
    first = next(s for s in steps if s.name in changed)
    assert first.kind in {StepKind.CHECK_SLIDE, StepKind.MEASURE_SCANS}
    assert changed <= set().union(
        *(after(steps, s) for s in steps if s.subject == first.subject)
    ) | (after(steps, first))
    untouched = [s for s in steps if s.kind is first.kind and s.subject != first.subject]
    assert untouched
    assert all(before[s.name] == now[s.name] for s in untouched)


def test_a_model_that_is_added_fits_itself_and_no_other(demonstration):
    text = (demonstration / "study.toml").read_text()
    before = {s.name: s.key for s in plan(demonstration)}
    kind = "npi" if "breast-dmfs" in text else "nodal_size"
    more = f'\n[[model]]\nkind = "{kind}"\nname = "one more"\n'
    (demonstration / "study.toml").write_text(text + more)
    try:
        now = {s.name: s.key for s in plan(demonstration)}
    finally:
        (demonstration / "study.toml").write_text(text)
    changed = {name for name in before if before[name] != now.get(name)}
    assert not any(
        name.startswith(("fit ", "check ", "scans of ", "cohort", "data ")) for name in changed
    )
    assert any(name.startswith("fit ") and "one more" in name for name in set(now) - set(before))


def test_plans_learn_in_kinds_that_say_so(demonstration):
    kinds = {s.kind for s in plan(demonstration)}
    assert {k for k in kinds if k.learns} == {
        k for k in kinds if k.value.startswith(("fit", "train"))
    }
