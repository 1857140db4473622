"""The steps on slides: each checked and read, each patient measured, maps painted, tiles embedded.

They come before the cohort, for who is eligible rests on slides and models read what slides tell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from metasight.cohort.reader_decisions import (
    ReaderDecision,
    ReaderDecisions,
    read_reader_decisions,
)
from metasight.cohort.region_table import RegionRow, read_region_table
from metasight.cohort.settings import EmbeddingSettings, MapSettings
from metasight.cohort.slide_table import SlideRow, read_slide_table
from metasight.engine.contents import Contents
from metasight.engine.step import Step, StepKind
from metasight.errors import StudyError
from metasight.maps.generator_folds import generator_folds
from metasight.protocol.markers import study_name
from metasight.protocol.study import Definition, Protocol, SlideProtocol, require_roles
from metasight.slides.opening import ReaderName, reader_of_all
from metasight.slides.quality import quality_definitions
from metasight.steps.slides import agreement as map_agreement
from metasight.steps.slides import maps, patches, sheet
from metasight.steps.slides import patient as slides
from metasight.steps.slides.map_regions import TableArgument
from metasight.steps.slides.one_slide import SlideArgument
from metasight.steps.slides.sections import checking, marking
from metasight.study.file import Study

_Own = dict[str, tuple[tuple[SlideArgument, ...], dict[str, Step]]]
"""Patient → slides, and the steps that check, read and measure them by name."""


def slide_steps(study: Study, contents: Contents) -> tuple[Step, ...]:
    """Every slide checked, its markers read, and every patient's slides aligned and measured.

    Empty where ``study.toml`` names no slides. The table of slides is read here.
    """
    settings = study.settings.slides
    if settings is None:
        return ()
    rows = read_slide_table(study.folder, study.settings, study.protocol.marker)
    decisions = read_reader_decisions(study.folder, study.settings, study.protocol)
    tables = _region_tables(study, rows)
    readers = _readers(rows, settings.reader)
    protocol = study.protocol.for_slides
    quality = quality_definitions(study.protocol.definition)
    steps: list[Step] = []
    own: _Own = {}
    of_patient: dict[str, list[SlideRow]] = {}
    for row in rows:
        of_patient.setdefault(row.patient, []).append(row)
    for patient, its_rows in of_patient.items():
        arguments = tuple(
            SlideArgument(
                slide=row,
                reader=readers[row.stain == "fluorescence"],
                nuclear=settings.nuclear,
                channels=by_marker(settings.channels, study.protocol),
            )
            for row in its_rows
        )
        own_steps = _patient_steps(
            study,
            protocol,
            patient,
            arguments,
            decisions,
            contents,
            quality=quality,
            regions=patient in tables,
        )
        made = {s.name: s for s in own_steps}
        own[patient] = (arguments, made)
        measured = made[f"{slides.PATIENT}{patient}"]
        steps += [*made.values(), sheet_step(measured, study.protocol, contents)]
    if settings.maps is not None:
        steps += _map_steps(study, protocol, settings.maps, own, contents, tables=tables)
    if settings.embeddings is not None:
        steps += _patch_steps(study, settings.embeddings, own, contents)
    return tuple(steps)


def _region_tables(study: Study, rows: Sequence[SlideRow]) -> dict[str, TableArgument]:
    """Rows of the table of regions of every patient who has any."""
    settings = study.settings.slides
    asked = settings.regions if settings is not None else None
    if asked is None:
        return {}
    read = read_region_table(study.folder, study.settings, study.protocol.marker, rows)
    patient = {row.name: row.patient for row in rows}
    found: dict[str, list[RegionRow]] = {}
    for region in read:
        found.setdefault(patient[region.slide], []).append(region)
    return {p: TableArgument(rows=tuple(own), use=asked.use) for p, own in found.items()}


def _patient_steps(  # noqa: PLR0917 - all that they rest on
    study: Study,
    protocol: SlideProtocol,
    patient: str,
    arguments: tuple[SlideArgument, ...],
    decisions: ReaderDecisions,
    contents: Contents,
    *,
    quality: tuple[Definition, ...],
    regions: bool,
) -> list[Step]:
    """Each slide of a patient checked and its markers read, and the patient measured.

    ``quality``: by which slides are judged; ``regions``: whether a table tells of regions of the
    patient's H&E.
    """
    settings = study.settings.slides
    learns = settings is not None and settings.maps is not None and not settings.maps.generator
    thresholds = dict(settings.thresholds) if settings is not None else {}
    classes = by_marker(settings.classes, study.protocol) if settings is not None else {}
    paired = regions or (learns and any(a.slide.stain != "H&E" for a in arguments))
    own: list[Step] = []
    nuclei: list[Step] = []
    for argument in arguments:
        row = argument.slide
        decision = decisions.quality.get(row.path)
        checked = check_step(argument, quality, contents, decision)
        own.append(checked)
        if row.stain != "H&E" or paired:
            read = marker_step(
                argument, checked, protocol, contents, thresholds=thresholds, classes=classes
            )
            # nuclei of an H&E are for the generator; the patient's measures do not rest on them
            (own if row.stain != "H&E" else nuclei).append(read)
    measuring = measure_step(
        slides.PatientArgument(
            patient=patient,
            slides=arguments,
            protocol=protocol,
            required=study.protocol.required_markers,
            seed=study.settings.analysis.seed,
            alignments={
                a.slide.name: decisions.alignment[a.slide.path]
                for a in arguments
                if a.slide.path in decisions.alignment
            },
            several_he=settings.several_he if settings is not None else "first",
        ),
        tuple(own),
        contents,
    )
    return [*own, *nuclei, measuring]


def _map_steps(
    study: Study,
    protocol: SlideProtocol,
    settings: MapSettings,
    own: _Own,
    contents: Contents,
    *,
    tables: Mapping[str, TableArgument],
) -> list[Step]:
    """Tiles of every patient, a generator for each fold, and every patient's map.

    Raises
    ------
    StudyError
        There are fewer patients with slides than folds.
    ProtocolError
        The protocol names no markers to paint.
    """
    roles = require_roles(study.protocol, where="study.toml [slides.maps]")
    seed = study.settings.analysis.seed
    given = study.folder / settings.generator if settings.generator is not None else None
    fold = _folds(own, settings.folds, seed, tables) if given is None else {}
    settings = settings.model_copy(update={"generator": None})  # its content counts, not its place
    of_study = study.settings.slides
    several = of_study.several_he if of_study is not None else "first"
    arguments = {
        patient: maps.MapArgument(
            patient=patient,
            slides=slides_of,
            protocol=protocol,
            settings=settings,
            fold=fold.get(patient, -1),
            generator=given,
            seed=seed,
            several_he=several,
            table=tables.get(patient),
        )
        for patient, (slides_of, _) in own.items()
    }
    tiles: dict[str, Step] = {}
    generators: dict[int, Step] = {}
    if given is None:
        tiles = {p: _tiles_step(arguments[p], own[p][1], contents) for p in own}
        for number in range(settings.folds):
            seen = {p: tiles[p] for p in own if fold[p] != number}
            generators[number] = _generator_step(number, seen, settings, seed, contents)
        generators[maps.NEW_PATIENTS] = _generator_step(
            maps.NEW_PATIENTS, tiles, settings, seed, contents
        )
    painted = [
        _paint_step(
            arguments[p],
            (*own[p][1].values(), *([generators[fold[p]]] if given is None else [])),
            contents,
        )
        for p in own
    ]
    judged = Step(
        name=map_agreement.AGREEMENT,
        kind=StepKind.COMPARE_MAPS,
        label="maps",
        function=map_agreement.judge_maps,
        argument=map_agreement.AgreementArgument(
            roles=roles,
            positive_per_mm2={m.name: m.positive_per_mm2 for m in study.protocol.marker},
            seed=seed,
        ),
        needs=tuple(painted),
        contents=contents,
    )
    compared = []
    if given is None:
        compared = _compared_steps(own, arguments, generators[maps.NEW_PATIENTS], painted, contents)
    return [*tiles.values(), *generators.values(), *painted, judged, *compared]


def _paint_step(argument: maps.MapArgument, needs: tuple[Step, ...], contents: Contents) -> Step:
    """A patient's map, from the patient's sections and the generator of the patient's fold."""
    return Step(
        name=f"{maps.MAP}{argument.patient}",
        kind=StepKind.PAINT_MAP,
        subject=argument.patient,
        label="maps",
        function=maps.paint_patient,
        argument=argument,
        needs=needs,
        contents=contents,
    )


