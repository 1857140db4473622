"""The record of the images: complete, in order, the owner's alone, and nowhere but in the vault."""

from __future__ import annotations

import dataclasses
import io
import os
import signal
import stat
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from pydicom import dcmread

from metasight import pipeline
from metasight.cli import main
from metasight.engine.progress import Silent
from metasight.errors import StoreError, StudyError
from metasight.steps.scans import sources as recording
from metasight.study.file import read_study
from metasight.study.sources import (
    FOLDER,
    Source,
    erase_sources,
    has_source,
    prepare_sources,
    read_source,
    write_source,
)
from metasight.study.vault import make_key
from metasight.volumes.dicom import ReadSettings, load_series
from metasight.volumes.series import SeriesRule, choose_series, find_series
from scan_files import Field, sphere, write_ct, write_pet, write_rtstruct

Z = [0.0, 2.0, 4.0, 6.0, 8.0]
RECORD = Source(
    patient="P0123456789abcdef",
    kind="CT",
    step="ab" * 32,
    study_uid="1.2.1",
    series_uid="1.2.2",
    frame_of_reference_uid="1.2.3",
    sop_class_uid="1.2.4",
    instance_uids=("1.2.5", None, "1.2.6"),
)


@pytest.fixture
def vault(tmp_path: Path) -> Path:
    folder = tmp_path / "study.vault"
    make_key(folder)
    prepare_sources(folder)
    return folder


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def of_folder(folder: Path, **told: object) -> Source:
    chosen = choose_series(find_series(folder), SeriesRule(**told)).chosen  # type: ignore[arg-type]
    return Source.of_series(chosen, patient="P", kind="CT", step="s")


# ------------------------------------------------------------------ what is recorded


def test_it_names_the_series_and_each_slice_from_the_feet(tmp_path: Path) -> None:
    written = write_ct(tmp_path, Z)
    source = of_folder(tmp_path)
    header = dcmread(min(tmp_path.iterdir()))
    assert source.study_uid == header.StudyInstanceUID
    assert source.series_uid == written.uid
    assert source.frame_of_reference_uid == header.FrameOfReferenceUID
    assert source.sop_class_uid == header.SOPClassUID
    assert source.instance_uids == written.sop_uids
    assert source.frames == ()
    assert not [u for u in (written.uid, *written.sop_uids) if u in repr(source)]


def test_the_order_is_the_volume_s_whichever_way_the_slices_were_taken(tmp_path: Path) -> None:
    """On the belly columns run to the front, and slices are sorted towards the feet."""

    def prone(data, k: int) -> None:
        data.ImageOrientationPatient = [1, 0, 0, 0, -1, 0]
        data.ImagePositionPatient = [-100, 100, float(Z[k])]
        data.PixelData = np.full((96, 96), 24 + 100 * k, dtype="<u2").tobytes()

    written = write_ct(tmp_path, Z, edit=prone)
    choice = choose_series(find_series(tmp_path), SeriesRule())
    volume = load_series(choice, settings=ReadSettings(check_hu=False))
    by_slice = [round((float(plane.mean()) + 1000) / 100) for plane in volume.array]
    assert of_folder(tmp_path).instance_uids == tuple(written.sop_uids[k] for k in by_slice)


def test_a_slice_that_was_interpolated_has_no_image(tmp_path: Path) -> None:
    written = write_ct(tmp_path, Z)
    sorted(tmp_path.iterdir())[2].unlink()
    uids = of_folder(tmp_path).instance_uids
    assert uids == (*written.sop_uids[:2], None, *written.sop_uids[3:])


def test_frames_of_one_object_are_numbered(tmp_path: Path) -> None:
    write_ct(tmp_path, Z)
    chosen = choose_series(find_series(tmp_path), SeriesRule()).chosen
    one = tuple(replace(h, sop_uid="1.9", frame=4 - k) for k, h in enumerate(chosen.headers))
    ordered = sorted(one, key=lambda h: h.position_mm[2])
    source = Source.of_series(replace(chosen, headers=one), patient="P", kind="CT", step="s")
    assert source.instance_uids == ("1.9",) * 5
    assert source.frames == tuple(h.frame + 1 for h in ordered)


# ------------------------------------------------------------------ how it is kept


