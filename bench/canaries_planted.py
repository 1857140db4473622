"""Texts that identify somebody in every field of the inputs: whatever comes out is searched.

    python bench/canaries_planted.py [WORK] [--patients 24]

Two small studies, breast (tables, slides of three formats) and lung (tables, CT, PET, regions, SEG)
have a canary of its own in each field: elements of PS3.15's table, private and nested ones,
descriptions of slides, label and macro image, names of files, folders and sheets, cells, ids. Then
`check`, `run`, `report`, every `export` and the workbench's pages are made, and `check` of inputs
that fail (a misspelt region, a damaged file, a column that has slipped, …). Everything written
(results, store, logs, exports), printed and served is searched, also as UTF-16 and base64, and
within zip members, zlib streams and Parquet. Printed: fields planted by place, and each that was
found, with where. Exit status 1 if one was. Simulated.
"""

from __future__ import annotations

import argparse
import base64
import binascii
import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path

import pandas as pd
from canary_plants import ROOT, Planter, csv_with, in_dicom, in_file, in_ome, write_book, write_svs

from conftest import BREAST, breast_table
from metasight.engine.progress import Silent
from metasight.simulate.lung.cohort import simulate_lung
from metasight.simulate.lung.settings import LungSettings
from metasight.study.vault import move_to_vault
from slide_files import tissue_like, write_dicom, write_pyramid

SEEN = re.compile(rb"kanari\d{3}x")
BASE64 = re.compile(rb"[A-Za-z0-9+/]{40,}={0,2}")
STREAM = re.compile(rb"stream\r?\n(.*?)endstream", re.DOTALL)
Found = dict[str, set[str]]
MODEL = """
[[model]]
kind = "elastic_net_cox"
name = "penalised"

[slides]
path = "slides.csv"
id = "id"
"""

# ------------------------------------------------------------------ searching


def contents(name: str, raw: bytes, depth: int = 0) -> Iterator[bytes]:
    """Bytes and what is packed in them."""
    yield raw
    if depth > 2:
        return
    if raw[:4] == b"PK\3\4":
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            for member in archive.namelist():
                yield member.encode()
                yield from contents(member, archive.read(member), depth + 1)
    elif name.endswith(".parquet"):
        yield pd.read_parquet(io.BytesIO(raw)).reset_index().to_csv().encode()
    elif raw[:4] == b"%PDF":
        yield from map(inflated, STREAM.findall(raw))
    elif raw[:4] == b"\x89PNG" or raw[:2] == b"\x1f\x8b":
        yield b"".join(
            inflated(raw[m.start() :]) for m in re.finditer(rb"\x78[\x01\x5e\x9c\xda]", raw)
        )
        if raw[:2] == b"\x1f\x8b":
            yield zlib.decompressobj(31).decompress(raw)
    elif name.endswith((".html", ".json", ".svg", ".geojson", "page", ".md")):
        for packed in BASE64.findall(raw):
            try:
                yield from contents("", base64.b64decode(packed + b"=" * (-len(packed) % 4)), 3)
            except binascii.Error:
                continue


def inflated(stream: bytes) -> bytes:
    try:
        return zlib.decompressobj().decompress(stream, 1 << 26)
    except zlib.error:
        return b""


def seen_in(name: str, raw: bytes) -> set[str]:
    """Canaries in bytes, in one or two bytes a character."""
    found: set[str] = set()
    for part in contents(name, raw):
        low = part.lower()
        for lane in (low, low.replace(b"\0", b"")):
            found.update(m.decode() for m in SEEN.findall(lane))
    return found


def look_below(folder: Path, what: str, found: Found) -> int:
    """Files and their names below a folder; how many there are."""
    n = 0
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        raw = path.read_bytes() if path.is_file() and not path.is_symlink() else b""
        n += bool(raw)
        for canary in seen_in("", name.encode()) | seen_in(path.name, raw):
            found[canary].add(f"{what}: {SEEN.sub(b'*', name.lower().encode()).decode()}")
    return n


# ------------------------------------------------------------------ studies


