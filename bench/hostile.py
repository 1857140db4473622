"""Files that claim or unpack to more than there is: what each costs and how it is refused.

    python bench/hostile.py

Each file is read by the part of metasight that a study reads it with, in a process of its own that
may take 2.5 GiB and 60 seconds. Printed: seconds, memory above the start, and the outcome: a named
error, a value, a raw exception, a hang or a death. Exit status 1 unless all are named errors or,
for those that are merely large, values. Files with any bytes changed, counted by class:
bench/mutations.py; texts that identify somebody: bench/canaries_planted.py.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np

MOST_BYTES, MOST_SECONDS = int(2.5 * 2**30), 60
Reader = Callable[[Path], object]
CASES: dict[str, tuple[Callable[[Path], Path], Reader, bool]] = {}


def case(reader: Reader, *, large: bool = False) -> Callable[[Callable], Callable]:
    """A file and its reader; ``large`` files may be read."""

    def noted(make: Callable[[Path], Path]) -> Callable[[Path], Path]:
        CASES[make.__name__.replace("_", " ")] = (make, reader, large)
        return make

    return noted


def table(path: Path) -> object:
    from metasight.cohort.settings import TableSettings
    from metasight.cohort.tables import read_table

    return read_table(path.parent, TableSettings(path=path.name, id="id"))


def features(path: Path) -> object:
    from metasight.features.bags import read_patch_features

    return read_patch_features(path, "bag")


def scan(path: Path) -> object:
    from metasight.volumes.series import find_series

    return find_series(path)


def slide(path: Path) -> object:
    from metasight.slides.opening import open_slide
    from metasight.slides.reader import Region

    opened = open_slide(path, name="slide")
    return opened.read(Region(x=0, y=0, width=64, height=64), opened.mpp).mean()


def volume(path: Path) -> object:
    from metasight.volumes.nifti import read_nifti_image

    return read_nifti_image(path).GetSize()


@case(table)
def sheet_with_one_cell_in_XFD1048576(work: Path) -> Path:  # noqa: N802
    import openpyxl

    book = openpyxl.Workbook()
    book.active["A1"], book.active["B1"], book.active["XFD1048576"] = "id", "x", 1
    book.save(work / "far.xlsx")
    return work / "far.xlsx"


@case(table)
def sheet_of_twenty_million_empty_rows(work: Path) -> Path:
    import openpyxl

    book = openpyxl.Workbook()
    book.active["A1"] = "id"
    book.save(work / "plain.xlsx")
    with (
        zipfile.ZipFile(work / "plain.xlsx") as old,
        zipfile.ZipFile(work / "rows.xlsx", "w", zipfile.ZIP_DEFLATED) as new,
    ):
        for name in old.namelist():
            content = old.read(name)
            if name.endswith("sheet1.xml"):
                content = content.replace(b"</sheetData>", b"<row/>" * 20_000_000 + b"</sheetData>")
            new.writestr(name, content)
    return work / "rows.xlsx"


@case(table, large=True)
def table_of_40000_columns(work: Path) -> Path:
    names = ["id", *(f"g{i}" for i in range(40_000))]
    rows = [",".join([str(r), *["1.5"] * 40_000]) for r in range(5)]
    (work / "wide.csv").write_text("\n".join([",".join(names), *rows]) + "\n")
    return work / "wide.csv"


@case(features)
def HDF5_of_8_GB_unwritten(work: Path) -> Path:  # noqa: N802
    with h5py.File(work / "u.h5", "w") as file:
        file.create_dataset("features", (4_000_000, 512), "f4", chunks=(1024, 512))
        file.create_dataset("coords", (4_000_000, 2), "i8", chunks=(1024, 2))
    return work / "u.h5"


@case(features)
def HDF5_that_reads_a_system_file(work: Path) -> Path:  # noqa: N802
    with h5py.File(work / "e.h5", "w") as file:
        file.create_dataset("features", (8, 4), "f4", external=[("/etc/passwd", 0, 128)])
        file.create_dataset("coords", (8, 2), "i8")
    return work / "e.h5"


@case(features)
def HDF5_that_links_to_another(work: Path) -> Path:  # noqa: N802
    with h5py.File(work / "other.h5", "w") as file:
        file["features"] = np.zeros((8, 4), "f4")
    with h5py.File(work / "l.h5", "w") as file:
        file["features"] = h5py.ExternalLink("other.h5", "/features")
        file["coords"] = np.zeros((8, 2), "i8")
    return work / "l.h5"


@case(scan)
def deflated_DICOM_of_3_GB(work: Path) -> Path:  # noqa: N802
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import CTImageStorage, DeflatedExplicitVRLittleEndian, generate_uid

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID = CTImageStorage, generate_uid()
    meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    data = FileDataset("x", {}, file_meta=meta, preamble=b"\0" * 128)
    data.Modality, data.Rows = "CT", 4
    (work / "scan").mkdir(exist_ok=True)
    path = work / "scan" / "1.dcm"
    data.save_as(path, enforce_file_format=True)
    packing = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    head = path.read_bytes()
    at = 144 + int.from_bytes(head[140:144], "little")
    with path.open("wb") as file:
        file.write(head[:at])
        for _ in range(3000):
            file.write(packing.compress(b"\0" * (1 << 20)))
        file.write(packing.flush())
    return work / "scan"


@case(scan)
def zip_whose_file_unpacks_to_2_GB(work: Path) -> Path:  # noqa: N802
    with (
        zipfile.ZipFile(work / "s.zip", "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("a/1.dcm", "w", force_zip64=True) as member,
    ):
        for _ in range(2300):
            member.write(b"\0" * (1 << 20))
    return work / "s.zip"


@case(scan)
def pipe_as_a_scan(work: Path) -> Path:
    os.mkfifo(work / "pipe")
    return work / "pipe"


@case(slide)
def OME_of_a_billion_time_points(work: Path) -> Path:  # noqa: N802
    import tifffile

    pixels = np.full((256, 256), 7, np.uint16)
    text = (
        '<OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0">'
        '<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint16" SizeX="256" SizeY="256" '
        'SizeC="1" SizeZ="1" SizeT="1000000000" PhysicalSizeX="0.5" PhysicalSizeY="0.5">'
        '<Channel ID="Channel:0:0" Name="DAPI" SamplesPerPixel="1"/>'
        '<TiffData IFD="0" PlaneCount="1000000000"/></Pixels></Image></OME>'
    )
    tifffile.imwrite(work / "t.ome.tif", pixels, tile=(128, 128), description=text, metadata=None)
    return work / "t.ome.tif"


@case(slide)
def JPEG_tile_that_claims_65500(work: Path) -> Path:  # noqa: N802
    import tifffile

    rgb = np.full((512, 512, 3), 200, np.uint8)
    path = work / "j.tif"
    tifffile.imwrite(
        path,
        rgb,
        tile=(256, 256),
        photometric="rgb",
        compression="jpeg",
        resolution=(2e4, 2e4),
        resolutionunit="CENTIMETER",
        metadata=None,
    )
    content = bytearray(path.read_bytes())
    at = 0
    while (at := content.find(b"\xff\xc0\x00", at + 1)) > 0:
        content[at + 5 : at + 9] = (65500).to_bytes(2, "big") * 2
    path.write_bytes(bytes(content))
    return path


@case(volume)
def NIfTI_that_claims_30000_slices(work: Path) -> Path:  # noqa: N802
    import gzip
    import struct

    head = bytearray(348)
    struct.pack_into("<i", head, 0, 348)
    struct.pack_into("<8h", head, 40, 3, 512, 512, 30_000, 1, 1, 1, 1)
    struct.pack_into("<hh", head, 70, 64, 64)
    struct.pack_into("<8f", head, 76, 1, 1, 1, 1, 0, 0, 0, 0)
    struct.pack_into("<3f", head, 108, 352, 1, 0)
    struct.pack_into("<hh", head, 252, 1, 0)
    head[344:348] = b"n+1\0"
    with gzip.open(work / "v.nii.gz", "wb", compresslevel=1) as file:
        file.write(bytes(head) + b"\0" * 4)
        file.write(b"\0" * (1 << 24))
    return work / "v.nii.gz"


def read_one(name: str, path: Path) -> None:
    """In the child: read within the limits and say what came of it."""
    from metasight.errors import MetasightError

    _, reader, _ = CASES[name]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES + 2**31, MOST_BYTES + 2**31))
    start = time.monotonic()
    try:
        told = f"value {str(reader(path))[:60]!r}"
    except MetasightError as error:
        told = f"named: {str(error)[:110]}"
    except Exception as error:  # noqa: BLE001 (that is what is looked for)
        told = f"RAW {type(error).__name__}: {str(error)[:80]}"
    # a file that failed was opened in a child, which has ended by now
    whose = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    grown = (max(resource.getrusage(w).ru_maxrss for w in whose) - before) / 2**20
    print(f"{time.monotonic() - start:5.1f} s  {grown:5.2f} GiB  {told}")


def main() -> int:
    """Every case in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--child", nargs=2, default=None, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.child:
        read_one(asked.child[0], Path(asked.child[1]))
        return 0
    bad = 0
    for name, (make, _, large) in CASES.items():
        with tempfile.TemporaryDirectory() as work:
            path = make(Path(work))
            command = [sys.executable, __file__, "--child", name, str(path)]
            try:
                child = subprocess.run(
                    command, capture_output=True, text=True, timeout=MOST_SECONDS, check=False
                )
                told = child.stdout.strip() or f"DIED {child.returncode}: {child.stderr[-120:]}"
            except subprocess.TimeoutExpired:
                told = f"HANGS for more than {MOST_SECONDS} s"
        right = "named:" in told or (large and "value" in told)
        bad += not right
        print(f"{'  ' if right else '! '}{name:38s} {told}", flush=True)
    print(f"{len(CASES) - bad} of {len(CASES)} as they should be")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
