"""Classes of files that metasight reads: a good file of each, and the part that reads it.

Of ``bench/mutations.py``, which damages them.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
sys.path[1:1] = [str(ROOT / "tests"), str(ROOT / "tests/alignment")]  # alignment.py is a bench

import numpy as np  # noqa: E402


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A class of files.

    Attributes
    ----------
    make
        Writes a good one into an empty folder; what is to be read.
    read
        Reads it, as a study does; bytes that are equal for equal values.
    damaged
        Files below the folder that are damaged, by pattern.
    """

    make: Callable[[Path], Path]
    read: Callable[[Path], bytes]
    damaged: str = "*"


KINDS: dict[str, Kind] = {}


def digest(*values: Any) -> bytes:
    found = hashlib.sha256()
    for value in values:
        if isinstance(value, np.ndarray):
            found.update(repr((value.shape, value.dtype)).encode())
            found.update(np.ascontiguousarray(value).tobytes())
        else:
            found.update(repr(value).encode())
    return found.digest()


# ------------------------------------------------------------------------------------- slides


def _slide(path: Path) -> bytes:
    from metasight.slides.opening import open_slide
    from metasight.slides.reader import Region

    with open_slide(path, name="slide") as slide:
        full = slide.levels[0]
        wide, high = min(full.width, 700), min(full.height, 700)
        fine = slide.read(Region(x=0, y=0, width=wide, height=high), slide.mpp)
        width, height = slide.size_at(4 * slide.mpp)
        coarse = slide.read(
            Region(x=0, y=0, width=min(width, 300), height=min(height, 300)), 4 * slide.mpp
        )
        return digest(full.width, full.height, slide.mpp, slide.channels, fine, coarse)


