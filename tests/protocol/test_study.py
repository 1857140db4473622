"""How stages find what a protocol asks of the variables that they supply."""

from __future__ import annotations

import pytest

from metasight.errors import ProtocolError
from metasight.protocol.load import parse_protocol, read_protocol
from metasight.protocol.study import Apart, ScanCheck, Variable

TOY = (
    'id = "third"\nregistration = "none"\ntitle = "t"\nversion = "1"\ntime_zero = "day 0"\n'
    'time_zero_date = "start_date"\nsetting = "s"\nintended_use = "u"\n'
    'headline_population = "as_written"\nclinical_predictors = ["size_mm"]\n'
    '[[variable]]\nname = "size_mm"\nlabel = "S"\ntype = "number"\nunit = "mm"\n'
    'role = "predictor"\nmeasured = "day 0"\nwindow = { from_days = 0, to_days = 0 }\n'
    '[[variable]]\nname = "relapse"\nlabel = "R"\ntype = "boolean"\nrole = "outcome"\n'
    '[[variable]]\nname = "relapse_days"\nlabel = "R"\ntype = "number"\nrole = "outcome"\n'
    '[[criterion]]\nid = "I7"\nkind = "inclusion"\ntext = "x"\nevidence = "table"\n'
    'condition = { variable = "size_mm", above = 0 }\n'
    '[[endpoint]]\ntype = "survival"\nname = "relapse"\nlabel = "R"\nprimary = true\n'
    'event = ["relapse"]\nhorizons_years = [1]\ntau_years = 1\nthresholds = [0.1]\nsource = "s"\n'
)


@pytest.mark.parametrize(
    ("variable", "ids"),
    [
        ("he_quality_sufficient", ["I5"]),
        ("slide_artefacts", ["E5"]),
        ("mihc_sections", ["I6"]),
        ("sections_alignable", ["E7"]),
        ("tumour_area_percent", ["E6"]),
        ("age_years", ["I1", "E8"]),  # several, in the protocol's order
        ("ct_quality_poor", []),
        ("no such variable", []),
    ],
)
def test_criteria_of_the_breast_study_by_the_variable_they_read(variable, ids) -> None:
    protocol = read_protocol("breast-dmfs")
    assert [c.id for c in protocol.criteria_on(variable)] == ids


def test_criteria_of_the_lung_study_by_the_variable_they_read() -> None:
    protocol = read_protocol("nsclc-occult-node")
    assert [c.id for c in protocol.criteria_on("ct_quality_poor")] == ["E1"]
    assert [c.id for c in protocol.criteria_on("tumour_size_mm")] == ["I6"]
    assert protocol.criteria_on("he_quality_sufficient") == ()


def test_a_scan_check_names_a_criterion_and_variables_of_the_protocol() -> None:
    check = '[[scan_check]]\ncriterion = "I7"\ntext = "t"\n'
    good = check + 'condition = { variable = "size_mm", above = 3 }\n'
    assert parse_protocol(TOY + good, where="x").scan_check[0].variables() == ["size_mm"]
    with pytest.raises(ProtocolError, match="names no criterion: I9"):
        parse_protocol(TOY + good.replace("I7", "I9"), where="x")
    with pytest.raises(ProtocolError, match="a scan check of I7 uses undefined variables: size_cm"):
        parse_protocol(TOY + good.replace("size_mm", "size_cm"), where="x")


def test_a_scan_check_has_one_of_two_forms() -> None:
    apart = Apart(variable="size_mm", more_than=3, more_than_share=0.1)
    assert ScanCheck(criterion="I7", apart=apart).variables() == ["size_mm"]
    with pytest.raises(ValueError, match="either apart or condition"):
        ScanCheck(criterion="I7")
    with pytest.raises(ValueError, match="says in text"):
        ScanCheck.model_validate(
            {"criterion": "I7", "condition": {"variable": "size_mm", "above": 3}}
        )


def test_a_protocol_names_a_marker_for_each_role() -> None:
    marker = '[[marker]]\nname = "A"\nrole = "tumour"\nrequired = true\npositive_per_mm2 = 1.0\n'
    with pytest.raises(ProtocolError, match="one marker is needed for each role"):
        parse_protocol(TOY + marker, where="x")
    with pytest.raises(ProtocolError, match="positive_per_mm2"):
        parse_protocol(TOY + marker.replace("1.0", "0.0"), where="x")


def test_evidence_that_no_stage_supplies_is_refused() -> None:
    wrong = TOY.replace('label = "S"\n', 'label = "S"\nevidence = "tissue maps"\n')
    with pytest.raises(ProtocolError, match="does not supply 'size_mm'"):
        parse_protocol(wrong, where="x")


def test_a_predictor_that_is_measured_after_patients_enter_is_refused() -> None:
    """Ten metastases before a pathology report of day 60 passed version 0.1 without a word."""
    late = TOY.replace("to_days = 0", "to_days = 60")
    with pytest.raises(ProtocolError, match="size_mm may be measured until day 60, but patients"):
        parse_protocol(late, where="x")
    with pytest.raises(ProtocolError, match="enter on day 59"):
        parse_protocol("landmark_days = 59\n" + late, where="x")
    assert parse_protocol("landmark_days = 60\n" + late, where="x").landmark_days == 60
    # nodal stage is found at surgery: no time passes in which anybody could leave
    nodal = late.partition("[[endpoint]]")[0].replace('"relapse_days"', '"stage"') + (
        '[[endpoint]]\ntype = "nodal_stage"\nname = "n"\nlabel = "N"\nprimary = true\n'
        'variable = "relapse"\nthresholds = [0.1]\nsource = "s"\n'
    )
    assert parse_protocol(nodal, where="x").landmark_days == 0


def test_patients_of_the_breast_study_enter_when_their_predictors_are_known() -> None:
    breast = read_protocol("breast-dmfs")
    windows = [v.window.to_days for v in breast.variable if v.window]
    assert max(windows) == breast.landmark_days == 120
    assert read_protocol("nsclc-occult-node").landmark_days == 0


def test_spellings_of_levels_are_of_levels_that_there_are():
    given = {"name": "er", "label": "ER", "type": "boolean", "role": "criterion"}
    assert Variable(**given, level_spellings={"yes": ["pos"], "unknown": ["9"]})
    with pytest.raises(ValueError, match="level_spellings of 'er' name no level: positive"):
        Variable(**given, level_spellings={"positive": ["pos"]})
