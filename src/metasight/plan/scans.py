"""The steps on scans: one a patient, before the cohort, for who is eligible rests on them.

Where the study asks for crops, one more holds all of them.
"""

from __future__ import annotations

from metasight.cohort.reader_decisions import read_reader_decisions
from metasight.cohort.scan_table import read_scan_table
from metasight.engine.contents import Contents
from metasight.engine.step import Step, StepKind
from metasight.errors import ProtocolError, VolumeError
from metasight.features.radiomics.settings import RadiomicsSettings
from metasight.steps.scans import patient as scans
from metasight.study.file import Study
from metasight.volumes.ct_limits import CtLimits


def scan_steps(study: Study, contents: Contents) -> tuple[Step, ...]:
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
    decisions = read_reader_decisions(study.folder, study.settings, study.protocol)
    crops = settings.crops is not None
    measured = tuple(
        Step(
            name=f"{scans.SCANS}{row.patient}",
            kind=StepKind.MEASURE_SCANS,
            subject=row.patient,
            label="scans",
            function=scans.measure_scans,
            argument=scans.ScanArgument(
                scans=row,
                settings=settings.recipe(),
                limits=limits,
                radiomics=radiomics,
                decision=decisions.quality.get(row.ct) if row.ct is not None else None,
            ),
            contents=contents,
        )
        for row in rows
    )
    if not crops:
        return measured
    gathered = Step(
        name=scans.CROPS,
        kind=StepKind.GATHER_CROPS,
        label="scans",
        function=scans.gather_crops,
        needs=measured,
        contents=contents,
    )
    return (*measured, gathered)
