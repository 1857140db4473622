"""A study's slides, from the table to ledger, evidence and features; on the command line too."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
import pytest
import tifffile

from made_up_sections import MPP, block, brightfield, cells, he, ihc, painted, turned
from metasight import pipeline
from metasight.cli import main
from metasight.cohort.canonical import pseudonym
from metasight.cohort.settings import CohortSettings
from metasight.cohort.slide_table import read_slide_table
from metasight.engine.progress import Silent
from metasight.engine.store import Store
from metasight.errors import TableError
from metasight.ledger import Ledger
from metasight.study.file import read_study
from slide_files import tissue_like, write_dicom, write_fluorescence, write_pyramid
from worked import image_steps, screened
from worked import measured as measured_store

MARKERS = ("Pan-CK", "CD3", "CD20")


@pytest.fixture(scope="module")
def slides(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small sections of made-up blocks, good and bad."""
    folder = tmp_path_factory.mktemp("slides")
    b = block(4, side_px=170)
    rng = np.random.default_rng(0)
    first = painted(b, cells(b, rng), rng)
    write_pyramid(folder / "he.svs", he(first, rng), mpp=MPP, levels=2)
    for i, marker in enumerate(MARKERS):
        rng = np.random.default_rng([1, i])
        image = ihc(painted(b, cells(b, rng), rng), marker, rng)
        write_pyramid(
            folder / f"{marker}.svs", turned(image, 25.0 * i, (9.0, 5.0)), mpp=MPP, levels=2
        )
    planes = [0.6 * first["nuclei"]] + [
        0.5 * np.clip(first[m] - 0.4 * first["nuclei"], 0, 1) for m in MARKERS
    ]
    noise = rng.normal(0, 0.004, (4, *b.size))
    light = np.clip(np.stack(planes) + 0.02 + 0.03 * first["tissue"] + noise, 0, 1) * 40_000
    write_fluorescence(folder / "if.ome.tif", light.astype(np.uint16), ["DAPI", *MARKERS], mpp=MPP)
    empty = brightfield(np.zeros((*b.size, 3)), rng)
    write_pyramid(folder / "empty.svs", empty, mpp=MPP, levels=2)
    data = (folder / "he.svs").read_bytes()
    (folder / "cut.svs").write_bytes(data[: len(data) // 3])
    return folder


SLIDES = """
[slides]
path = "slides.csv"
id = "patient"
folder = "{folder}"
"""


@pytest.fixture(scope="module")
def study(slides: Path, tmp_path_factory: pytest.TempPathFactory, made_up) -> Path:
    """A made-up breast study, the first patients of which have slides."""
    folder = tmp_path_factory.mktemp("study")
    patients, text = made_up
    patients.to_csv(folder / "patients.csv", index=False)
    text = "\n".join(line for line in text.splitlines() if "no slides in a test" not in line)
    ids = patients["id"].tolist()
    rows = [
        (ids[0], "he.svs", "H&E", ""),
        *((ids[0], f"{m}.svs", "IHC", m) for m in MARKERS),
        (ids[1], "cut.svs", "H&E", ""),
        (ids[2], "empty.svs", "H&E", ""),
        (ids[3], "if.ome.tif", "fluorescence", ";".join(MARKERS)),
        (ids[4], "not-there.svs", "H&E", ""),
    ]
    table = pd.DataFrame(rows, columns=["patient", "file", "stain", "markers"])
    table.to_csv(folder / "slides.csv", index=False)
    (folder / "study.toml").write_text(text + SLIDES.format(folder=slides), "utf-8")
    return folder


@pytest.fixture(scope="module")
def measured(study: Path) -> tuple[Path, Store]:
    read = read_study(study)
    return study, measured_store(read)


def patient_of(study: Path, number: int) -> str:
    ids = pd.read_csv(study / "patients.csv", dtype=str)["id"].tolist()
    return pseudonym(ids[number], read_study(study).settings.key)


def told(measured: tuple[Path, Store], number: int) -> dict:
    study, store = measured
    name = f"slides of {patient_of(study, number)}"
    step = next(s for s in image_steps(read_study(study)) if s.name == name)
    return json.loads((store.path(step.key) / "patient.json").read_text("utf-8"))


def test_serial_sections_are_aligned_and_measured_together(measured) -> None:
    found = told(measured, 0)
    assert found["evidence"]["he_quality_sufficient"] is True
    assert found["evidence"]["slide_artefacts"] is False
    assert found["evidence"]["mihc_sections"] is True
    assert found["evidence"]["sections_alignable"] is True
    assert found["evidence"]["tumour_area_percent"] > 5
    assert found["features"]["t_cells_per_mm2"] > 100
    # positions of cells of different sections say nothing of each other
    assert found["features"]["mixing_score_ratio"] is None
    stages = {e["stage"] for e in found["ledger"]}
    assert stages == {"slide quality", "markers", "alignment", "tissue maps"}


def test_a_multiplex_section_is_measured_cell_by_cell(measured) -> None:
    found = told(measured, 3)
    assert found["evidence"]["mihc_sections"] is True
    assert found["evidence"]["he_quality_sufficient"] is False  # there is none
    assert found["features"]["mixing_score_ratio"] is not None


@pytest.mark.parametrize(
    ("number", "reason"),
    [(1, "cut off|beyond|damaged|part"), (2, "Tissue: 0 mm²"), (4, "not there")],
)
def test_a_bad_slide_has_a_ledger_row_and_the_others_go_on(measured, number, reason) -> None:
    found = told(measured, number)
    assert found["evidence"]["he_quality_sufficient"] is False
    (row,) = [e for e in found["ledger"] if e["stage"] == "slide quality"]
    assert row["criterion"] == "I5"
    assert row["verdict"] in {"failed", "excluded"}
    assert re.search(reason, row["reason"])


def test_evidence_reaches_eligibility_and_features_the_table(measured) -> None:
    study, _ = measured
    folder = screened(read_study(study))
    ledger = Ledger.from_parquet(folder / "ledger.parquet").to_frame()
    mine = ledger[(ledger.patient == patient_of(study, 0)) & (ledger.stage != "reading")]
    verdicts = dict(zip(mine.criterion, mine.verdict, strict=False))
    assert verdicts["I5"] == "kept"
    cut = ledger[(ledger.patient == patient_of(study, 1)) & (ledger.criterion == "I5")]
    assert set(cut.verdict) >= {"excluded"}
    spatial = pd.read_parquet(folder / "modality_spatial.parquet")
    assert spatial.loc[patient_of(study, 0), "t_cells_per_mm2"] > 100
    assert np.isnan(spatial.loc[patient_of(study, 1), "t_cells_per_mm2"])


def test_nothing_is_measured_twice(measured) -> None:
    study, _ = measured
    waiting = pipeline.look(read_study(study), progress=Silent())
    assert not any(p.step.kind.measures for p in waiting)


def test_a_pathologist_s_decision_re_makes_what_rests_on_it_alone(measured, tmp_path) -> None:
    study, store = measured
    shutil.copytree(study, tmp_path / "study")
    ids = pd.read_csv(study / "patients.csv", dtype=str)["id"].tolist()
    (tmp_path / "study" / "decisions.csv").write_text(
        "patient,file,about,verdict,replaces,reader,day,reason\n"
        f"{ids[0]},CD3.svs,alignment,excluded,kept,AB,2026-03-01,two folds lie across the nests\n"
        f"{ids[2]},empty.svs,quality,kept,excluded,AB,2026-03-01,there is tissue at the rim\n"
    )
    with (tmp_path / "study" / "study.toml").open("a", encoding="utf-8") as file:
        file.write('\n[reader_decisions]\npath = "decisions.csv"\nid = "patient"\n')
    after = read_study(tmp_path / "study")
    new = {s.name for s in image_steps(after) if not store.has(s.key)}
    one, three = patient_of(study, 0), patient_of(study, 2)
    # the sections of patient 0 are judged and read as they were; the H&E of patient 2 is new
    assert new == {
        f"slides of {one}",
        f"sheet of {one}",
        f"check {three}-HE-1",
        f"slides of {three}",
        f"sheet of {three}",
    }
    made = measured_store(after)
    found = {}
    for number in (0, 2):
        name = f"slides of {patient_of(study, number)}"
        step = next(s for s in image_steps(after) if s.name == name)
        found[number] = json.loads((made.path(step.key) / "patient.json").read_text("utf-8"))
    assert found[0]["evidence"]["sections_alignable"] is False
    row = next(e for e in found[0]["ledger"] if e["who"])
    assert (row["stage"], row["verdict"], row["replaced"]) == ("alignment", "excluded", "kept")
    assert row["value"].startswith("predicted p90")  # what the rule saw stays
    assert found[2]["evidence"]["he_quality_sufficient"] is True
    sheet = next(s for s in image_steps(after) if s.name == f"sheet of {three}")
    page = (made.path(sheet.key) / "sheet.html").read_text("utf-8")
    assert "Decided by AB on 2026-03-01 in place of “excluded”: there is tissue at the rim" in page


def test_results_hold_no_identifier_and_no_path(measured) -> None:
    study, store = measured
    ids = pd.read_csv(study / "patients.csv", dtype=str)["id"].tolist()[:5]
    for step in image_steps(read_study(study)):
        for path in store.path(step.key).rglob("*"):
            if path.suffix in {".json", ".html"}:
                text = path.read_text("utf-8")
                assert not any(i in text for i in ids), path.name
                assert "he.svs" not in text
                assert str(study) not in text


# ------------------------------------------------------------------ the table


def settings(**slides: object) -> CohortSettings:
    table = {"path": "slides.csv", "id": "patient", **slides}
    return CohortSettings.model_validate(
        {
            "key": "a key for tests",
            "patients": {"path": "p.csv", "id": "id"},
            "columns": {},
            "slides": table,
        }
    )


def test_every_wrong_row_is_named(tmp_path: Path) -> None:
    (tmp_path / "slides.csv").write_text(
        "patient,file,stain,markers\nA,a.svs,HE,\nA,b.svs,H&E,CD3\nA,c.svs,IHC,\n"
        "A,d.svs,IHC,CD3;CD20\n,e.svs,H&E,\nA,b.svs,H&E,\nA,,H&E,\n"
    )
    with pytest.raises(TableError) as caught:
        read_slide_table(tmp_path, settings(), ())
    found = {(p.row, p.problem) for p in caught.value.problems}
    assert found == {
        (2, "unknown stain"),
        (3, "an H&E section carries no marker"),
        (4, "IHC without a marker"),
        (5, "several markers on one DAB section"),
        (6, "no patient id"),
        (7, "the same file as in row 3"),
    }


def test_resolution_of_single_files(tmp_path: Path) -> None:
    (tmp_path / "slides.csv").write_text("patient,file,stain\nA,a.svs,H&E\nA,b.svs,H&E\n")
    rows = read_slide_table(tmp_path, settings(mpp=0.5, mpp_of={"b.svs": 0.25}), ())
    assert [r.mpp for r in rows] == [0.5, 0.25]
    assert [r.name[-4:] for r in rows] == ["HE-1", "HE-2"]


# ------------------------------------------------------------------ the command line


def test_check_goes_on_after_a_bad_slide(slides: Path, tmp_path: Path, capsys) -> None:
    arguments = ["slides", "check", "-o", str(tmp_path / "out")]
    for name in ("cut.svs", "he.svs", "empty.svs"):
        arguments += ["-i", str(slides / name)]
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 1  # one could not be read
    found = json.loads((tmp_path / "out" / "results.json").read_text("utf-8"))
    assert [f["sufficient"] for f in found] == [False, True, False]
    assert "failed" in found[0]
    assert cv2.imread(str(tmp_path / "out" / "slide-002" / "overview.png")) is not None
    assert "cut.svs" not in capsys.readouterr().out


def test_a_killed_batch_goes_on_where_it_was(slides: Path, tmp_path: Path) -> None:
    """kill -9 in the middle; the results are those of a batch that nobody disturbed."""
    names = ["he.svs", *(f"{m}.svs" for m in MARKERS), "empty.svs"]
    arguments = [sys.executable, "-m", "metasight", "slides", "check"]
    for name in names:
        arguments += ["-i", str(slides / name)]
    disturbed, undisturbed = tmp_path / "a", tmp_path / "b"
    running = subprocess.Popen(
        [*arguments, "-o", str(disturbed)], stdout=subprocess.DEVNULL, start_new_session=True
    )
    store = disturbed / ".metasight" / "store"
    for _ in range(600):
        if running.poll() is not None or list(store.glob("??/*/files.json")):
            break
        time.sleep(0.05)
    os.killpg(running.pid, signal.SIGKILL)
    running.wait()
    assert not (disturbed / "results.json").exists()
    done = {p: p.stat().st_mtime_ns for p in store.glob("??/*/files.json")}
    for out in (disturbed, undisturbed):
        subprocess.run([*arguments, "-o", str(out)], check=True, stdout=subprocess.DEVNULL)
    assert all(p.stat().st_mtime_ns == t for p, t in done.items())  # not made again
    for path in [*sorted(undisturbed.rglob("slide-*/*")), undisturbed / "results.json"]:
        assert path.read_bytes() == (disturbed / path.relative_to(undisturbed)).read_bytes()


def test_a_users_own_folder_is_not_replaced(slides: Path, tmp_path: Path, capsys) -> None:
    (tmp_path / "slide-001").mkdir()
    mine = tmp_path / "slide-001" / "mine.svs"
    mine.write_bytes((slides / "empty.svs").read_bytes())
    with pytest.raises(SystemExit) as stop:
        main(["slides", "check", "-i", str(mine), "-o", str(tmp_path)])
    assert stop.value.code == 2
    assert mine.is_file()
    assert "was not made by metasight" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--mpp", "nan"], "above 0"),
        (["--mpp", "0.5", "--mpp", "0.5"], "once for all files"),
        (["--stain", "HE"], "unknown stain"),
    ],
)
def test_options_that_make_no_sense(
    slides: Path, tmp_path: Path, capsys, arguments, message
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["slides", "check", "-i", str(slides / "he.svs"), "-o", str(tmp_path), *arguments])
    assert stop.value.code == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_a_second_folder_of_dicom_is_another_slide(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 2)):
        write_dicom(tmp_path / name, tissue_like(600, 700, seed), mpp=0.5)
    found = []
    for name in "ab":
        with pytest.raises(SystemExit):
            main(["slides", "check", "-i", str(tmp_path / name), "-o", str(tmp_path / "out")])
        results = json.loads((tmp_path / "out" / "results.json").read_text("utf-8"))
        found.append([m["value"] for m in results[0]["measurements"]])
    assert found[0] != found[1]