def test_a_record_is_read_as_it_was_written_and_is_its_owner_s_alone(vault: Path) -> None:
    assert not has_source(vault, RECORD.step, "CT")
    old = os.umask(0)
    try:
        write_source(vault, RECORD)
    finally:
        os.umask(old)
    assert has_source(vault, RECORD.step, "CT") and not has_source(vault, RECORD.step, "PET")
    assert read_source(vault, RECORD.step, "CT") == RECORD
    (file,) = (vault / FOLDER).iterdir()
    assert (mode(vault), mode(vault / FOLDER), mode(file)) == (0o700, 0o700, 0o600)
    assert RECORD.patient not in file.name and RECORD.step not in file.name


def test_records_of_a_patient_are_erased_with_those_that_do_not_say_whose_they_are(
    vault: Path,
) -> None:
    other = replace_patient("P" + "f" * 16)
    write_source(vault, RECORD)
    write_source(vault, other)
    (vault / FOLDER / "damaged.json").write_text("{}", "utf-8")
    assert erase_sources(vault, [RECORD.patient]) == 2
    assert not has_source(vault, RECORD.step, RECORD.kind)
    assert read_source(vault, other.step, other.kind) == other
    assert erase_sources(vault, [RECORD.patient]) == 0


def replace_patient(patient: str) -> Source:
    return dataclasses.replace(RECORD, patient=patient, step="cd" * 32)


def test_an_equal_record_is_not_written_again_and_another_replaces_it(vault: Path) -> None:
    write_source(vault, RECORD)
    (file,) = (vault / FOLDER).iterdir()
    before = file.stat()
    write_source(vault, RECORD)
    assert (file.stat().st_ino, file.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)
    write_source(vault, replace(RECORD, series_uid="1.2.9"))
    assert read_source(vault, RECORD.step, "CT").series_uid == "1.2.9"
    write_source(vault, replace(RECORD, kind="PET"))
    assert len(list((vault / FOLDER).iterdir())) == 2


def test_a_record_is_there_whole_or_not_at_all(
    vault: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StudyError, match=r"the vault cannot be written .value: No space left"):
        write_source(vault, RECORD)
    assert list((vault / FOLDER).iterdir()) == []


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}', '{"format": 1, "frames": []}'])
def test_a_damaged_record_is_named_with_its_remedy(vault: Path, text: str) -> None:
    write_source(vault, RECORD)
    (file,) = (vault / FOLDER).iterdir()
    file.write_text(text)
    with pytest.raises(StudyError, match="damaged") as refusal:
        read_source(vault, RECORD.step, "CT")
    assert "Delete the file" in str(refusal.value)


def test_another_format_and_no_record(vault: Path) -> None:
    with pytest.raises(StudyError, match="does not hold the images"):
        read_source(vault, RECORD.step, "CT")
    write_source(vault, RECORD)
    (file,) = (vault / FOLDER).iterdir()
    file.write_text(file.read_text().replace('"format": 1', '"format": 2'))
    with pytest.raises(StoreError, match="another format"):
        read_source(vault, RECORD.step, "CT")


def test_a_folder_that_others_may_read_is_refused(vault: Path) -> None:
    (vault / FOLDER).chmod(0o750)
    with pytest.raises(StudyError, match=r"others may read .*mode 0750.*chmod 700"):
        prepare_sources(vault)


def test_a_vault_that_cannot_be_used_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for attempt in (
        lambda: prepare_sources(tmp_path / "none"),
        lambda: prepare_sources(tmp_path / "file"),
        lambda: has_source(tmp_path / "file", "s", "CT"),
        lambda: write_source(tmp_path / "none", RECORD),
    ):
        with pytest.raises(StudyError, match=r"the vault cannot be (read|written).*Give your acc"):
            attempt()


# ------------------------------------------------------------------ in a study