def _compared_steps(
    own: _Own,
    arguments: Mapping[str, maps.MapArgument],
    generator: Step,
    painted: Sequence[Step],
    contents: Contents,
) -> list[Step]:
    """Patients without marker sections painted by the generator for new patients, and compared."""
    unseen = [
        p
        for p, (slides_of, _) in own.items()
        if not any(a.slide.markers for a in slides_of) and not _learnt_from(arguments[p])
    ]
    again = [
        Step(
            name=f"map again of {p}",
            kind=StepKind.PAINT_AGAIN,
            subject=p,
            label="maps",
            function=maps.paint_patient,
            argument=replace(arguments[p], fold=maps.NEW_PATIENTS),
            needs=(*own[p][1].values(), generator),
            contents=contents,
        )
        for p in unseen
    ]
    compared = Step(
        name=maps.COMPARED,
        kind=StepKind.COMPARE_GENERATORS,
        label="maps",
        function=maps.compare_generators,
        needs=(*(s for s in painted if s.subject in unseen), *again),
        contents=contents,
    )
    return [*again, compared]


def _learnt_from(argument: maps.MapArgument) -> bool:
    """Whether generators learn from regions of the patient's H&E."""
    return argument.table is not None and argument.table.use != "test"


def _tiles_step(argument: maps.MapArgument, made: Mapping[str, Step], contents: Contents) -> Step:
    return Step(
        name=f"{maps.TILES}{argument.patient}",
        kind=StepKind.COLLECT_TILES,
        subject=argument.patient,
        label="training tiles",
        function=maps.collect,
        argument=argument,
        needs=tuple(made.values()),
        contents=contents,
    )