def test_align_on_the_command_line(slides: Path, tmp_path: Path, capsys) -> None:
    files = [a for m in ("he.svs", "CD3.svs") for a in ("-i", str(slides / m))]
    with pytest.raises(SystemExit) as stop:
        main(["slides", "align", *files, "-o", str(tmp_path)])
    assert stop.value.code == 0
    found = json.loads((tmp_path / "alignment.json").read_text("utf-8"))
    assert found["accepted"], found["reasons"]
    assert found["error_p90_um"] < 100
    assert (tmp_path / "transform.npz").is_file()
    assert "Accepted" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("file", "stain", "markers", "message"),
    [
        ("he.svs", "IHC", "CD3", "H&E section was given as DAB"),
        ("if.ome.tif", "fluorescence", "Pan-CK;CD8", "CD8"),
        ("CD3.svs", "fluorescence", "CD3", "brightfield and is given as fluorescence"),
    ],
)
def test_what_is_given_as_something_else(
    slides: Path, tmp_path: Path, file: str, stain: str, markers: str, message: str
) -> None:
    with pytest.raises(SystemExit) as stop:
        main(
            [
                "slides",
                "map",
                "-i",
                str(slides / file),
                "--stain",
                stain,
                "--markers",
                markers,
                "-o",
                str(tmp_path / "out"),
            ]
        )
    assert stop.value.code == 1
    (found,) = json.loads((tmp_path / "out" / "results.json").read_text("utf-8"))
    assert message in found["failed"]


