"""Commands on slides: what is asked of the plan, and what is printed and returned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from metasight.cli import main
from metasight.cli.slides import _batch, _mapping, _number
from metasight.engine.placement import Placement
from metasight.errors import StudyError
from metasight.plan import loose_slides


def given(**changes: Any) -> Any:
    plain = {
        "files": [Path("a.svs"), Path("b.svs")],
        "stain": "fluorescence",
        "markers": "",
        "mpp": None,
        "reader": None,
        "nuclear": "DAPI",
        "picture": None,
        "channel": None,
    }
    return _batch(**{**plain, **changes})


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as stop:
        main(["slides", *arguments])
    return int(stop.value.code or 0)


@pytest.fixture
def asked(monkeypatch):
    """What a command asks of the plan; what it is answered is put in ``found``."""
    told: dict[str, Any] = {"found": []}

    def answer(name):
        def called(*args: Any, **options: Any) -> Any:
            told.update(command=name, args=args, options=options)
            return told["found"]

        return called

    for name in ("check", "align", "map_markers", "measure"):
        monkeypatch.setattr(loose_slides, name, answer(name))
    return told


def test_markers_stand_between_semicolons_and_spaces_do_not_count():
    batch = given(markers=" CD3; Pan-CK ;;CD20")
    assert batch.markers == ("CD3", "Pan-CK", "CD20")
    assert given().markers == ()


def test_a_channel_may_hold_a_sign_of_equality():
    assert _mapping(["Opal 690=Pan-CK", "a=b = CD3 "], "--channel") == {
        "Opal 690": "Pan-CK",
        "a=b": "CD3",
    }


@pytest.mark.parametrize("wrong", [["CD3"], ["=CD3"], ["Opal="], ["a=CD3", "a=CD20"]])
def test_a_mapping_without_both_sides_or_twice_is_refused(wrong):
    with pytest.raises(StudyError, match="--class gives one name and its marker") as error:
        _mapping(wrong, "--class")
    assert error.value.value == wrong[-1]
    assert '--class "Opal 690=Pan-CK"' in error.value.remedy


@pytest.mark.parametrize(
    ("changes", "problem", "remedy"),
    [
        ({"stain": "PAS"}, "unknown stain", "H&E"),
        ({"reader": "bioformats"}, "unknown reader", "tiff or openslide"),
    ],
)
def test_what_is_unknown_is_refused_with_what_is_known(changes, problem, remedy):
    with pytest.raises(StudyError, match=problem) as error:
        given(**changes)
    assert remedy in error.value.remedy


def test_an_error_that_is_not_known_is_said_so():
    assert (_number(None), _number(12.6)) == ("unknown", "13")


def test_check_says_of_each_slide_whether_it_suffices(asked, tmp_path, capsys):
    asked["found"] = [
        {"sufficient": True, "reasons": [], "notes": ["pen on glass"]},
        {"sufficient": False, "reasons": ["out of focus", "no tissue"], "notes": []},
        {"sufficient": None, "reasons": [], "notes": []},
    ]
    out = tmp_path / "out"
    assert run("check", "-i", "a.svs", "-i", "b.svs", "-i", "c.svs", "-o", str(out)) == 0
    said = " ".join(capsys.readouterr().out.split())
    for words in ("sufficient │ pen on glass", "refused │ out of focus; no tissue", "not known"):
        assert words in said
    assert f"Results in {out}." in said
    assert asked["args"][0].stain == "H&E"


def test_a_slide_that_could_not_be_read_ends_with_status_1(asked, tmp_path, capsys):
    asked["found"] = [{"failed": "this is a PDF"}]
    assert run("check", "-i", "a.pdf", "-o", str(tmp_path)) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "could not be read │ this is a PDF" in said


def test_check_as_json_prints_one_object_and_keeps_the_status(asked, tmp_path, capsys):
    asked["found"] = [{"failed": "this is a PDF"}]
    assert run("check", "-i", "a.pdf", "-o", str(tmp_path), "--json") == 1
    assert json.loads(capsys.readouterr().out)["command"] == "slides check"


ALIGNED = {
    "accepted": False,
    "error_p50_um": None,
    "error_p90_um": 81.4,
    "gate_um": 60.0,
    "reasons": ["the sections share too little"],
}


def test_align_says_the_verdict_the_error_and_the_gate(asked, tmp_path, capsys):
    asked["found"] = ALIGNED
    assert run("align", "-i", "a.svs", "-i", "b.svs", "-o", str(tmp_path), "--mpp", "0.5") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "Refused: predicted error unknown µm (median), 81 µm (p90); gate 60 µm." in said
    assert "the sections share too little" in said
    assert asked["args"][:2] == (Path("a.svs"), Path("b.svs"))
    assert asked["options"]["mpp"] == [0.5]


@pytest.mark.parametrize("files", [["a.svs"], ["a.svs", "b.svs", "c.svs"]])
def test_a_pair_is_two_slides(asked, tmp_path, files, capsys):
    named = [part for f in files for part in ("-i", f)]
    assert run("align", *named, "-o", str(tmp_path)) == 2
    assert f"two slides make a pair (value: {len(files)} given)" in " ".join(
        capsys.readouterr().err.split()
    )
    assert "command" not in asked


def test_map_shows_every_marker_and_why_a_slide_has_none(asked, tmp_path, capsys):
    marker = {"marker": "CD3", "positive": 1234, "per_mm2": 987.6, "rule": "Otsu"}
    asked["found"] = [
        {"markers": [marker], "notes": ["one channel is not named"]},
        {"failed": "no nuclear channel"},
    ]
    code = run(
        *("map", "-i", "a.tif", "-i", "b.tif", "-o", str(tmp_path)),
        *("--markers", "CD3", "--channel", "2=CD3", "--nuclear", "Hoechst"),
    )
    assert code == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "│ 1 │ CD3 │ 1,234 │ 988 │ Otsu │" in said
    assert "no nuclear channel" in said
    assert "Slide 1: one channel is not named." in said
    batch = asked["args"][0]
    assert (batch.markers, batch.nuclear) == (("CD3",), "Hoechst")
    assert batch.channels == {"2": "CD3"}


def test_measure_shows_the_ledger_and_a_failure_in_it_counts(asked, tmp_path, capsys):
    rows = [
        {"stage": "slide quality", "verdict": "kept", "value": "0.9", "reason": ""},
        {"stage": "biomarkers", "verdict": "failed", "value": "", "reason": "too few cells"},
    ]
    asked["found"] = [{"ledger": rows}]
    assert run("measure", "-i", "a.tif", "-o", str(tmp_path), "--scheduler", "local") == 1
    assert "too few cells" in capsys.readouterr().out
    assert asked["options"]["scheduler"] == Placement(scheduler="local")
    asked["found"] = [{"ledger": rows[:1]}]
    assert run("measure", "-i", "a.tif", "-o", str(tmp_path)) == 0
