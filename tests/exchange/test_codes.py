"""Codes are those of the standards' own dictionaries, and no two measures share name and code."""

from __future__ import annotations

import pytest
from pydicom._uid_dict import UID_dictionary
from pydicom.sr._concepts_dict import concepts

from exchange_made import SCAN
from metasight.exchange.codes import SYSTEMS, Code, coded, in_words, own, radiomic
from metasight.exchange.contents import lesion_measurements
from metasight.features.radiomics.definitions import definitions
from metasight.lesions.place import DEFINITIONS

NAMES = [
    *(k for k, v in SCAN["measured"].items() if isinstance(v, float)),
    *("solid_volume_mm3", "ctr_volume", "fissure_gap_mm", "bronchi_gap_mm", "pleura_gap_mm"),
    *("outline_dice_distance", "outline_size_apart_mm", "outline_volume_factor"),
    *("tlg_suv_2_5_suv_ml", "metabolic_volume_suv_2_5_ml", "outline_cut_share"),
    *(f"{d.removesuffix('_third').removesuffix('_two_thirds')}_ratio" for d in DEFINITIONS),
]


def dictionary(scheme: str) -> dict[str, set[str]]:
    """Code → meanings."""
    found: dict[str, set[str]] = {}
    for entry in concepts[scheme].values():
        for code, (meaning, _) in entry.items():
            found.setdefault(code, set()).add(meaning.casefold())
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_standard_code_is_one_of_the_standard_s_with_its_meaning(name: str) -> None:
    found = coded(name)
    for code in filter(None, (found.concept, found.derivation)):
        if code.scheme in {"SCT", "DCM", "IBSI"}:
            assert code.meaning.casefold() in dictionary(code.scheme)[code.value]


@pytest.mark.parametrize("kind", ["SUVbw", "SUVlbm", "SUVlbmJanma", "SUVbsa"])
def test_uptake_is_coded_by_its_kind_with_the_standard_s_unit(kind: str) -> None:
    found = coded("suvmax", suv=kind)
    assert found.concept.meaning.casefold() in dictionary("DCM")[found.concept.value]
    assert found.unit.value in dictionary("UCUM")
    assert kind.removeprefix("SUV")[:3] in found.unit.value
    with pytest.raises(ValueError, match="no code"):
        coded("suvmax", suv="BQML")


def test_units_follow_from_the_name() -> None:
    told = {"solid_size_mm": "mm", "tumour_volume_mm3": "mm3", "metabolic_volume_41_ml": "ml"}
    told |= {"tlg_41_suv_ml": "g", "ctr": "{ratio}", "ctr_at_minus_160_hu": "{ratio}"}
    told |= {"solid_size_at_minus_160_hu_mm": "mm", "hilum_edge_ratio": "{ratio}"}
    assert {n: coded(n).unit.value for n in told} == told


def test_every_radiomic_feature_has_its_ibsi_code_where_dicom_knows_it() -> None:
    known = dictionary("IBSI")
    found = {d.key((d.aggregations or ("",))[0]): d for d in definitions()}
    assert len(found) == len(definitions()) > 160
    for key, one in found.items():
        code = radiomic(key).concept
        assert (code.scheme, code.value) == ("IBSI", one.code)
    assert len({d.code for d in definitions()} & set(known)) > 140
    assert radiomic("morphology:surface area").unit.value == "mm2"
    assert radiomic("statistics:variance").unit.value == "[hnsf'U]2"
    assert radiomic("3D:avg:GLCM:joint entropy").unit.value == "1"
    with pytest.raises(ValueError, match="no such feature"):
        radiomic("statistics:beauty")


def test_a_feature_of_a_shell_is_not_that_of_the_lesion() -> None:
    shell = radiomic("shell 0-5 mm:statistics:mean")
    assert shell.concept.scheme == "99METASIGHT"
    assert shell.concept.meaning.startswith("shell 0-5 mm")
    assert shell.unit == radiomic("statistics:mean").unit


def test_private_codes_fit_dicom_and_stay_apart() -> None:
    names = [n for n in (m.name for m in lesion_measurements(SCAN)) if len(n) > 10]
    codes = {own(n, in_words(n)).value for n in names}
    assert len(codes) == len(names)
    assert all(len(c) <= 16 for c in codes)
    assert own("ctr", "x").value == "ctr"
    for bad in ({"value": "a" * 17}, {"value": ""}, {"meaning": ""}, {"meaning": "x" * 65}):
        with pytest.raises(ValueError, match="characters"):
            Code(**{"value": "a", "scheme": "DCM", "meaning": "m", **bad})


def test_names_in_words() -> None:
    assert in_words("ctr_at_minus_160_hu") == "CTR at −160 HU"
    assert in_words("coronal_longest_mm") == "Longest diameter, coronal plane"
    assert in_words("hilum_edge_ratio") == "Hilum edge ratio"


def test_the_systems_are_those_of_the_standards() -> None:
    (ibsi,) = [uid for uid, about in UID_dictionary.items() if about[4] == "IBSI"]
    assert SYSTEMS["IBSI"] == f"urn:oid:{ibsi}"