def test_nuclei_of_an_h_and_e(slides: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit) as stop:
        main(
            [
                "slides",
                "map",
                "-i",
                str(slides / "he.svs"),
                "--stain",
                "H&E",
                "-o",
                str(tmp_path / "out"),
            ]
        )
    assert stop.value.code == 0
    (found,) = json.loads((tmp_path / "out" / "results.json").read_text("utf-8"))
    counts = {m["marker"]: m["per_mm2"] for m in found["markers"]}
    assert counts["nuclei"] > counts["lymphocyte_like"] > 100
    assert counts["nuclei"] > 1000  # 600 to 4,500 per mm² were strewn
    assert (tmp_path / "out" / "slide-001" / "density.ome.tif").is_file()


def test_swapped_channels(slides: Path, tmp_path: Path) -> None:
    """DAPI's plane under the name of CD3."""
    import tifffile

    planes = tifffile.imread(slides / "if.ome.tif")
    path = write_fluorescence(
        tmp_path / "s.ome.tif", planes, ["CD3", "Pan-CK", "DAPI", "CD20"], mpp=MPP
    )
    with pytest.raises(SystemExit) as stop:
        main(
            [
                "slides",
                "map",
                "-i",
                str(path),
                "--markers",
                ";".join(MARKERS),
                "-o",
                str(tmp_path / "out"),
            ]
        )
    assert stop.value.code == 1
    (found,) = json.loads((tmp_path / "out" / "results.json").read_text("utf-8"))
    assert "does not look nuclear" in found["failed"]


