"""The two protocols in the package, and what a protocol file must say."""

from __future__ import annotations

import pytest

from metasight.errors import ProtocolError
from metasight.protocol.load import BUILT_IN, parse_protocol, read_protocol


@pytest.mark.parametrize(
    ("name", "registration", "inclusion", "exclusion", "primary"),
    [
        ("breast-dmfs", "NCT07244094", 8, 8, "dmfs"),
        ("nsclc-occult-node", "NCT06684418", 8, 4, "nodal_stage"),
    ],
)
def test_built_in_protocols(name, registration, inclusion, exclusion, primary):
    protocol = read_protocol(name)
    assert protocol.registration == registration
    assert [c.id for c in protocol.criterion] == [f"I{i + 1}" for i in range(inclusion)] + [
        f"E{i + 1}" for i in range(exclusion)
    ]
    assert protocol.primary.name == primary
    assert all(d.source for d in protocol.definition)
    assert all(e.source for e in protocol.endpoint)


@pytest.mark.parametrize("name", BUILT_IN)
def test_image_criteria_are_unknown_until_a_stage_supplies_them(name):
    protocol = read_protocol(name)
    for criterion in protocol.criterion:
        evidence = {protocol.variables[v].evidence for v in criterion.condition.variables()}
        if evidence == {"table"}:
            continue
        verdict, _ = criterion.evaluate({})
        assert verdict == "unknown", criterion.id


@pytest.mark.parametrize("name", BUILT_IN)
def test_every_predictor_says_when_it_is_measured(name):
    for variable in read_protocol(name).variable:
        if variable.role == "predictor":
            assert variable.window is not None
            assert variable.measured


def test_unknown_protocol():
    with pytest.raises(ProtocolError, match="no such protocol"):
        read_protocol("breast")


def test_a_third_study_is_a_file(tmp_path):
    text = (
        'id = "third"\nregistration = "none"\ntitle = "t"\nversion = "1"\ntime_zero = "day 0"\n'
        'time_zero_date = "start_date"\nsetting = "s"\nintended_use = "u"\n'
        'headline_population = "as_written"\nclinical_predictors = ["marker"]\n'
        '[[variable]]\nname = "marker"\nlabel = "Marker"\ntype = "number"\nrole = "predictor"\n'
        'measured = "day 0"\nwindow = { from_days = 0, to_days = 0 }\n'
        '[[variable]]\nname = "relapse"\nlabel = "R"\ntype = "boolean"\nrole = "outcome"\n'
        '[[variable]]\nname = "relapse_days"\nlabel = "R"\ntype = "number"\nrole = "outcome"\n'
        '[[criterion]]\nid = "I1"\nkind = "inclusion"\ntext = "x"\nevidence = "table"\n'
        'condition = { variable = "marker", above = 0 }\n'
        '[[endpoint]]\ntype = "survival"\nname = "relapse"\nlabel = "R"\nprimary = true\n'
        'event = ["relapse"]\nhorizons_years = [1]\ntau_years = 1\nthresholds = [0.1]\n'
        'source = "s"\n'
    )
    (tmp_path / "third.toml").write_text(text)
    assert read_protocol("third.toml", folder=tmp_path).id == "third"
    with pytest.raises(ProtocolError, match="undefined variables: markr"):
        parse_protocol(text.replace('variable = "marker"', 'variable = "markr"'), where="third")
    with pytest.raises(ProtocolError, match="exactly one endpoint must be primary"):
        parse_protocol(text.replace("primary = true\n", ""), where="third")
    with pytest.raises(ProtocolError, match="not valid TOML"):
        parse_protocol(text + "[[", where="third")
