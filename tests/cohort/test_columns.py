"""Columns become values in a whole study: codes, dates, derived values, one status and one time."""

from __future__ import annotations

from itertools import count

import numpy as np
import pandas as pd
import pytest

from metasight.cohort.read import read_cohort
from metasight.errors import TableError
from metasight.ledger import Fate
from metasight.study.file import read_study

OUTCOME = (
    'distant_metastasis = "metastasis"\ndistant_metastasis_date = "metastasis_date"\n'
    'death = "dead"\ndeath_date = "death_date"\nfollowup_date = "last_seen"\n'
)


def cohort_of(folder):
    study = read_study(folder)
    return read_cohort(study.folder, study.settings, study.protocol)


def problems_of(folder):
    with pytest.raises(TableError) as caught:
        cohort_of(folder)
    return caught.value.problems


def days(table, column):
    day = pd.to_datetime(table[column]) - pd.to_datetime(table["operated"])
    return day.dt.days


def one_status(table):
    """The usual survival table: which event came first, and when."""
    dm, dead = days(table, "metastasis_date"), days(table, "death_date")
    first = pd.concat([dm, dead], axis=1).min(axis=1)
    status = np.where(dm.notna() & ~(dead < dm), "DM", np.where(dead.notna(), "dead", "alive"))
    told = table.drop(columns=["metastasis", "metastasis_date", "dead", "death_date"])
    return told.assign(status=status, time=first.fillna(days(table, "last_seen")).clip(lower=1))


STATUS = (
    '[[time_and_status]]\ntime = "time"\nstatus = "status"\ncodes = { alive = "censored", '
    'DM = "distant_metastasis", dead = "death" }\n\n[analysis]'
)


@pytest.fixture
def status_study(breast_study, breast_table):
    names = map("status {}".format, count())

    def of(change=lambda t: t, status=STATUS):
        table = change(one_status(breast_table()))
        return breast_study(table, [(OUTCOME, ""), ("[analysis]", status)], name=next(names))

    return of


def test_one_time_and_one_status_give_the_outcome_of_separate_columns(breast_study, status_study):
    plain, told = cohort_of(breast_study()).table, cohort_of(status_study()).table
    event = plain[["distant_metastasis_days", "death_days"]].min(axis=1)
    found = told[["distant_metastasis_days", "death_days"]].min(axis=1)
    pd.testing.assert_series_equal(found, event)
    dead_first = plain["distant_metastasis"].eq(0) & plain["death"].eq(1)
    assert told.loc[dead_first, "death"].eq(1).all()
    assert told.loc[plain["distant_metastasis"].eq(1), "distant_metastasis"].eq(1).all()
    alive = found.isna()
    assert (told.loc[alive, "followup_days"] == plain.loc[alive, "followup_days"]).all()


@pytest.mark.parametrize("on_problem", ["stop", "exclude"])
def test_a_code_that_is_not_declared_is_one_problem_of_the_column(status_study, on_problem):
    """Patients are never left out by a code of their outcome."""
    folder = status_study(lambda t: t.replace({"status": {"alive": "lost"}}))
    toml = folder / "study.toml"
    toml.write_text(toml.read_text().replace('"stop"', f'"{on_problem}"'))
    (problem,) = problems_of(folder)
    assert (problem.row, problem.column) == (None, "status")
    assert problem.problem == "1 code not defined in study.toml"
    assert problem.value.startswith("lost in ")
    assert problem.accepted.startswith("one of alive, DM, dead")


def test_an_undeclared_code_of_an_event_is_a_problem_of_its_column_too(breast_study, breast_table):
    table = breast_table()
    table.loc[[2, 5], "dead"] = "lost"
    coded = 'death = { column = "dead", values = { yes = true, no = false } }'
    folder = breast_study(
        table, [('death = "dead"', coded), ('on_problem = "stop"', 'on_problem = "exclude"')]
    )
    (problem,) = problems_of(folder)
    assert (problem.row, problem.column, problem.value) == (None, "dead", "lost in 2 rows")