def test_a_sheet_is_drawn_from_what_was_measured_and_nothing_rests_on_it(measured) -> None:
    study, store = measured
    steps = image_steps(read_study(study))
    sheets = [s for s in steps if s.name.startswith("sheet of ")]
    assert len(sheets) == sum(s.name.startswith("slides of ") for s in steps) > 0
    assert all((store.path(s.key) / "sheet.html").is_file() for s in sheets)
    for step in steps:
        assert not any(n.name.startswith("sheet of ") for n in step.needs), step.name
    assert not (store.path(sheets[0].needs[-1].key) / "sheet.html").exists()


def mapped(out: Path, *arguments: str) -> dict:
    """What ``slides map`` tells of one slide."""
    with pytest.raises(SystemExit):
        main(["slides", "map", "--markers", "Pan-CK;CD3;CD20", "-o", str(out), *arguments])
    (found,) = json.loads((out / "results.json").read_text("utf-8"))
    return found


def test_channels_are_mapped_on_the_command_line(slides: Path, tmp_path: Path) -> None:
    with tifffile.TiffFile(slides / "if.ome.tif") as file:
        planes = file.series[0].levels[0].asarray()
    path = write_fluorescence(
        tmp_path / "s.ome.tif", planes, ["dapi", "Opal 690", "Meier 1952", "CD20cy"], mpp=MPP
    )
    whole = mapped(tmp_path / "whole", "-i", str(slides / "if.ome.tif"))
    failed = mapped(tmp_path / "failed", "-i", str(path))["failed"]
    assert "channel_3" in failed
    assert "--channel" in failed
    assert "Meier" not in failed
    given = ["--channel", "opal-690=panCK", "--channel", "3=CD3"]
    found = mapped(tmp_path / "mapped", "-i", str(path), *given)
    assert found["markers"] == whole["markers"]


