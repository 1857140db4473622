"""`init` proposes what columns probably are; what the cells do not settle has a question mark."""

from __future__ import annotations

import tomllib

import pandas as pd
import pytest

from metasight.cohort.mapping import ColumnMapping, TimeAndStatus
from metasight.cohort.settings import TableSettings
from metasight.protocol.load import read_protocol
from metasight.study.column_names import plain_name
from metasight.study.propose import decimal_sign, image_tables, propose
from metasight.study.scaffold import study_toml
from metasight.study.status_pair import status_pairs

BREAST, LUNG = read_protocol("breast-dmfs"), read_protocol("nsclc-occult-node")
DAYS = ["2016-03-01", "2017-12-24", "2019-06-30"]


def of(protocol=BREAST, **columns):
    cells = pd.DataFrame({"id": ["a", "b", "c"], **columns}, dtype=object)
    return propose(protocol, cells, "id")


def mapping(proposal):
    given = tomllib.loads(f"x = {proposal.mapping}")["x"]
    return ColumnMapping(column=given) if isinstance(given, str) else ColumnMapping(**given)


@pytest.mark.parametrize("name", ["age_years", "Age (years)", "AGE YEARS"])
def test_a_column_of_the_variables_name_is_sure(name):
    found = of(**{name: ["50", "60", "70"]})
    assert found["age_years"].sure
    assert found["age_years"].mapping == f'"{name}"'


@pytest.mark.parametrize("name", ["age", "Age at surgery", "age (yrs)"])
def test_another_name_has_a_question_mark(name):
    found = of(**{name: ["50", "60", "70"]})
    assert not found["age_years"].sure
    assert found["age_years"].column == name


def test_a_column_whose_cells_the_variable_cannot_hold_is_not_proposed():
    assert "surgery" not in of(surgery=["0", "1", "1"])
    assert "age_years" not in of(age_years=["young", "old", "old"])
    assert "grade" not in of(grade=["", "", ""])


@pytest.mark.parametrize(
    ("values", "unit"), [(["2.2", "1.4", "3"], "cm"), (["22", "14", "30"], None)]
)
def test_a_unit_is_taken_from_the_median(values, unit):
    found = of(tumour_size_mm=values)["tumour_size_mm"]
    assert mapping(found).unit == unit
    assert found.sure == (unit is None)


def test_an_age_in_negative_days():
    found = mapping(of(age=["-18262", "-21900", "-25567"])["age_years"])
    assert (found.unit, found.negate) == ("days", True)


@pytest.mark.parametrize(
    ("values", "meaning"),
    [
        (["pos", "neg", "pos"], {"pos": True, "neg": False}),
        (["1", "2", "2"], {"1": True, "2": False}),
        (["Positive", "Negative", "NA"], {"Positive": True, "Negative": False}),
    ],
)
def test_codes_of_a_receptor(values, meaning):
    found = of(er_positive=values)["er_positive"]
    assert not found.sure
    assert mapping(found).values == meaning


def test_codes_that_may_mean_anything_are_not_proposed():
    assert "er_positive" not in of(er_positive=["1", "2", "3"])


def test_sex_and_stage():
    assert mapping(of(sex=["F", "F", "M"])["sex"]).values == {"F": "female", "M": "male"}
    found = mapping(of(pT=["pT1", "pT2", "pT2"])["pt_stage"])
    assert found.values == {"pT1": "T1", "pT2": "T2"}


def test_levels_that_name_a_variable():
    found = of(LUNG, Gender=["Female", "Male", "Male"], Histology=["Adenocarcinoma", "NOS", "NOS"])
    assert mapping(found["female"]).values == {"Female": True, "Male": False}
    assert mapping(found["adenocarcinoma"]).values == {"Adenocarcinoma": True, "NOS": False}
    smoker = of(LUNG, **{"Smoking status": ["Current", "Former", "Nonsmoker"]})["ever_smoker"]
    assert mapping(smoker).values == {"Current": True, "Former": True, "Nonsmoker": False}
    assert not smoker.sure


