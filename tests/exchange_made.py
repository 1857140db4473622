"""A scan, its mask, its record and made-up results, for tests of DICOM objects."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import numpy as np

from metasight.exchange.contents import (
    Algorithm,
    Interval,
    PatientResults,
    Risk,
    lesion_findings,
    lesion_measurements,
)
from metasight.study.sources import Source
from metasight.volumes.dicom import ReadSettings, load_series
from metasight.volumes.series import SeriesRule, choose_series, find_series
from metasight.volumes.volume import Mask, Volume
from scan_files import write_ct

PATIENT = "P0123456789abcdef"
MADE = dt.datetime(2026, 11, 30, 10, 0, tzinfo=dt.UTC)
ALGORITHM = Algorithm(
    version="0.2.0",
    protocol="nsclc-occult-node 1",
    run="abcdef012345",
    model="ordinal",
    bundle="ab" * 32,
    evidence="Fits that did not see the patient.",
)
SCAN = {
    "measured": {
        "tumour_size_mm": 27.797363586855123,
        "tumour_size_mm_error": 1.25,
        "tumour_perpendicular_mm": 17.98457559246546,
        "tumour_size_plane": "coronal",
        "tumour_volume_mm3": 4908.0,
        "solid_size_mm": 1 / 3,
        "ctr": 0.5,
        "ctr_lower": 0.25,
        "ctr_upper": 1.0,
        "axial_longest_mm": 20.55310533264554,
        "ctr_at_minus_160_hu": 1.0,
        "solid_size_at_minus_160_hu_mm": 27.0,
        "pure_ground_glass": False,
        "pure_ground_glass_answer": "no",
        "attenuation": "part-solid",
        "central": True,
        "side": "left",
        "lobe": "left lower",
        "pleura_gap_mm": None,
        "centre_x_mm": 68.3,
        "hilum_edge_ratio": 0.3190800213970492,
        "central_bronchi_2cm": True,
        "suvmax": 5.599499702453613,
        "suvpeak": 5.058705869942251,
        "suvmean": 3.787314859071624,
        "suv_unit": "SUVbw",
        "metabolic_volume_41_ml": 4.766715624000001,
        "metabolic_volume_suv_4_ml": 2.38,
        "tlg_41_suv_ml": 18.95490999600116,
    },
    "radiomics": {
        "statistics:mean": -120.5,
        "statistics:mean_error": 3.0,
        "3D:avg:GLCM:joint entropy": 4.2,
        "shell 0-5 mm:statistics:mean": -600.0,
    },
}
RISKS = tuple(
    Risk(
        endpoint="pathological_n",
        label="Pathological nodal stage",
        target=stage,
        value=value,
        interval=Interval(lower=low, upper=up, kind="95 % interval of the true risk"),
    )
    for stage, value, low, up in (("N0", 0.7, 0.5, 0.8), ("N1", 0.2, 0.1, 0.4), ("N2", 0.1, 0, 0.2))
)
RESULTS = PatientResults(
    patient=PATIENT,
    algorithm=ALGORITHM,
    measurements=lesion_measurements(SCAN),
    findings=lesion_findings(SCAN),
    risks=RISKS,
)


def scanned(
    folder: Path, *, without_slice: int | None = None, prone: bool = False
) -> tuple[Volume, Source]:
    """A CT on disk as it is read, and the vault's record of it."""
    z_mm = list(np.arange(-30, 31, 5.0))

    def turned(data, k: int) -> None:
        data.ImageOrientationPatient = [1, 0, 0, 0, -1, 0]
        data.ImagePositionPatient = [-118.75, 118.75, float(z_mm[k])]

    write_ct(folder, z_mm, edit=turned if prone else None)
    if without_slice is not None:
        sorted(folder.iterdir())[without_slice].unlink()
    choice = choose_series(find_series(folder), SeriesRule())
    volume = load_series(choice, settings=ReadSettings(max_missing_slices=3))
    return volume, Source.of_series(choice.chosen, patient=PATIENT, kind="CT", step="s")


def lesion_on(volume: Volume) -> Mask:
    """A lesion that is no box, so that a flip or a shift would be seen."""
    inside = np.zeros(volume.array.shape, dtype=bool)
    inside[4:8, 40:50, 60:72] = True
    inside[5, 41, 61] = inside[7, 45:, 60:66] = False
    return Mask.from_array(inside, on=volume)