def _pyramid(kind: str, name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        from slide_files import tissue_like, write_pyramid

        return write_pyramid(folder / name, tissue_like(600, 640), kind=kind)

    return make


def _fluorescence(folder: Path) -> Path:
    from slide_files import write_fluorescence

    planes = np.random.default_rng(1).integers(0, 4000, (3, 300, 320)).astype(np.uint16)
    return write_fluorescence(folder / "a.ome.tif", planes, ["DAPI", "CD3", "CD20"])


def _dicom_slide(folder: Path) -> Path:
    from slide_files import tissue_like, write_dicom

    return write_dicom(folder / "slide", tissue_like(512, 512))


KINDS["slide svs"] = Kind(make=_pyramid("svs", "a.svs"), read=_slide)
KINDS["slide ome-tiff"] = Kind(make=_pyramid("ome", "a.ome.tif"), read=_slide)
KINDS["slide tiff"] = Kind(make=_pyramid("generic", "a.tif"), read=_slide)
KINDS["slide fluorescence"] = Kind(make=_fluorescence, read=_slide)
KINDS["slide dicom"] = Kind(make=_dicom_slide, read=_slide)


# -------------------------------------------------------------------------------------- scans

Z = np.arange(-30, 31, 5.0)


def _settings() -> Any:
    from metasight.cohort.settings import ScanSettings

    return ScanSettings(path="scans.csv", id="patient")


def _ct(path: Path) -> bytes:
    from metasight.steps.scans.reading import read_ct

    ct = read_ct(path, _settings())
    return digest(ct.grid, ct.array, ct.facts)


def _make_ct(folder: Path) -> Path:
    from scan_files import write_ct

    return write_ct(folder / "ct", Z).folder


def _pet(path: Path) -> bytes:
    from metasight.cohort.scan_table import SeriesRow
    from metasight.steps.scans.reading import read_suv

    pet = read_suv(path, _settings(), named=SeriesRow(), dose_unit="Bq", on_choice=lambda _: None)
    return digest(pet.grid, pet.array)


def _make_pet(folder: Path) -> Path:
    from scan_files import Field, write_pet

    return write_pet(folder / "pet", Field())


def _nifti(path: Path) -> bytes:
    from metasight.volumes.nifti import read_nifti

    volume = read_nifti(path, unit="HU")
    return digest(volume.grid, volume.array)


def _make_nifti(ending: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        import SimpleITK as sitk  # noqa: N813 (the name its manual uses)

        voxels = np.random.default_rng(2).integers(-1000, 400, (24, 30, 28)).astype(np.int16)
        image = sitk.GetImageFromArray(voxels)
        image.SetSpacing((0.8, 0.8, 2.0))
        path = folder / f"ct.{ending}"
        sitk.WriteImage(image, str(path))
        return path

    return make


def _beside_ct(write: Callable[[Path, Any], Path]) -> Callable[[Path], Path]:
    """A mask beside the CT that it is drawn on."""

    def make(folder: Path) -> Path:
        from scan_files import write_ct

        write(folder, write_ct(folder / "ct", Z))
        return folder

    return make


def _structures(folder: Path, ct: Any) -> Path:
    from scan_files import sphere, write_rtstruct

    return write_rtstruct(folder / "mask.dcm", {"GTV-1": sphere(Z, 9.0)}, of=ct)


def _labels(ending: str) -> Callable[[Path, Any], Path]:
    def write(folder: Path, ct: Any) -> Path:
        from metasight.steps.scans.reading import read_ct
        from scan_files import write_labels

        image = read_ct(ct.folder, _settings()).image
        labels = np.zeros(image.GetSize()[::-1], np.uint8)
        labels[4:9, 20:34, 20:34] = 1
        return write_labels(folder / f"mask.{ending}", labels, image)

    return write


def _mask(folder: Path) -> bytes:
    from metasight.cohort.scan_table import LesionRow
    from metasight.steps.scans.reading import lesion_of, read_ct

    path = next(folder.glob("mask.*"))
    ct = read_ct(folder / "ct", _settings())
    row = LesionRow(path=path, region="", point_mm=None, corner_mm=None)
    return digest(lesion_of(row, ct, None).array)


KINDS["dicom ct"] = Kind(make=_make_ct, read=_ct)
KINDS["dicom pet"] = Kind(make=_make_pet, read=_pet)
KINDS["nifti"] = Kind(make=_make_nifti("nii"), read=_nifti)
KINDS["nifti gz"] = Kind(make=_make_nifti("nii.gz"), read=_nifti)
KINDS["rtstruct"] = Kind(make=_beside_ct(_structures), read=_mask, damaged="mask.*")
for _ending in ("nii.gz", "nrrd", "mha"):
    KINDS[f"mask {_ending}"] = Kind(make=_beside_ct(_labels(_ending)), read=_mask, damaged="mask.*")


def _segmentation(folder: Path, ct: Any) -> Path:
    import highdicom
    from highdicom import seg
    from pydicom import dcmread
    from pydicom.sr.codedict import codes

    slices = [dcmread(p) for p in sorted(ct.folder.iterdir())]
    for one in slices:  # a segmentation carries the patient's and the study's attributes on
        for name in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyID"):
            one.setdefault(name, "")
        for name in ("StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName"):
            one.setdefault(name, "")
    pixels = np.zeros((len(slices), slices[0].Rows, slices[0].Columns), np.uint8)
    pixels[4:9, 20:34, 20:34] = 1
    segment = seg.SegmentDescription(
        segment_number=1,
        segment_label="lesion",
        segmented_property_category=codes.SCT.MorphologicallyAbnormalStructure,
        segmented_property_type=codes.SCT.Nodule,
        algorithm_type=seg.SegmentAlgorithmTypeValues.MANUAL,
    )
    made = seg.Segmentation(
        source_images=slices,
        pixel_array=pixels,
        segmentation_type=seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[segment],
        series_instance_uid=highdicom.UID(),
        series_number=2,
        sop_instance_uid=highdicom.UID(),
        instance_number=1,
        manufacturer="a",
        manufacturer_model_name="b",
        software_versions="1",
        device_serial_number="1",
    )
    made.save_as(folder / "mask.dcm")
    return folder / "mask.dcm"


KINDS["dicom seg"] = Kind(make=_beside_ct(_segmentation), read=_mask, damaged="mask.*")


def _zipped(folder: Path) -> Path:
    """A folder in one archive beside it, and no longer there."""
    archive = shutil.make_archive(str(folder), "zip", folder)
    shutil.rmtree(folder)
    return Path(archive)


def _make_zip(folder: Path) -> Path:
    """A CT as PACS export it."""
    return _zipped(_make_ct(folder))


KINDS["dicom zip"] = Kind(make=_make_zip, read=_ct)


# ------------------------------------------------------------------------- tables and settings


def _cohort(folder: Path) -> bytes:
    from doors_tables import cohort

    read = cohort(folder)
    return digest(read.table.to_csv(), [str(e) for e in read.ledger.entries])


def _study(ending: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        from doors_tables import patients, study

        if ending == "csv":
            study(folder, patients(40))
        else:
            study(
                folder,
                patients(40),
                path=f"patients.{ending}",
                write=lambda frame, path: frame.to_excel(path, index=False),
            )
        return folder

    return make


KINDS["table csv"] = Kind(make=_study("csv"), read=_cohort, damaged="patients.csv")
KINDS["table xlsx"] = Kind(make=_study("xlsx"), read=_cohort, damaged="patients.xlsx")
KINDS["study.toml"] = Kind(make=_study("csv"), read=_cohort, damaged="study.toml")


def _labelled(ending: str) -> Callable[[Path], Path]:
    """SPSS or Stata."""

    def make(folder: Path) -> Path:
        import pyreadstat
        from doors_tables import patients, study

        write = pyreadstat.write_sav if ending == "sav" else pyreadstat.write_dta
        study(
            folder,
            patients(40),
            path=f"patients.{ending}",
            write=lambda frame, path: write(frame.astype(str), path),
        )
        return folder

    return make


def _make_redcap(folder: Path) -> Path:
    from doors_tables import _REDCAP, _redcap, patients, study

    rows = patients(40)
    for i, row in enumerate(rows):
        row["prior___1"], row["history_complete"] = i % 2, 2
    _redcap(folder, rows, {"prior": ("history", "checkbox", "1, Cancer")})
    columns: dict[str, str | None] = {"prior_malignancy": '"prior___1"'}
    study(folder, rows, columns=columns, patients=_REDCAP, waive={"E4": None})
    return folder


KINDS["table sav"] = Kind(make=_labelled("sav"), read=_cohort, damaged="patients.sav")
KINDS["table dta"] = Kind(make=_labelled("dta"), read=_cohort, damaged="patients.dta")
KINDS["redcap dictionary"] = Kind(make=_make_redcap, read=_cohort, damaged="dictionary.csv")


def _plan(folder: Path) -> bytes:
    from metasight.study.analysis_plan import read_plan

    return digest(read_plan(folder))


def _make_plan(folder: Path) -> Path:
    from doors_tables import patients, study

    from metasight.study.analysis_plan import lock_plan
    from metasight.study.file import read_study

    study(folder, patients(40))
    lock_plan(read_study(folder))
    return folder


KINDS["analysis plan"] = Kind(make=_make_plan, read=_plan, damaged="analysis-plan.json")


def _protocol(path: Path) -> bytes:
    from metasight.protocol.load import read_protocol

    return digest(read_protocol(path.name, folder=path.parent))


def _make_protocol(folder: Path) -> Path:
    place = folder / "third.toml"
    shutil.copyfile(ROOT / "tests/study/toy_protocol.toml", place)
    return place


KINDS["protocol.toml"] = Kind(make=_make_protocol, read=_protocol)


def _gmt(path: Path) -> bytes:
    from metasight.biology.gene_sets import read_gmt

    return digest(read_gmt(path))


def _make_gmt(folder: Path) -> Path:
    path = folder / "sets.gmt"
    rows = [f"SET_{n}\thttp://x/{n}\t" + "\t".join(f"GENE{k}" for k in range(20)) for n in range(9)]
    path.write_text("\n".join(rows) + "\n", "utf-8")
    return path


KINDS["gene sets"] = Kind(make=_make_gmt, read=_gmt)


def _cells(path: Path) -> bytes:
    from metasight.maps.adapters import read_cell_file

    found = read_cell_file(path, mpp=0.5)
    return digest(found.cells.x_um, found.cells.y_um, found.cells.type_names)


def _make_cells(ending: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        rng = np.random.default_rng(3)
        path = folder / f"cells.{ending}"
        places = rng.uniform(0, 900, (60, 2)).round(1)
        if ending == "csv":
            lines = ["Image,Classification,Centroid X µm,Centroid Y µm"]
            lines += [f"a.svs,CD3,{x},{y}" for x, y in places]
            path.write_text("\n".join(lines) + "\n", "utf-8")
        else:
            features = [
                {
                    "type": "Feature",
                    "geometry": {
                        "type": "Polygon",
                        "coordinates": [[[x, y], [x + 6, y], [x + 6, y + 6], [x, y + 6], [x, y]]],
                    },
                    "properties": {"objectType": "cell", "classification": {"name": "CD3"}},
                }
                for x, y in places
            ]
            path.write_text(json.dumps({"type": "FeatureCollection", "features": features}))
        return path

    return make


KINDS["cells csv"] = Kind(make=_make_cells("csv"), read=_cells)
KINDS["cells geojson"] = Kind(make=_make_cells("geojson"), read=_cells)


def _label_image(path: Path) -> bytes:
    from metasight.maps.adapters import read_label_image

    cells, labels = read_label_image(path, mpp=0.5)
    return digest(cells.x_um, cells.y_um, labels)


def _make_label_image(ending: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        import cv2
        import tifffile

        labels = np.zeros((200, 220), np.uint16)
        for n in range(1, 30):
            labels[6 * n : 6 * n + 5, 7 * n : 7 * n + 5] = n
        path = folder / f"labels.{ending}"
        if ending == "png":
            cv2.imwrite(str(path), labels)
        else:
            tifffile.imwrite(path, labels)
        return path

    return make


KINDS["labels tif"] = Kind(make=_make_label_image("tif"), read=_label_image)
KINDS["labels png"] = Kind(make=_make_label_image("png"), read=_label_image)


# ------------------------------------------------------------------- what metasight has written


def _patches(path: Path) -> bytes:
    from metasight.features.bags import read_patch_features

    bag = read_patch_features(path, "bag")
    return digest(bag.coords, bag.features)


def _make_patches(folder: Path) -> Path:
    import h5py

    path = folder / "patches.h5"
    rng = np.random.default_rng(4)
    with h5py.File(path, "w") as file:
        coords = file.create_dataset("coords", data=rng.integers(0, 9000, (50, 2)))
        coords.attrs["patch_size_level0"] = 224
        file.create_dataset("features", data=rng.normal(size=(50, 24)).astype(np.float32))
    return path


KINDS["patch features"] = Kind(make=_make_patches, read=_patches)


def _transform(path: Path) -> bytes:
    from metasight.alignment.transform_file import load_transform

    points = np.random.default_rng(5).uniform(50, 1400, (40, 2))
    return digest(load_transform(path).points(points))


def _make_transform(folder: Path) -> Path:
    from made_up import bent_transform

    from metasight.alignment.transform_file import save_transform

    save_transform(bent_transform(), folder / "transform.npz")
    return folder / "transform.npz"


KINDS["transform"] = Kind(make=_make_transform, read=_transform)


def _map(path: Path) -> bytes:
    from metasight.maps.ome import read_density_map

    found = read_density_map(path)
    return digest(found.density, found.error, found.support, found.spacing_um)


def _make_map(folder: Path) -> Path:
    from metasight.maps.density import DensityMap
    from metasight.maps.ome import write_density_map

    rng = np.random.default_rng(6)
    density = rng.gamma(2.0, 200.0, (3, 40, 50)).astype(np.float32)
    painted = DensityMap(
        density=density,
        error=density / 4,
        support=np.ones((40, 50), dtype=np.bool_),
        markers=("Pan-CK", "CD3", "CD20"),
        spacing_um=16.0,
    )
    write_density_map(painted, folder / "density.ome.tif")
    return folder / "density.ome.tif"


KINDS["density map"] = Kind(make=_make_map, read=_map)


def _bundle(path: Path) -> bytes:
    from metasight import bundle

    with bundle.unpacked(path) as folder:
        read = bundle.read(folder)
    return digest(sorted(read.states), read.headline_model, read.protocol.id)


def _make_run(folder: Path) -> Path:
    """A small study, run; its results are what is damaged."""
    from doors_tables import patients, study

    from metasight import pipeline
    from metasight.engine.progress import Silent
    from metasight.study.file import read_study

    place = folder / "study"
    place.mkdir()
    study(place, patients(120))
    text = (place / "study.toml").read_text("utf-8")
    few = "folds = 2\nrepeats = 1\nbootstrap = 100\ninstability_resamples = 2\nnoise_replicates = 1"
    (place / "study.toml").write_text(text.replace("[analysis]", f"[analysis]\n{few}"), "utf-8")
    results, _ = pipeline.run(read_study(place), scheduler="inline", progress=Silent())
    return results


def _make_bundle(folder: Path) -> Path:
    results = _make_run(folder)
    shutil.copytree(results / "bundle", folder / "bundle")
    shutil.rmtree(folder / "study")
    return folder / "bundle"


KINDS["bundle"] = Kind(make=_make_bundle, read=_bundle)


def _make_bundle_zip(folder: Path) -> Path:
    return _zipped(_make_bundle(folder))


KINDS["bundle zip"] = Kind(make=_make_bundle_zip, read=_bundle)


def _ledger(path: Path) -> bytes:
    from metasight.ledger import Ledger

    return digest([str(e) for e in Ledger.from_parquet(path).entries])


def _predictions(path: Path) -> bytes:
    from metasight.predictions import Predictions

    return digest(Predictions.from_parquet(path).table.to_csv())


def _of_run(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        results = _make_run(folder)
        shutil.copyfile(results / name, folder / name)
        shutil.rmtree(folder / "study")
        return folder / name

    return make


KINDS["ledger"] = Kind(make=_of_run("ledger.parquet"), read=_ledger)
KINDS["predictions"] = Kind(make=_of_run("predictions.parquet"), read=_predictions)