def test_codes_and_units_of_a_status(status_study):
    plain = cohort_of(status_study())
    months = STATUS.replace('time = "time"', 'time = "time"\nunit = "months"')
    coded = months.replace("alive =", "0 =").replace("DM =", "1 =").replace("dead =", "2 =")

    def change(table):
        codes = table["status"].map({"alive": 0.0, "DM": 1.0, "dead": 2.0})
        return table.assign(status=codes, time=table["time"] / (365.25 / 12))

    told = cohort_of(status_study(change, coded))
    pd.testing.assert_frame_equal(told.table, plain.table)


@pytest.mark.parametrize(
    ("status", "problem"),
    [
        (STATUS.replace('"distant_metastasis"', '"relapse"'), "no event of the protocol"),
        (STATUS.replace('time = "time"', 'time = "times"'), "missing column"),
        (STATUS.replace('time = "time"', 'time = "time"\nunit = "moons"'), "unknown unit"),
        (STATUS.replace('time = "time"', 'time = "id"'), "patient id is mapped"),
    ],
)
def test_a_status_that_makes_no_sense(status_study, status, problem):
    assert problem in problems_of(status_study(status=status))[0].problem


def test_an_outcome_is_given_once(breast_study, breast_table):
    folder = breast_study(one_status(breast_table()), [("[analysis]", STATUS)])
    assert any("[[time_and_status]]" in p.problem for p in problems_of(folder))


def test_one_column_of_times_for_several_events_names_the_remedy(breast_study, breast_table):
    table = breast_table().assign(time=900)
    folder = breast_study(
        table,
        [
            ('distant_metastasis_date = "metastasis_date"', 'distant_metastasis_days = "time"'),
            ('death_date = "death_date"', 'death_days = "time"'),
        ],
    )
    (problem,) = problems_of(folder)
    assert "one column of times is mapped to distant_metastasis_days, death_days" in problem.problem
    assert '[[time_and_status]] with time = "time"' in problem.accepted


def test_ages_and_days_are_counted_from_other_columns(breast_study, breast_table):
    table = breast_table()
    plain = cohort_of(breast_study()).table
    born = pd.to_datetime(table["operated"]) - pd.to_timedelta(table["age"] * 365.25 + 20, "D")
    table["born"] = born.dt.strftime("%Y-%m-%d")
    table["diagnosis_to_surgery"] = 30
    table["diagnosis_to_death"] = days(table, "death_date") + 30
    folder = breast_study(
        table,
        [
            ('age_years = "age"', 'age_years = { years_between = ["born", "operated"] }'),
            (
                'death = "dead"\ndeath_date = "death_date"',
                'death = { filled = "diagnosis_to_death" }\n'
                'death_days = { days_between = ["diagnosis_to_surgery", "diagnosis_to_death"] }',
            ),
        ],
        name="derived",
    )
    told = cohort_of(folder).table
    assert (told["age_years"] - plain["age_years"]).abs().max() <= 1
    pd.testing.assert_series_equal(told["death_days"], plain["death_days"])
    pd.testing.assert_series_equal(told["death"], plain["death"])


def test_a_date_of_birth_is_never_shown(breast_study, breast_table):
    table = breast_table().assign(born="1960-05-17")
    table.loc[0, "born"] = "17.05.1961"
    folder = breast_study(
        table, [('age_years = "age"', 'age_years = { years_between = ["born", "operated"] }')]
    )
    (problem,) = problems_of(folder)
    assert "neither a date nor a number of days" in problem.problem
    assert "1961" not in str(problem)


def test_real_dates_and_texts_in_one_column(breast_study, breast_table):
    table = breast_table().astype(object)
    plain = cohort_of(breast_study()).table
    day = pd.to_datetime(table["operated"])
    table["operated"] = [
        d.strftime("%d.%m.%Y") if i % 2 else d.to_pydatetime() for i, d in enumerate(day)
    ]
    folder = breast_study(
        replace=[
            ("patients.csv", "patients.xlsx"),
            ('"operated"', '{ column = "operated", date_format = "%d.%m.%Y" }'),
        ],
        name="dates",
    )
    table.to_excel(folder / "patients.xlsx", index=False)
    pd.testing.assert_frame_equal(cohort_of(folder).table, plain)