def breast(folder: Path, plant: Planter) -> Path:
    """Tables in a workbook, and one slide of each format, for the first patients."""
    folder.mkdir(parents=True)
    table = breast_table(90)
    table["id"] = [f"{plant('table xlsx', 'patient id')}-{i:03d}" for i in range(len(table))]
    write_book(table, folder / "patients.xlsx", plant)
    below = folder / plant("names", "folder of slides")
    below.mkdir()
    tissue = tissue_like(900, 1100)
    svs = write_svs(below / f"{plant('names', 'slide file')}.svs", tissue, plant)
    ome = write_pyramid(below / f"{plant('names', 'OME file')}.ome.tif", tissue, kind="ome")
    in_ome(ome, plant)
    glass = write_dicom(below / plant("names", "folder of a DICOM slide"), tissue_like(512, 512))
    import pydicom

    for path in glass.glob("*.dcm"):
        data = pydicom.dcmread(path)
        in_dicom(data, plant, "slide dicom")
        data.save_as(path)
    rows = [
        (table["id"][n], p.relative_to(folder).as_posix(), "H&E", "")
        for n, p in enumerate((svs, ome, glass))
    ]
    slides = pd.DataFrame(rows, columns=["id", "file", "stain", "markers"])
    csv_with(slides, folder / "slides.csv", plant, "table csv")
    text = BREAST[: BREAST.index('[[model]]\nkind = "forest"')] + MODEL
    text = text.replace('headline_model = "forest"', 'headline_model = "penalised"')
    text = text.replace("instability_resamples = 3", "instability_resamples = 0")
    sheet = plant("table xlsx", "sheet name")
    text = text.replace('"patients.csv"', f'"patients.xlsx"\nsheet = "{sheet}"')
    (folder / "study.toml").write_text(text, "utf-8")
    return folder


def lung(folder: Path, plant: Planter, patients: int) -> Path:
    """A simulated study, each file of it planted; the last patient's read texts too."""
    settings = LungSettings(
        patients=patients,
        pixel_mm=2.0,
        click_fraction=0.0,
        ineligible_fraction=0.0,
        centres=2,
        n1_share=0.25,
        n2_share=0.2,
        sbrt_share=0.1,
    )
    simulate_lung(folder, settings, 4, jobs=1, progress=Silent())
    shutil.rmtree(folder / "truth")
    last = f"SIM-{patients:04d}"
    for path in sorted((folder / "scans").rglob("*.dcm")):
        kind = {"CT": "CT", "PT": "PET"}.get(path.parent.name, "RTSTRUCT")
        in_file(path, plant, kind, also=last in path.parts and kind == "CT")
    new = {}
    for n, old in enumerate(sorted((folder / "scans").iterdir())):
        new[old.name] = f"{plant('names', 'folder of scans')}-{n:02d}"
        (old / "CT" / f"{plant('names', 'file beside slices')}.txt").write_text("no slice")
        old.rename(old.with_name(new[old.name]))
    for name in ("patients.csv", "scans.csv"):
        table = pd.read_csv(folder / name, dtype=str, keep_default_na=False)
        if "path" in table:
            table["path"] = [re.sub(r"^SIM-\d+", lambda m: new[m[0]], p) for p in table["path"]]
        table["patient"] = [f"{plant('table csv', 'patient id')}-{p[4:]}" for p in table["patient"]]
        csv_with(table, folder / name, plant, f"table {name}")
    text = (folder / "study.toml").read_text("utf-8")
    text = text.replace('"patients.csv"', f'"{plant("names", "table file")}.csv"', 1)
    (folder / "patients.csv").rename(folder / f"{plant('names', 'table file')}.csv")
    protocol = (ROOT / "src/metasight/protocol/nsclc_occult_node.toml").read_text("utf-8")
    coarse = protocol.replace(
        "pixel_spacing_mm = { high = 1.0 }", "pixel_spacing_mm = { high = 3.0 }"
    )
    (folder / "coarse.toml").write_text(coarse, "utf-8")
    text = text.replace('protocol = "nsclc-occult-node"', 'protocol = "coarse.toml"')
    (folder / "study.toml").write_text(text, "utf-8")
    move_to_vault(folder)
    return folder


# ------------------------------------------------------------------ what fails


