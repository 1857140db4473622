"""The images that steps on scans have read, recorded in the study's vault beside the steps.

No step knows of it: keys and results are the same with a vault and without one. A record is made
from the headers, by the same choice of a series as the step's, once for each content of a scan.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from metasight.engine.step import Step, StepKind
from metasight.errors import VolumeError
from metasight.steps.scans.patient import ScanArgument
from metasight.steps.scans.reading import ct_rule, is_nifti, pet_rule, series_drawn_on
from metasight.study.sources import (
    ScanKind,
    Source,
    has_source,
    prepare_sources,
    write_source,
)
from metasight.volumes.series import SeriesRule, choose_series, find_series


@dataclass(frozen=True, kw_only=True)
class Unrecorded:
    """A scan of which the vault holds no record yet.

    Attributes
    ----------
    step
        Key of the step that reads it.
    kind
        ``CT`` or ``PET``.
    argument
        Of the step.
    """

    step: str
    kind: ScanKind
    argument: ScanArgument


def unrecorded(vault: Path | None, steps: Iterable[Step]) -> tuple[Unrecorded, ...]:
    """Scans that the vault has to record; none without a vault. No scan is opened.

    Where there are some, the vault is made ready for them, so that a run does not measure for hours
    before it finds that it cannot be written.

    Raises
    ------
    StudyError
        The vault cannot be read or written, or others may read it.
    """
    if vault is None:
        return ()
    found = tuple(
        Unrecorded(step=step.key, kind=kind, argument=step.argument)
        for step in steps
        if step.kind is StepKind.MEASURE_SCANS
        for kind, path in _scans(step.argument)
        if not is_nifti(path) and not has_source(vault, step.key, kind)
    )
    if found:
        prepare_sources(vault)
    return found


def record_sources(vault: Path | None, scans: Iterable[Unrecorded]) -> None:
    """Write the records; a run that was killed in between writes those that are missing.

    Raises
    ------
    StudyError
        The vault cannot be written.
    """
    if vault is None:
        return
    for scan in scans:
        write_source(vault, _source(scan))


def _source(scan: Unrecorded) -> Source:
    patient = scan.argument.scans.patient
    # of a damaged scan an empty record is kept, or every run would open it again
    empty = Source(patient=patient, kind=scan.kind, step=scan.step)
    path = dict(_scans(scan.argument))[scan.kind]
    try:
        chosen = choose_series(find_series(path), _rule(scan)).chosen
    except Exception:  # noqa: BLE001 (whatever a damaged file raises; the ledger has the step's row)
        return empty
    try:
        return Source.of_series(chosen, patient=patient, kind=scan.kind, step=scan.step)
    except VolumeError:
        return empty


def _scans(argument: ScanArgument) -> tuple[tuple[ScanKind, Path], ...]:
    scans = argument.scans
    named: tuple[tuple[ScanKind, Path | None], ...] = (("CT", scans.ct), ("PET", scans.pet))
    return tuple((kind, path) for kind, path in named if path is not None)


def _rule(scan: Unrecorded) -> SeriesRule:
    """By what the step chose the series."""
    scans = scan.argument.scans
    if scan.kind == "PET":
        return pet_rule(scans.pet_series)
    try:
        drawn = series_drawn_on(scans.lesion, scans.ct_series)
    except Exception:  # noqa: BLE001 (a lesion's file that cannot be opened chooses nothing)
        drawn = frozenset()
    return ct_rule(scan.argument.settings, scans.ct_series, drawn)
