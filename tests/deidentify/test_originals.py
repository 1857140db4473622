"""What is looked for: everything of the source that names somebody."""

from __future__ import annotations

from metasight.deidentify.originals import originals_of, tags_of_the_table
from planted import BIRTH_DATE, CANARIES, STUDY_DATE, write_planted


def test_every_class_is_collected(tmp_path):
    write_planted(tmp_path, n=2)
    found = originals_of(tmp_path)
    told = {t.casefold() for t in found.texts}
    for kind in (
        *("name", "given name", "id", "other id", "accession", "institution", "physician"),
        *("station", "serial", "address", "description", "private", "nested", "file meta"),
    ):
        assert CANARIES[kind].casefold() in told, kind
    assert any(CANARIES["preamble"] in t for t in found.texts)
    assert "Kanarius_Friedolin" in found.texts
    assert found.dates == {CANARIES["id"]: {STUDY_DATE, BIRTH_DATE}}
    assert len(found.uids) > 4
    assert not any(u.startswith("1.2.840.10008.") for u in found.uids)


def test_a_word_that_may_stay_is_not_looked_for(tmp_path):
    write_planted(tmp_path, n=2, Manufacturer="A SCANNER", SeriesDescription="A SCANNER")
    assert "A SCANNER" not in originals_of(tmp_path).texts


def test_the_table_is_read_here_too():
    assert tags_of_the_table()["00100010"] == ("Z", "", "")
    assert tags_of_the_table()["00101010"][2] == "K"