def _cell(file: str, column: str, place: str) -> Callable[[Path, Planter], None]:
    """A canary in a cell that is read."""

    def change(folder: Path, plant: Planter) -> None:
        path = folder / file
        if not path.exists():
            (path,) = (p for p in folder.glob("*.csv") if "Kanari" in p.name)
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
        table.loc[0, column] = plant("cell that fails", place)
        table.to_csv(path, index=False)

    return change


def _damaged(folder: Path, plant: Planter) -> None:
    """A length of a header is wrong, so what follows is read as something else."""
    for path in sorted((folder / "scans").rglob("*.dcm"))[:6]:
        raw = bytearray(path.read_bytes())
        at = raw.find(b"PN")
        raw[at + 2] ^= 0x1E
        path.write_bytes(bytes(raw))


def _cut(folder: Path, plant: Planter) -> None:
    for path in sorted(folder.rglob("*.svs")) + sorted(folder.rglob("*.ome.tif")):
        raw = path.read_bytes()
        path.write_bytes(raw[: len(raw) // 2])


def _no_zip(folder: Path, plant: Planter) -> None:
    path = folder / "patients.xlsx"
    path.write_bytes(path.read_bytes()[:-300])


def _no_sheet(folder: Path, plant: Planter) -> None:
    path = folder / "study.toml"
    path.write_text(re.sub(r"\nsheet = .*", "", path.read_text("utf-8")), "utf-8")


def _odd_column(folder: Path, plant: Planter) -> None:
    path = folder / "study.toml"
    text = path.read_text("utf-8")
    path.write_text(text.replace('"grade"', '"no such column"', 1), "utf-8")


FAILS = {
    "breast": {
        "slide table: stain": _cell("slides.csv", "stain", "stain"),
        "slide table: file": _cell("slides.csv", "file", "file"),
        "slide table: stranger": _cell("slides.csv", "id", "id of a stranger"),
        "slides cut": _cut,
        "workbook cut": _no_zip,
        "which sheet": _no_sheet,
        "no such column": _odd_column,
    },
    "lung": {
        "scan table: region": _cell("scans.csv", "roi", "region"),
        "scan table: kind": _cell("scans.csv", "kind", "kind"),
        "scan table: path": _cell("scans.csv", "path", "path"),
        "scan table: point": _cell("scans.csv", "x_mm", "coordinate"),
        "scan table: stranger": _cell("scans.csv", "patient", "id of a stranger"),
        "patients: number": _cell("patients.csv", "age_years", "number"),
        "patients: category": _cell("patients.csv", "clinical_t", "category"),
        "patients: date": _cell("patients.csv", "treatment_date", "date"),
        "patients: yes or no": _cell("patients.csv", "female", "yes or no"),
        "DICOM damaged": _damaged,
    },
}


# ------------------------------------------------------------------ running


def tell(folder: Path, words: list[str], what: str, found: Found, work: Path) -> int:
    """Run a command and search what it prints; its exit status."""
    command = [sys.executable, "-m", "metasight", *words]
    done = subprocess.run(command, capture_output=True, check=False, cwd=work, timeout=1500)
    said = done.stdout + done.stderr
    said = said.replace(str(folder).encode(), b"").replace(folder.name.encode(), b"")
    for canary in seen_in("page", said):
        found[canary].add(f"printed by {what}")
    if done.returncode not in {0, 1, 2}:
        print(f"! {what}: exit {done.returncode}: {done.stderr[-300:]!r}")
    return done.returncode


def pages(folder: Path, found: Found) -> int:
    """Every page of the workbench that links lead to; how many."""
    try:
        from starlette.testclient import TestClient

        from metasight.serve.app import Workbench, create_app
        from metasight.serve.reach import Reach
    except ImportError:
        print("the extra `serve` is not installed: no pages")
        return 0
    from metasight.study.file import read_study

    workbench = Workbench(read_study(folder), Reach(names=("testserver",)))
    seen: set[str] = set()
    with TestClient(create_app(workbench), raise_server_exceptions=False) as client:
        client.get(f"/enter?token={workbench.sessions.new_token()}")
        left = ["/", "/patients", "/review", "/plan", "/report", "/standing", "/audit"]
        while left and len(seen) < 300:
            at = left.pop()
            if at in seen:
                continue
            seen.add(at)
            answer = client.get(at)
            raw = answer.content + repr(dict(answer.headers)).encode()
            for canary in seen_in("page", raw):
                found[canary].add(f"page {re.sub('P[0-9a-f]{16}', 'P…', at)}")
            links = re.findall(r"(?:href|src)=\"(/[^\"#]*)", answer.text if raw[:1] == b"<" else "")
            left += [x.replace("&amp;", "&") for x in links if not x.startswith("//")]
    return len(seen)


def exercise(folder: Path, kind: str, found: Found, work: Path) -> None:
    """Everything that a study can be made to write."""
    tell(folder, ["check", str(folder)], "check", found, work)
    tell(folder, ["check", "--json", str(folder)], "check --json", found, work)
    tell(folder, ["run", "--dry-run", str(folder)], "run --dry-run", found, work)
    ran = tell(folder, ["run", str(folder), "--scheduler", "inline"], "run", found, work)
    said = (folder / "study.toml").read_text("utf-8")
    (folder / "study.toml").write_text(
        'title = "Another title"\n' + re.sub("^title.*\n", "", said, flags=re.M)
    )
    told = tell(folder, ["report", str(folder)], "report", found, work)
    print(f"{kind}: run exits {ran}, report {told}")
    forms = ["dicom", "dicom-maps", "fhir", "geojson", "tables", "crate", "word"]
    for form in forms:
        out = work / f"{kind}-out" / form
        out.parent.mkdir(exist_ok=True)
        words = ["export", str(folder), "--as", form, "-o", str(out), "--licence", "CC-BY-4.0"]
        words += ["--source-images"] * form.startswith("dicom")
        status = tell(folder, words, f"export {form}", found, work)
        files = look_below(out, f"export {form}", found) if out.is_dir() else 0
        print(f"  export {form}: exit {status}, {files} files")
    for name in ("results", ".metasight"):
        print(f"  {name}: {look_below(folder / name, name, found)} files")
    print(f"  pages: {pages(folder, found)}")


def fail(folder: Path, kind: str, plant: Planter, found: Found, work: Path) -> None:
    """`check` of the study with one input spoilt, for each way."""
    for name, change in FAILS[kind].items():
        copy = work / "failing" / "study"
        shutil.rmtree(copy.parent, ignore_errors=True)
        shutil.copytree(folder, copy, symlinks=True, ignore=shutil.ignore_patterns("results"))
        for vault in folder.parent.glob(f"{folder.name}.vault"):
            shutil.copytree(vault, copy.parent / vault.name)
        change(copy, plant)
        status = tell(copy, ["check", str(copy)], f"check, {name}", found, work)
        look_below(copy / ".metasight", f"store after {name}", found)
        print(f"  fails: {name}: exit {status}")


def main() -> int:
    """Plant, run, search, print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("work", type=Path, nargs="?")
    parser.add_argument("--patients", type=int, default=24)
    parser.add_argument("--only", choices=("breast", "lung"))
    asked = parser.parse_args()
    os.environ["PYTHONPATH"] = str(ROOT / "src")
    began = time.perf_counter()
    found: Found = defaultdict(set)
    plant = Planter()
    with tempfile.TemporaryDirectory(prefix="canaries-") as own:
        work = asked.work or Path(own)
        work.mkdir(exist_ok=True)
        for kind in ("breast", "lung"):
            if asked.only in {None, kind}:
                place = work / f"{plant('names', 'study folder')}-{kind}"
                make = (
                    breast(place, plant) if kind == "breast" else lung(place, plant, asked.patients)
                )
                exercise(make, kind, found, work)
                fail(make, kind, plant, found, work)
    per_place = Counter(place for place, _ in plant.fields.values())
    for place, n in per_place.items():
        hits = sum(plant.fields[c][0] == place for c in found if c in plant.fields)
        print(f"{place:18s} {n:4d} fields, {hits} found")
    for canary, where in sorted(found.items()):
        print(f"! {plant.fields.get(canary, ('?', canary))}: {sorted(where)[:4]}")
    took = time.perf_counter() - began
    print(f"{len(plant.fields)} fields, {len(found)} found in what came out; {took:.0f} s")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