def test_cells_of_another_program_on_the_command_line(slides: Path, tmp_path: Path, capsys) -> None:
    table = "Image,Object type,Classification,Centroid X µm,Centroid Y µm\n"
    rows = [f"if.ome.tif,Cell,{c},{x},{x}" for x, c in ((80, "panCK"), (90, "T cell"), (99, "L26"))]
    (tmp_path / "cells.csv").write_text(table + "\n".join(rows) + "\n", encoding="utf-8")
    arguments = ["-i", str(slides / "if.ome.tif"), "--cells", str(tmp_path / "cells.csv")]
    failed = mapped(tmp_path / "out", *arguments)["failed"]
    assert "no class of the cells names the marker (value: CD3)" in failed
    found = mapped(tmp_path / "out", *arguments, "--class", "T cell=CD3")
    assert {m["marker"]: m["positive"] for m in found["markers"]} == dict.fromkeys(MARKERS, 1)
    assert "cells are those of QuPath" in capsys.readouterr().out


def test_a_resolution_for_all_replaces_nothing_and_a_contradiction_is_said(
    slides: Path, tmp_path: Path, capsys
) -> None:
    silent = tmp_path / "silent.svs"
    write_pyramid(silent, tissue_like(400, 400), mpp=None)
    files = ["-i", str(silent), "-i", str(slides / "empty.svs")]
    with pytest.raises(SystemExit):
        main(["slides", "check", *files, "--mpp", "0.25", "-o", str(tmp_path / "out")])
    found = json.loads((tmp_path / "out" / "results.json").read_text("utf-8"))
    assert [(f["mpp"], f["mpp_source"]) for f in found] == [(0.25, "settings"), (MPP, "file")]
    assert [bool(f["notes"]) for f in found] == [False, True]
    assert "the file's value is used" in " ".join(capsys.readouterr().out.replace("│", "").split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--channel", "DAPI"], "--channel gives one name and its marker"),
        (["--class", "=CD3"], "--class gives one name and its marker"),
        (["--picture", "1", "--picture", "2"], "--picture once for each file"),
        (["--cells", "a.csv", "--cells", "b.csv"], "--cells once for each file"),
    ],
)
def test_mappings_that_make_no_sense(
    slides: Path, tmp_path: Path, capsys, arguments, message
) -> None:
    base = ["slides", "map", "-i", str(slides / "if.ome.tif"), "--markers", "CD3"]
    with pytest.raises(SystemExit) as stop:
        main([*base, "-o", str(tmp_path), *arguments])
    assert stop.value.code == 2
    assert message in " ".join(capsys.readouterr().err.split())