def _generator_step(
    number: int, tiles: Mapping[str, Step], settings: MapSettings, seed: int, contents: Contents
) -> Step:
    """The generator that learns from some patients' tiles; the bundle's learns from all."""
    subject = maps.EVERYBODY if number == maps.NEW_PATIENTS else str(number)
    return Step(
        name=f"{maps.GENERATOR}{subject}",
        kind=StepKind.TRAIN_GENERATOR,
        subject=subject,
        label="generators",
        function=maps.train,
        argument=maps.GeneratorArgument(
            fold=number, patients=tuple(tiles), settings=settings, seed=seed
        ),
        needs=tuple(tiles.values()),
        resumes=True,
        contents=contents,
    )


def _folds(own: _Own, folds: int, seed: int, tables: Mapping[str, TableArgument]) -> dict[str, int]:
    """A fold for every patient; those with marker sections or regions are spread evenly.

    Raises
    ------
    StudyError
        There are fewer patients with slides than folds.
    """
    if len(own) < folds:
        raise StudyError(
            "there are fewer patients with slides than folds of the generator",
            where="study.toml [slides.maps]",
            value=f"{len(own)} patients, {folds} folds",
            remedy="Give fewer folds, or a generator that was trained elsewhere",
        )
    marked = {p for p, (slides_of, _) in own.items() if any(a.slide.markers for a in slides_of)}
    marked |= {p for p, table in tables.items() if table.use != "test" and p in own}
    if len(marked) < folds:
        return generator_folds(list(own), folds, seed)
    rest = sorted(set(own) - marked)
    dealt = {p: number % folds for number, p in enumerate(rest)}
    return dealt | generator_folds(list(marked), folds, seed)