def test_the_beginning_of_a_name_comes_last():
    assert of(**{"Age at first visit": ["50", "60", "70"]})["age_years"].column
    both = of(**{"Age at first visit": ["50", "60", "70"], "age": ["51", "61", "71"]})
    assert both["age_years"].column == "age"


def test_what_was_not_collected_is_missing():
    found = mapping(
        of(LUNG, **{"Pathological N stage": ["N0", "Not Collected", "N2"]})["pathological_n"]
    )
    assert found.missing == ("Not Collected",)


def test_missing_codes_are_proposed_with_a_question_mark():
    found = of(grade=["1", "-9.0", "unknown"])["grade"]
    assert not found.sure
    assert mapping(found).missing == ("-9.0", "unknown")


def test_dates():
    assert of(surgery_date=DAYS)["surgery_date"].sure
    german = of(surgery_date=["01.03.2016", "24.12.2017", "30.06.2019"])["surgery_date"]
    assert mapping(german).date_format == "%d.%m.%Y"
    assert not german.sure
    either = of(surgery_date=["01/03/2016", "02/04/2017", "03/06/2019"])["surgery_date"]
    assert "%d/%m/%Y or %m/%d/%Y fit" in either.why


def test_one_column_is_proposed_once_and_the_better_name_wins():
    found = of(size=["20", "30", "40"], tumour_size_mm=["20", "30", "41"])
    assert found["tumour_size_mm"].column == "tumour_size_mm"
    columns = [p.column for p in of(LUNG, pn=["N0", "N1", "N2"], ct=["T1a", "T1b", "T2a"]).values()]
    assert sorted(columns) == ["ct", "pn"]


def test_a_time_of_those_without_the_event_too_is_a_status_and_a_time():
    cells = pd.DataFrame(
        {
            "id": ["a", "b", "c"],
            "e.dmfs": ["0.0", "1.0", "0.0"],
            "t.dmfs": ["5209", "1688", "900"],
            "death": ["0", "1", "0"],
            "death_days": ["", "1700", ""],
        },
        dtype=object,
    )
    (pair,) = status_pairs(BREAST, cells, propose(BREAST, cells, "id"))
    assert (pair.event, pair.time, pair.status) == ("distant_metastasis", "t.dmfs", "e.dmfs")
    assert pair.codes == {"0.0": "censored", "1.0": "distant_metastasis"}
    told = study_toml(
        BREAST,
        name="breast-dmfs",
        vault="../study.vault",
        table=TableSettings(path="p.csv", id="id"),
        proposals=propose(BREAST, cells, "id"),
        images={},
        pairs=[pair],
    )
    assert tomllib.loads(told)["columns"] == {"death": "death", "death_days": "death_days"}
    taken = tomllib.loads(told.replace("# ? ", ""))
    assert TimeAndStatus(**taken["time_and_status"][0]).events == ("distant_metastasis",)


def test_the_decimal_sign():
    assert decimal_sign(pd.DataFrame({"x": ["1,5", "2"]})) == ","
    assert decimal_sign(pd.DataFrame({"x": ["1,500", "2"]})) == "."
    assert decimal_sign(pd.DataFrame({"x": ["1,5", "2.5"]})) == "."


def test_tables_of_images_that_are_there(tmp_path):
    assert image_tables(tmp_path, "id") == {}
    (tmp_path / "slides.csv").write_text("case,file,stain\n")
    (tmp_path / "scans.csv").write_text("patient,kind,path\n")
    assert image_tables(tmp_path, "case") == {"slides": "case", "scans": "patient"}
    assert image_tables(tmp_path, "mrn") == {"scans": "patient"}