def test_cells_and_channels_that_study_toml_maps(
    slides: Path, tmp_path: Path, made_up: tuple[pd.DataFrame, str]
) -> None:
    patients, text = made_up
    patients.to_csv(tmp_path / "patients.csv", index=False)
    text = "\n".join(line for line in text.splitlines() if "no slides in a test" not in line)
    (tmp_path / "slides").mkdir()
    for name in ("one.ome.tif", "two.ome.tif"):
        data = (slides / "if.ome.tif").read_bytes()
        (tmp_path / "slides" / name).write_bytes(data.replace(b'Name="CD3"', b'Name="AF1"'))
    ids = patients["id"].tolist()
    head = "Image,Object type,Classification,Centroid X µm,Centroid Y µm\n"
    cells = tmp_path / "slides" / "cells.csv"
    both = ["one.ome.tif,Cell,CK,80,80", "one.ome.tif,Cell,T,90,90", "x.svs,Cell,T,91,90"]
    cells.write_text(head + "\n".join(both) + "\n", "utf-8")
    (tmp_path / "slides.csv").write_text(
        "patient,file,stain,markers,cells\n"
        f"{ids[0]},one.ome.tif,fluorescence,Pan-CK;CD3;CD20,cells.csv\n"
        f"{ids[1]},two.ome.tif,fluorescence,Pan-CK;CD3;CD20,\n"
    )
    mapping = '[slides.channels]\nAF1 = "CD3"\n[slides.classes]\nT = "CD3"\n"B cell" = "CD20"\n'
    (tmp_path / "study.toml").write_text(text + SLIDES.format(folder="slides") + mapping, "utf-8")
    study = read_study(tmp_path)
    steps = {s.name: s for s in image_steps(study)}
    store = measured_store(study)
    names = [f"markers of {patient_of(tmp_path, n)}-fluorescence-1" for n in (0, 1)]
    given, own = (
        json.loads((store.path(steps[name].key) / "markers.json").read_text("utf-8"))
        for name in names
    )
    assert [m["positive"] for m in given["markers"]] == [1, 1, 0]
    assert given["notes"] == ["cells are those of QuPath", "1 row of other images left out"]
    assert min(m["positive"] for m in own["markers"]) > 10
    # another table of cells is another step; the other slide's stays
    cells.write_text(head + "one.ome.tif,Cell,CK,80,80\n", "utf-8")
    again = {s.name: s for s in image_steps(read_study(tmp_path))}
    assert again[names[0]].key != steps[names[0]].key
    assert again[names[1]].key == steps[names[1]].key