@pytest.fixture
def folder(tmp_path: Path, made_up: tuple[pd.DataFrame, str]) -> Path:
    """Made-up patients; three have a CT, one of them a PET and a lesion, and one CT is damaged."""
    table, text = made_up
    folder = tmp_path / "study"
    folder.mkdir()
    table.to_csv(folder / "patients.csv", index=False)
    z_mm = np.arange(-30, 31, 5.0)
    rows = []
    for k in range(3):
        ct = write_ct(folder / f"{k}" / "CT", z_mm, series=f"ct {k}")
        rows.append((f"MRN-0000{k}", "CT", f"{k}/CT"))
        if k == 0:
            write_pet(folder / "0" / "PT", Field())
            write_rtstruct(folder / "0" / "rt.dcm", {"GTV-1": sphere(z_mm)}, of=ct)
            rows += [("MRN-00000", "PET", "0/PT"), ("MRN-00000", "mask", "0/rt.dcm")]
    for file in list((folder / "2" / "CT").iterdir())[1:]:
        file.unlink()
    pd.DataFrame(rows, columns=["id", "kind", "path"]).to_csv(folder / "scans.csv", index=False)
    salt = 'salt = "a salt for tests"'
    assert salt in text
    make_key(tmp_path / "study.vault")
    text = text.replace(salt, 'vault = "../study.vault"')
    text = text.replace("instability_resamples = 3", "instability_resamples = 0")
    (folder / "study.toml").write_text(text + '\n[scans]\npath = "scans.csv"\nid = "id"\n')
    return folder


def uids(folder: Path) -> set[str]:
    """Every UID that names a patient's images."""
    found = set()
    for file in folder.rglob("*.dcm"):
        data = dcmread(file, stop_before_pixels=True)
        found |= {str(data.get(n, "")) for n in ("SOPInstanceUID", "SeriesInstanceUID")}
        found |= {str(data.get(n, "")) for n in ("StudyInstanceUID", "FrameOfReferenceUID")}
    return found - {""}


def texts(folder: Path) -> Iterator[tuple[str, bytes]]:
    """Every file below a folder; of archives and Parquet what is packed, too."""
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        content = path.read_bytes()
        yield path.name, content
        if path.suffix == ".parquet":
            yield path.name, pq.read_table(path).to_pandas().to_csv().encode()
        if zipfile.is_zipfile(io.BytesIO(content)):
            with zipfile.ZipFile(path) as archive:
                yield from ((f"{path.name}/{n}", archive.read(n)) for n in archive.namelist())


def measured(folder: Path) -> dict[str, str]:
    """A run's measurements; subject of each step on scans → its key."""
    study = read_study(folder)
    with pipeline.work_on(study, scheduler="inline", progress=Silent()) as work:
        steps = pipeline.measure(study, work)
    return {s.subject: s.key for s in steps}


def records(folder: Path) -> list[Path]:
    return sorted((folder.parent / "study.vault" / FOLDER).glob("[!.]*"))


def test_a_run_keeps_the_uids_in_the_vault_and_nowhere_else(folder: Path, capsys) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["run", str(folder), "--scheduler", "inline"])
    assert stop.value.code == 0
    said = capsys.readouterr()
    secrets = [u.encode() for u in uids(folder)]
    assert len(secrets) > 30
    results = folder / "results"
    assert (results / "latest" / "bundle.zip").is_file()
    looked_at = 0
    for place in (results, folder / ".metasight"):
        for name, content in texts(place):
            assert not [s for s in secrets if s in content], name
            looked_at += 1
    assert looked_at > 100
    assert not [s for s in secrets if s.decode() in said.out + said.err]
    vault = folder.parent / "study.vault"
    written = b"".join(p.read_bytes() for p in records(folder))
    own = [u for u in secrets if u in written]
    assert len(own) > 30
    assert len(records(folder)) == 4
    assert {mode(p) for p in records(folder)} == {0o600} and mode(vault / FOLDER) == 0o700


def test_records_are_found_by_the_step_and_that_of_a_damaged_scan_is_empty(folder: Path) -> None:
    keys = measured(folder)
    vault = folder.parent / "study.vault"
    found = [read_source(vault, key, "CT") for key in keys.values()]
    assert [s.patient for s in found] == list(keys)
    assert [len(s.instance_uids) for s in found] == [13, 13, 0]
    assert found[2].series_uid == ""
    pet = read_source(vault, found[0].step, "PET")
    assert len(pet.instance_uids) == 10 and pet.series_uid != found[0].series_uid


def test_a_vault_changes_no_key_and_no_result(folder: Path, monkeypatch) -> None:
    keys = measured(folder)
    monkeypatch.setattr(recording, "write_source", lambda *_: pytest.fail("nothing to keep"))
    study = replace(read_study(folder), vault=None)
    with pipeline.work_on(study, scheduler="inline", progress=Silent()) as work:
        steps = pipeline.measure(study, work)
        assert work.pending == []
    assert {s.subject: s.key for s in steps} == keys


