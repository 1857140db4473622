import pytest

from metasight.biomarkers.definitions import BiomarkerDefinitions, definitions_from_protocol
from metasight.errors import ProtocolError
from metasight.protocol.load import read_protocol
from metasight.protocol.study import Definition


def protocol_with(**values):
    protocol = read_protocol("breast-dmfs")
    extra = tuple(Definition(name=n, text=n, value=v, source="a test") for n, v in values.items())
    kept = tuple(d for d in protocol.definition if d.name not in values)
    return protocol.model_copy(update={"definition": kept + extra}).for_slides


def test_the_protocols_tls_is_used():
    found = definitions_from_protocol(protocol_with(tls=(50.0, 7000.0, 4.0)))
    assert found.tls_minimum_lymphocytes == 50
    assert found.tls_minimum_area_um2 == 7000
    assert found.tls_density_ratio == 4


def test_the_built_in_protocol_says_what_is_documented():
    found = definitions_from_protocol(read_protocol("breast-dmfs").for_slides)
    assert found == BiomarkerDefinitions()


def test_cell_types_stay_the_callers():
    base = BiomarkerDefinitions(tumour_types=("Pan-CK",))
    assert definitions_from_protocol(protocol_with(), base).tumour_types == ("Pan-CK",)


@pytest.mark.parametrize("value", [(45.0, 6245.0), 3.0, "three"])
def test_wrong_number_of_values(value):
    with pytest.raises(ProtocolError, match="needs 3 numbers"):
        definitions_from_protocol(protocol_with(tls=value))


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"block_um": 0.0}, "above zero"),
        ({"tumour_types": ("a",), "t_cell_types": ("a",)}, "two roles"),
        ({"permutations": 100}, "multiple of 64"),
        ({"near_um": 200.0}, "near ≤ far"),
        ({"preference_margin": 0.5}, "at least 1"),
        ({"mixing_limit_low": 0.6}, "above the upper"),
        ({"class_probability": 1.0}, "between 0.5 and 1"),
    ],
)
def test_contradictions_are_refused(change, problem):
    with pytest.raises(ProtocolError, match=problem):
        BiomarkerDefinitions(**change)