REGISTRY = {
    "Center": ["North", "South", "North"],
    "Gender": ["F", "F", "F"],
    "Age": ["52", "61", "70"],
    "Date of surgery": ["03.02.2016", "24.12.2017", "30.06.2019"],
    "Tumor size (cm)": ["2.1", "1.4", "3"],
    "Nodes positive": ["0", "2", "1"],
    "Histologic grade": ["1", "2", "3"],
    "ER status": ["Positive", "Negative", "Positive"],
    "PgR": ["1", "0", "1"],
    "HER2": ["neg", "neg", "pos"],
    "Chemo": ["yes", "no", "yes"],
    "Vital status": ["0", "1", "0"],
    "Date of death": ["", "24.12.2020", ""],
    "Last contact": ["30.06.2021", "24.12.2020", "30.06.2022"],
    "Notes": ["x", "y", "z"],
}
"""An oncology registry's export, made up."""


def test_a_registry_is_proposed_rightly():
    found = of(**REGISTRY)
    right = {
        "centre": "Center",
        "sex": "Gender",
        "age_years": "Age",
        "surgery_date": "Date of surgery",
        "tumour_size_mm": "Tumor size (cm)",
        "positive_nodes": "Nodes positive",
        "grade": "Histologic grade",
        "er_positive": "ER status",
        "pr_positive": "PgR",
        "her2_positive": "HER2",
        "chemotherapy": "Chemo",
        "death": "Vital status",
        "death_date": "Date of death",
        "followup_date": "Last contact",
    }
    assert {v: p.column for v, p in found.items()} == right
    assert mapping(found["tumour_size_mm"]).unit == "cm"
    assert not any(p.sure for p in found.values())


def test_spellings_of_a_protocol_are_told_apart():
    for protocol in (BREAST, LUNG):
        own = [{plain_name(s) for s in (v.name, *v.spellings)} for v in protocol.variable]
        names = [name for names in own for name in names]
        assert len(names) == len(set(names))


def test_two_columns_of_the_variables_name_leave_a_choice():
    found = of(**{"age_years": ["50", "60", "70"], "Age (years)": ["51", "60", "70"]})
    assert not found["age_years"].sure


def test_an_age_at_something_else_is_no_age():
    for other in ("Age at menarche", "Age at last contact (days)", "Alter bei der Menopause"):
        assert "age_years" not in of(**{other: ["50", "60", "70"]})
    assert of(**{"Date of Birth (Days)": ["-18262", "-21900", "-25567"]})["age_years"].why


def test_a_day_and_a_month_that_could_be_either_are_as_in_the_other_dates():
    found = of(
        surgery_date=["01/03/2016", "02/04/2017", "03/06/2019"],
        followup_date=["01/31/2020", "02/24/2021", "03/06/2022"],
    )
    assert mapping(found["surgery_date"]).date_format == "%m/%d/%Y"
    assert " or " not in found["surgery_date"].why


def test_whether_nodes_were_positive_is_no_number_of_nodes():
    assert "positive_nodes" not in of(nodes=["0", "1", "1"])


def test_a_number_in_bands_is_a_stage_where_the_bands_are_its():
    found = of(size=["<=20", "20-50", ">50"])
    assert mapping(found["pt_stage"]).values == {"<=20": "T1", "20-50": "T2", ">50": "T3"}
    assert "tumour_size_mm" not in found
    assert of(Diam=["<=2cm", ">2cm", ">2cm"]) == {}


def test_an_age_from_a_date_of_birth():
    days = ["01.03.2016", "24.12.2017", "30.06.2019"]
    found = of(surgery_date=days, Geburtsdatum=["01.03.1956", "24.12.1957", "30.06.1959"])
    told = tomllib.loads(f"x = {found['age_years'].mapping}")["x"]
    assert told == {"years_between": ["Geburtsdatum", "surgery_date"], "date_format": "%d.%m.%Y"}
    assert "age_years" not in of(surgery_date=days, Geburtsdatum=["1956", "1957", "1959"])


def test_numbers_that_cannot_be_meant_are_missing_codes():
    assert mapping(of(size=["022", "040", "999"])["tumour_size_mm"]).missing == ("999",)
    assert mapping(of(nodes=["00", "98", "3"])["positive_nodes"]).missing == ("98",)
    # 999 days that two patients share, and others were followed longer
    several = of(dtime=["999", "999", "2000"])["death_days"]
    assert mapping(several).missing == ()