def test_without_a_vault_nothing_is_kept(folder: Path) -> None:
    path = folder / "study.toml"
    path.write_text(path.read_text().replace('vault = "../study.vault"', 'salt = "public data"'))
    assert read_study(folder).vault is None
    measured(folder)
    assert records(folder) == []


def test_nothing_changed_reads_no_header(folder: Path, monkeypatch) -> None:
    measured(folder)
    before = [(p, p.stat().st_mtime_ns, p.stat().st_ino) for p in records(folder)]
    for name in ("find_series", "series_drawn_on", "prepare_sources", "write_source"):
        monkeypatch.setattr(recording, name, lambda *_, n=name: pytest.fail(n))
    measured(folder)
    assert [(p, p.stat().st_mtime_ns, p.stat().st_ino) for p in records(folder)] == before


def test_a_look_at_what_would_run_keeps_nothing(folder: Path) -> None:
    pipeline.look(read_study(folder), progress=Silent())
    assert records(folder) == []
    measured(folder)
    for path in records(folder):
        path.unlink()
    pipeline.look(read_study(folder), progress=Silent())
    assert records(folder) == []


def test_a_changed_scan_has_a_record_of_its_own(folder: Path) -> None:
    before = measured(folder)
    other = write_ct(folder / "1" / "CT", np.arange(-30, 31, 5.0), series="ct 1", SeriesNumber=2)
    after = measured(folder)
    changed = [p for p in before if before[p] != after[p]]
    assert len(changed) == 1
    vault = folder.parent / "study.vault"
    assert read_source(vault, after[changed[0]], "CT").series_uid == other.uid


def test_a_run_that_was_killed_goes_on_with_the_missing_records(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every step was made; two records were not, and one was half written."""
    command = [sys.executable, "-c", KILLED, str(folder)]
    running = subprocess.run(
        command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    assert running.returncode == -signal.SIGKILL, running.stderr
    first = [(p, p.stat().st_ino) for p in records(folder)]
    assert len(first) == 2
    made: list[Source] = []

    def counted(vault: Path, source: Source) -> None:
        made.append(source)
        write_source(vault, source)

    monkeypatch.setattr(recording, "write_source", counted)
    measured(folder)
    assert len(made) == 2 and len(records(folder)) == 4
    assert [(p, p.stat().st_ino) for p, _ in first] == first
    hidden = (folder.parent / "study.vault" / FOLDER).glob(".*")
    assert {mode(p) for p in hidden} <= {0o600}


KILLED = """
import os, signal, sys
from pathlib import Path
from metasight import pipeline
from metasight.engine.progress import Silent
from metasight.study import sources
from metasight.study.file import read_study

replaced, real = [], os.replace

def replace(source, target):
    if "sources" in str(target):
        if len(replaced) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        replaced.append(target)
    real(source, target)

os.replace = replace
study = read_study(Path(sys.argv[1]))
with pipeline.work_on(study, scheduler="inline", progress=Silent()) as work:
    pipeline.measure(study, work)
"""


@pytest.mark.parametrize("what", ["missing", "key unreadable", "no folder can be made"])
def test_a_vault_that_cannot_be_used_stops_the_run_before_it_measures(
    folder: Path, capsys, what: str
) -> None:
    vault = folder.parent / "study.vault"
    if what == "missing":
        vault.rename(folder.parent / "away")
    elif what == "key unreadable":
        (vault / "key").unlink()
        (vault / "key").mkdir()
    else:
        (vault / FOLDER).write_text("a file of that name")
    with pytest.raises(SystemExit) as stop:
        main(["run", str(folder), "--scheduler", "inline"])
    assert stop.value.code == 2
    said = capsys.readouterr()
    assert said.err.count("error") == 1 and "vault" in said.err
    assert said.out == ""
    assert not list((folder / ".metasight").rglob("scan.json"))


def test_patients_of_a_bundle_have_a_vault_of_their_own(folder: Path, monkeypatch) -> None:
    """What `predict` and `validate` measure is recorded where those patients' key lies."""
    study = read_study(folder)
    monkeypatch.setattr(pipeline, "study_of", lambda *_: replace(study, vault=None))

    class Locked:
        protocol = study.protocol

    found = pipeline._study_of(Locked(), folder)  # type: ignore[arg-type]
    assert found.vault == (folder.parent / "study.vault").resolve() == study.vault.resolve()
