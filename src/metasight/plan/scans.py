"""The steps on scans: one a patient, before the cohort, for who is eligible rests on them.

Where the study asks for crops, one more holds all of them.
"""

from __future__ import annotations

from metasight.cohort.reader_decisions import read_reader_decisions
from metasight.cohort.reader_lesions import read_reader_lesions
from metasight.cohort.scan_table import read_scan_table
from metasight.cohort.settings import ScanRecipe
from metasight.engine.contents import Contents
from metasight.engine.step import Step, StepKind
from metasight.errors import ProtocolError, VolumeError
from metasight.features.radiomics.settings import RadiomicsSettings
from metasight.protocol.study import Protocol
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
    recipe = settings.recipe()
    limits, radiomics = of_protocol(study.protocol, recipe)
    decisions = read_reader_decisions(study.folder, study.settings, study.protocol)
    accepted = read_reader_lesions(study.folder, study.settings)
    crops = settings.crops is not None
    measured = tuple(
        measure_step(
            scans.ScanArgument(
                scans=row,
                settings=recipe,
                limits=limits,
                radiomics=radiomics,
                decision=decisions.quality.get(row.ct) if row.ct is not None else None,
                accepted=accepted.get(row.patient),
            ),
            contents,
        )
        for row in read_scan_table(study.folder, study.settings)
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


def of_protocol(
    protocol: Protocol, recipe: ScanRecipe
) -> tuple[CtLimits, RadiomicsSettings | None]:
    """Limits of CT quality, and how texture is measured; None where nobody asks for texture.

    Raises
    ------
    ProtocolError
        The protocol's own are none.
    """
    try:
        limits = CtLimits.from_table(protocol.ct_quality)
        asked = RadiomicsSettings.from_toml(protocol.radiomics) if recipe.radiomics else None
    except VolumeError as error:
        raise ProtocolError(
            error.problem,
            where="protocol [ct_quality] or [radiomics]",
            value=error.value,
            remedy=error.remedy,
        ) from error
    return limits, asked


def measure_step(argument: scans.ScanArgument, contents: Contents) -> Step:
    """One patient's scans read, judged and measured."""
    return Step(
        name=f"{scans.SCANS}{argument.scans.patient}",
        kind=StepKind.MEASURE_SCANS,
        subject=argument.scans.patient,
        label="scans",
        function=scans.measure_scans,
        argument=argument,
        contents=contents,
    )