def test_a_plain_share_beside_percentages_is_a_problem(breast_study, breast_table):
    table = breast_table().assign(area="45%")
    table.loc[3, "area"] = "0.45"
    replace = [
        ('E6 = "no slides in a test"\n', ""),
        ('"grade"\n', '"grade"\ntumour_area_percent = "area"\n'),
    ]
    (problem,) = problems_of(breast_study(table, replace))
    assert (problem.row, problem.column) == (5, "area")
    table.loc[3, "area"] = "45"
    read = cohort_of(breast_study(table, replace, name="right"))
    assert set(read.table["tumour_area_percent"]) == {45.0}


JOINED = (
    '[tables.pathology]\npath = "pathology.csv"\nid = "case"\nmissing = [9]\n\n[columns]',
    'grade = { table = "pathology", column = "g" }\n',
)


@pytest.fixture
def joined_study(breast_study, breast_table):
    def of(change=lambda t: t, **more):
        table = breast_table()
        folder = breast_study(
            table.drop(columns="grade"),
            [("[columns]", JOINED[0]), ('grade = "grade"\n', JOINED[1])],
            **{"name": "joined", **more},
        )
        own = table[["id", "grade"]].rename(columns={"id": "case", "grade": "g"})
        change(own.sample(frac=1, random_state=1)).to_csv(folder / "pathology.csv", index=False)
        return folder

    return of


def test_a_second_table_is_joined_by_the_id(breast_study, joined_study):
    plain = cohort_of(breast_study()).table
    pd.testing.assert_frame_equal(cohort_of(joined_study()).table, plain)


def test_problems_of_a_joined_table_name_its_file_and_row(joined_study):
    def spoil(table):
        return table.astype(object).assign(g=["x", *table["g"][1:]])

    (problem,) = problems_of(joined_study(spoil))
    assert (problem.table, problem.row, problem.column) == ("pathology.csv", 2, "g")
    folder = joined_study(spoil, name="excluded")
    toml = folder / "study.toml"
    toml.write_text(toml.read_text().replace('on_problem = "stop"', 'on_problem = "exclude"'))
    read = cohort_of(folder)
    assert read.failed == 1
    (entry,) = [e for e in read.ledger.entries if e.verdict is Fate.FAILED]
    assert entry.item == "pathology.csv row 2"
    assert entry.patient
    assert entry.patient not in read.table.index


def test_rows_of_nobody_and_several_rows_of_one_patient(joined_study):
    def add(table):
        return pd.concat([table, pd.DataFrame({"case": ["MRN-9999"], "g": [1]})])

    read = cohort_of(joined_study(add))
    strangers = [e for e in read.ledger.entries if e.item == "pathology.csv row 152"]
    assert [e.reason for e in strangers] == ["no such patient in patients.csv"]
    (problem,) = problems_of(joined_study(lambda t: pd.concat([t, t.head(2)]), name="twice"))
    assert problem.problem == "2 patients have several rows, first in row 152"


def test_a_column_of_errors_that_is_not_read_does_not_stop_a_study(breast_study, breast_table):
    table = breast_table().assign(notes="#REF!")
    plain = cohort_of(breast_study()).table
    folder = breast_study(table, name="notes")
    text = (folder / "patients.csv").read_text().splitlines()
    text = [f"{i or ''},{line},{'notes' if not i else 'x'}" for i, line in enumerate(text)]
    (folder / "patients.csv").write_text("\n".join(text))
    pd.testing.assert_frame_equal(cohort_of(folder).table, plain)


def test_an_error_in_a_column_that_is_read_is_a_problem_of_its_patient(breast_study, breast_table):
    table = breast_table().astype(object)
    table.loc[4, "size"] = "#REF!"
    (problem,) = problems_of(breast_study(table))
    assert (problem.row, problem.column, problem.value) == (6, "size", "#REF!")
    folder = breast_study(
        table, [('on_problem = "stop"', 'on_problem = "exclude"')], name="excluded"
    )
    assert cohort_of(folder).failed == 1