def _patch_steps(
    study: Study, settings: EmbeddingSettings, own: _Own, contents: Contents
) -> list[Step]:
    """Patch features of every patient, and all of them in one folder."""
    weights = study.folder / settings.weights if settings.weights is not None else None
    features = study.folder / settings.features if settings.features is not None else None
    if features is not None and not features.is_dir():
        raise StudyError(
            "there is no such folder of patch features",
            where="study.toml [slides.embeddings]",
            value=str(settings.features),
            remedy="Paths are relative to the study folder",
        )
    settings = settings.model_copy(update={"weights": None, "features": None})
    steps: list[Step] = []
    for patient, (arguments, made) in own.items():
        stained = tuple(a for a in arguments if a.slide.stain == "H&E")
        steps.append(
            Step(
                name=f"{patches.PATCHES}{patient}",
                kind=StepKind.EMBED_PATCHES,
                subject=patient,
                label="patch features",
                function=patches.embed_patient,
                argument=patches.PatchesArgument(
                    patient=patient,
                    slides=stained,
                    settings=settings,
                    weights=weights,
                    features={a.slide.name: features / f"{a.slide.path.stem}.h5" for a in stained}
                    if features is not None
                    else None,
                ),
                needs=tuple(made[checking(a.slide.name)] for a in stained),
                contents=contents,
            )
        )
    gathered = Step(
        name=patches.BAGS,
        kind=StepKind.GATHER_BAGS,
        label="patch features",
        function=patches.gather_bags,
        needs=tuple(steps),
        contents=contents,
    )
    return [*steps, gathered]


def _readers(rows: Sequence[SlideRow], asked: ReaderName | None) -> dict[bool, ReaderName]:
    """One reader for brightfield and one for fluorescence, by whether it is fluorescence."""
    chosen: dict[bool, ReaderName] = {}
    for fluorescent in (False, True):
        paths = [r.path for r in rows if (r.stain == "fluorescence") == fluorescent]
        # OpenSlide reads no fluorescence
        chosen[fluorescent] = "tiff" if fluorescent else asked or reader_of_all(paths)
    return chosen


def by_marker(given: Mapping[str, str], protocol: Protocol) -> dict[str, str]:
    """A study's mapping of channels or classes, its markers by the protocol's names."""
    return {name: study_name(m, protocol.marker) for name, m in given.items()}


def check_step(
    argument: SlideArgument,
    definitions: tuple[Definition, ...],
    contents: Contents,
    decision: ReaderDecision | None = None,
) -> Step:
    """Quality of one slide by some definitions, as a pathologist decided it where one did."""
    return Step(
        name=checking(argument.slide.name),
        kind=StepKind.CHECK_SLIDE,
        subject=argument.slide.name,
        label="slides",
        function=slides.check_slide,
        argument=slides.CheckArgument(
            slide=argument.slide,
            reader=argument.reader,
            nuclear=argument.nuclear,
            channels=argument.channels,
            definitions=definitions,
            decision=decision,
        ),
        contents=contents,
    )


def marker_step(
    argument: SlideArgument,
    checked: Step,
    protocol: SlideProtocol,
    contents: Contents,
    *,
    thresholds: Mapping[str, float],
    classes: Mapping[str, str],
) -> Step:
    """Marked cells of one slide."""
    return Step(
        name=marking(argument.slide.name),
        kind=StepKind.READ_MARKERS,
        subject=argument.slide.name,
        label="markers",
        function=slides.read_markers,
        argument=slides.MarkersArgument(
            slide=argument.slide,
            reader=argument.reader,
            nuclear=argument.nuclear,
            channels=argument.channels,
            markers=protocol.marker,
            thresholds=dict(thresholds),
            classes=dict(classes),
        ),
        needs=(checked,),
        contents=contents,
    )


def sheet_step(measured: Step, protocol: Protocol, contents: Contents) -> Step:
    """The sheet of one patient, from what measuring rests on and what it found.

    Nothing is measured anew where only the sheet looks different.
    """
    return Step(
        name=f"{sheet.SHEET}{measured.subject}",
        kind=StepKind.DRAW_SHEET,
        subject=measured.subject,
        label="sheets",
        function=sheet.draw_sheet,
        argument=sheet.SheetArgument(
            patient=measured.argument.patient,
            slides=measured.argument.slides,
            protocol_id=protocol.id,
            protocol_version=protocol.version,
            positive_per_mm2={m.name: m.positive_per_mm2 for m in protocol.marker},
        ),
        needs=(*measured.needs, measured),
        contents=contents,
    )


def measure_step(
    argument: slides.PatientArgument, needs: tuple[Step, ...], contents: Contents
) -> Step:
    """One patient's slides aligned and measured."""
    return Step(
        name=f"{slides.PATIENT}{argument.patient}",
        kind=StepKind.MEASURE_SLIDES,
        subject=argument.patient,
        label="patients",
        function=slides.measure_patient,
        argument=argument,
        needs=needs,
        contents=contents,
    )
