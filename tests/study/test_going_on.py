"""What goes wrong in a part of a study is said, and the study goes on."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from metasight import pipeline
from metasight.engine.progress import Silent
from metasight.errors import FitError, StudyError
from metasight.predictions import Predictions
from metasight.steps.files import read_json
from metasight.study.file import read_study

NO_SECONDARY = (
    '[[model]]\nkind = "cause_specific_cox"\nname = "cause-specific"\n'
    'endpoints = ["distant_metastasis"]\n',
    "",
)


def run(folder):
    return pipeline.run(read_study(folder), scheduler="inline", progress=Silent())[0]


def found(folder, name):
    return [read_json(p) for p in (folder / ".metasight" / "store").glob(f"*/*/{name}")]


def test_optimism_is_of_the_headline_model_whatever_the_others_are_called(
    breast_study, breast_table
):
    def optimism(name: str, first: str, second: str):
        folder = breast_study(
            replace=[
                NO_SECONDARY,
                ('kind = "forest"\nname = "forest"\nn_trees = 20\n', first + second),
                ("[columns]", '[modalities.genes]\npath = "genes.csv"\nid = "id"\n\n[columns]'),
            ],
            name=name,
        )
        genes = pd.DataFrame({"id": breast_table()["id"]})
        genes["g"] = np.random.default_rng(1).normal(size=len(genes))
        genes.to_csv(folder / "genes.csv", index=False)
        run(folder)
        return found(folder, "optimism.json")[0]

    plain = 'kind = "forest"\nname = "forest"\nn_trees = 20\n'
    genes = 'kind = "forest"\nname = "forest genes"\nn_trees = 20\nmodalities = ["genes"]\n'
    one = optimism("one", plain, "\n[[model]]\n" + genes)
    two = optimism("two", genes, "\n[[model]]\n" + plain)
    assert one == two
    assert one["model"] == "forest"


def test_later_patients_with_less_follow_up_are_judged_where_they_can_be(
    breast_study, breast_table
):
    table = breast_table(n=240)
    start = pd.to_datetime(table["operated"])
    end = (start + pd.Timedelta(days=1000)).where(start >= "2017-01-01", pd.Timestamp.max)
    for event, date in (("metastasis", "metastasis_date"), ("dead", "death_date")):
        late = pd.to_datetime(table[date]) > end
        table.loc[late, [event, date]] = ["no", ""]
    seen = pd.to_datetime(table["last_seen"])
    table["last_seen"] = seen.where(seen < end, end).dt.date.astype(str)
    folder = breast_study(
        table,
        [
            NO_SECONDARY,
            ("horizons_years = [3]", "horizons_years = [2, 5]\nfirst_test_year = 2017"),
        ],
    )
    results = run(folder)
    (temporal,) = found(folder, "temporal.json")
    assert temporal["settings"]["horizons_days"] == [730]
    notes = [n for n in found(folder, "notes.json") if n]
    assert "The later patients cannot be judged at 1826 days" in notes[0][0]
    assert (results / "predictions_temporal.parquet").is_file()
    assert "later patients cannot be judged" in (results / "report.html").read_text()


def test_a_centre_that_holds_every_event(breast_study, breast_table):
    table = breast_table()
    event = table["metastasis"].eq("yes") | table["dead"].eq("yes")
    table["hospital"] = np.where(event, "North", table["hospital"])
    folder = breast_study(table, [NO_SECONDARY])
    results = run(folder)
    text = (results / "report.html").read_text()
    assert "Centre North has all events and cannot be left out." in text
    assert "Leave-one-centre-out could not be evaluated" in text


def test_an_endpoint_without_a_supported_horizon_is_skipped(breast_study, breast_table):
    folder = breast_study()
    table = breast_table()
    late = table["metastasis"].eq("yes") & table.index.isin(
        table.index[table["metastasis"].eq("yes")][3:]
    )
    table.loc[late, ["metastasis", "metastasis_date"]] = ["no", ""]
    days = pd.to_datetime(table["metastasis_date"]) - pd.to_datetime(table["operated"])
    assert days.notna().sum() == 3
    table.to_csv(folder / "patients.csv", index=False)
    results = run(folder)
    predictions = Predictions.from_parquet(results / "predictions.parquet")
    assert "dmfs" in predictions.endpoints
    assert "distant_metastasis" not in predictions.endpoints
    assert "Not analysed" in (results / "report.html").read_text()


def test_when_every_fit_fails_the_reason_is_told(breast_study, breast_table):
    table = breast_table()
    table[["age", "size", "nodes", "grade", "er"]] = [58, 20, 1, 2, "yes"]
    folder = breast_study(table, [NO_SECONDARY])
    with pytest.raises(FitError, match=r"no column varies|constant"):
        run(folder)


def test_a_deleted_report_is_put_back(breast_study):
    folder = breast_study(replace=[NO_SECONDARY])
    results = run(folder)
    before = (results / "predictions.parquet").read_bytes()
    (results / "report.html").unlink()
    (results / "predictions.parquet").write_bytes(b"PA")
    run(folder)
    assert (results / "report.html").is_file()
    assert (results / "predictions.parquet").read_bytes() == before


def test_the_salt_is_not_kept(breast_study):
    folder = breast_study(replace=[NO_SECONDARY])
    run(folder)
    for path in [*folder.glob(".metasight/**/*"), *folder.glob("results/**/*")]:
        if path.is_file():
            assert b"a salt for tests" not in path.read_bytes(), path.name


def test_a_spoilt_memory_of_the_last_run_is_ignored(breast_study):
    folder = breast_study(replace=[NO_SECONDARY])
    pipeline.screen(read_study(folder), progress=Silent())
    (folder / ".metasight" / "last_run.json").write_text("{")
    assert pipeline.look(read_study(folder), progress=Silent())


def test_external_patients_are_not_dealt_into_folds(breast_study, breast_table):
    folder = breast_study(
        breast_table().assign(menopause="yes"),
        [NO_SECONDARY, ('grade = "grade"', 'grade = "grade"\npostmenopausal = "menopause"')],
    )
    run(folder)
    few = breast_table(n=60, seed=4)
    few = pd.concat(
        [
            few[few["dead"].eq("yes") | few["metastasis"].eq("yes")].head(4),
            few[few["dead"].eq("no") & few["metastasis"].eq("no")].head(4),
        ]
    )
    external = breast_study(few, [NO_SECONDARY, ("a salt", "another salt")], name="external")
    bundle = folder / "results" / "latest" / "bundle"
    results = pipeline.validate(bundle, external, scheduler="inline", progress=Silent())
    assert (results / "report.html").is_file()
    with pytest.raises(StudyError, match="also among the training patients"):
        pipeline.validate(bundle, folder, scheduler="inline", progress=Silent())
    assert pipeline.look(read_study(folder), progress=Silent()) == ()