@pytest.mark.parametrize("column", ["size", "dead", "death_date", "g"])
def test_a_formula_without_a_result_is_never_a_missing_value(breast_study, breast_table, column):
    table = breast_table().assign(g=1.5).astype(object)
    folder = breast_study(
        replace=[
            ("patients.csv", "patients.xlsx"),
            ("[columns]", '[modalities.x]\npath = "x.xlsx"\nid = "id"\n\n[columns]'),
        ],
    )
    if column == "death_date":
        toml = (folder / "study.toml").read_text()
        old = 'death = "dead"\ndeath_date = "death_date"'
        (folder / "study.toml").write_text(
            toml.replace(old, 'death = { filled = "death_date" }\ndeath_date = "death_date"')
        )
    table.loc[4, column] = "=1+1"
    table.drop(columns="g").to_excel(folder / "patients.xlsx", index=False)
    table[["id", "g"]].to_excel(folder / "x.xlsx", index=False)
    problems = problems_of(folder)
    assert {(p.row, p.column) for p in problems} == {(6, column)}
    assert all("formula without a stored result" in p.problem for p in problems)


WAYS = {
    "zeros": lambda i: f"{i:06d}",
    "number": lambda i: f"{i}",
    "float": lambda i: f"{i}.0",
    "padded": lambda i: f" {i} ",
    "invisible": lambda i: f"{i}\u200b",
}


@pytest.mark.parametrize("main", sorted(WAYS))
@pytest.mark.parametrize("other", sorted(WAYS))
def test_any_way_of_writing_ids_finds_the_same_patients_or_is_a_problem(
    breast_study, breast_table, main, other
):
    number = range(1, 41)
    folder = breast_study(
        breast_table().head(40).assign(id=[WAYS[main](i) for i in number]),
        [("[columns]", '[modalities.genes]\npath = "genes.csv"\nid = "id"\n\n[columns]')],
    )
    features = pd.DataFrame({"id": [WAYS[other](i) for i in number], "g": 1.5})
    features.to_csv(folder / "genes.csv", index=False)
    try:
        read = cohort_of(folder)
    except TableError as error:
        assert len(error.problems) == 1
        assert "ids meet a patient of patients.csv only when" in error.problems[0].problem
        return
    assert read.modalities["genes"]["g"].notna().all()
    assert {main, other} <= {"number", "padded", "invisible"} or main == other


ON_A_DAY = STATUS.replace('time = "time"', 'time = "last"\nunit = "date"\ndate_format = "%d.%m.%Y"')


def with_days(table):
    last = pd.to_datetime(table["operated"]) + pd.to_timedelta(table["time"], unit="D")
    return table.assign(last=last.dt.strftime("%d.%m.%Y"))


def test_a_time_that_is_a_date_is_counted_from_time_zero(status_study):
    in_days = cohort_of(status_study()).table
    on_days = cohort_of(status_study(with_days, ON_A_DAY)).table
    columns = ["distant_metastasis_days", "death_days", "followup_days"]
    pd.testing.assert_frame_equal(on_days[columns], in_days[columns])


def test_a_date_before_time_zero_is_a_problem_that_shows_no_day(status_study):
    def change(table):
        changed = with_days(table)
        changed.loc[3, "last"] = "01.01.2001"
        return changed

    (problem,) = problems_of(status_study(change, ON_A_DAY))
    assert "before time zero" in problem.problem
    assert "2001" not in str(problem)


def test_a_time_that_is_a_date_needs_time_zero(status_study):
    folder = status_study(with_days, ON_A_DAY)
    path = folder / "study.toml"
    text = "\n".join(
        line for line in path.read_text("utf-8").splitlines() if not line.startswith("surgery_date")
    )
    path.write_text(text, "utf-8")
    assert any("is counted from surgery_date" in p.problem for p in problems_of(folder))
