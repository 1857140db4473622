"""The steps on scans: one a patient, before the cohort, for who is eligible rests on them.

Where the study asks for crops, one more holds all of them.
"""

from __future__ import annotations

from metasight.cohort.scan_table import PatientScans, read_scan_table
from metasight.engine.store import Step
from metasight.errors import ProtocolError, VolumeError
from metasight.features.radiomics.settings import RadiomicsSettings
from metasight.provenance import hash_code, hash_files
from metasight.steps.scans import patient as scans
from metasight.study.file import Study
from metasight.volumes.ct_limits import CtLimits

READ_BY_COHORT = (scans.SCANS, scans.CROPS)
"""How the names begin of steps whose results the cohort reads."""

_SCANS = (
    "volumes",
    "segmentation",
    "lesions",
    "features/radiomics",
    "protocol/evidence.py",
    "steps/scans/patient.py",
    "cohort/scan_table.py",
    "errors.py",
)
_CROPS = ("features/crops.py", "features/cropping.py")


def scan_steps(study: Study) -> tuple[Step, ...]:
    """One step a patient, and one for all crops; empty where ``study.toml`` names no scans.

    Raises
    ------
    ProtocolError
        The protocol's limits of CT quality are none.
    """
    settings = study.settings.scans
    if settings is None:
        return ()
    radiomics = None
    try:
        limits = CtLimits.from_table(study.protocol.ct_quality)
        if settings.radiomics:
            radiomics = RadiomicsSettings.from_toml(study.protocol.radiomics)
    except VolumeError as error:
        raise ProtocolError(
            error.problem,
            where="protocol [ct_quality] or [radiomics]",
            value=error.value,
            remedy=error.remedy,
        ) from error
    rows = read_scan_table(study.folder, study.settings)
    crops = settings.crops is not None
    measured = tuple(
        Step(
            name=f"{scans.SCANS}{row.patient}",
            stage="scans",
            function=scans.measure_scans,
            argument=scans.ScanArgument(
                scans=row, settings=settings, limits=limits, radiomics=radiomics
            ),
            ingredients={
                "files": [hash_files(path) for path in row.files],
                "read as": settings.model_dump(mode="json"),
                "lesion": _lesion(row),
                "limits": study.protocol.ct_quality,
                "radiomics": study.protocol.radiomics if settings.radiomics else None,
                "code of scans": hash_code(*_SCANS, *(_CROPS if crops else ())),
            },
        )
        for row in rows
    )
    if not crops:
        return measured
    gathered = Step(
        name=scans.CROPS,
        stage="scans",
        function=scans.gather_crops,
        ingredients={"code of crops": hash_code("steps/scans/patient.py")},
        needs=measured,
    )
    return (*measured, gathered)


def _lesion(row: PatientScans) -> list[object]:
    if row.lesion is None:
        return []
    return [row.lesion.region, row.lesion.point_mm, row.lesion.corner_mm]
