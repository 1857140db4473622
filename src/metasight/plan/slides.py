"""The steps on slides: each checked and read, each patient measured, maps painted, tiles embedded.

They come before the cohort, for who is eligible rests on slides and models read what slides tell.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from metasight.cohort.settings import EmbeddingSettings, MapSettings
from metasight.cohort.slide_table import SlideRow, read_slide_table
from metasight.engine.store import Step, StepFunction
from metasight.errors import StudyError
from metasight.maps.generator_folds import generator_folds
from metasight.protocol.study import Protocol, require_roles
from metasight.provenance import hash_code, hash_files, hash_json
from metasight.slides.opening import ReaderName, reader_of_all
from metasight.steps.slides import agreement as map_agreement
from metasight.steps.slides import maps, patches, sheet
from metasight.steps.slides import patient as slides
from metasight.study.file import Study

AGREEMENT = map_agreement.AGREEMENT
BAGS = patches.BAGS
READ_BY_COHORT = (slides.PATIENT, maps.MAP, BAGS)
"""How the names begin of steps whose results the cohort reads."""

_SLIDES = (
    "slides",
    "segmentation",
    "alignment",
    "maps",
    "biomarkers",
    "protocol",
    "estimate.py",
    "steps/slides/patient.py",
    "steps/slides/sections.py",
    "steps/slides/pairs.py",
    "errors.py",
)
_SHEETS = ("report/slide_sheet.py", "report/slide_sheet.html.j2", "steps/slides/sheet.py")
_MAPS = (*_SLIDES, "steps/slides/maps.py")
_PATCHES = ("slides", "features", "steps/slides/patches.py", "errors.py")


def slide_steps(study: Study) -> tuple[Step, ...]:
    """Every slide checked, its markers read, and every patient's slides aligned and measured.

    Empty where ``study.toml`` names no slides. The table of slides is read here.
    """
    settings = study.settings.slides
    if settings is None:
        return ()
    rows = read_slide_table(study.folder, study.settings, study.protocol.marker)
    readers = _readers(rows, settings.reader)
    steps: list[Step] = []
    own: dict[str, tuple[tuple[slides.SlideArgument, ...], dict[str, Step]]] = {}
    for patient in dict.fromkeys(row.patient for row in rows):
        arguments = tuple(
            slides.SlideArgument(
                slide=row,
                reader=readers[row.stain == "fluorescence"],
                protocol=study.protocol,
                nuclear=settings.nuclear,
                thresholds=dict(settings.thresholds),
            )
            for row in rows
            if row.patient == patient
        )
        made = {s.name: s for s in _patient_steps(study, patient, arguments)}
        own[patient] = (arguments, made)
        steps += [*made.values(), sheet_step(made[f"{slides.PATIENT}{patient}"], study.protocol)]
    if settings.maps is not None:
        steps += _map_steps(study, settings.maps, own)
    if settings.embeddings is not None:
        steps += _patch_steps(study, settings.embeddings, own)
    return tuple(steps)


def _patient_steps(
    study: Study, patient: str, arguments: tuple[slides.SlideArgument, ...]
) -> list[Step]:
    """Each slide of a patient checked and its markers read, and the patient measured."""
    settings = study.settings.slides
    learns = settings is not None and settings.maps is not None and not settings.maps.generator
    paired = learns and any(a.slide.stain != "H&E" for a in arguments)
    own: list[Step] = []
    nuclei: list[Step] = []
    for argument in arguments:
        row = argument.slide
        checked = slide_step(slides.checking(row), "slides", slides.check_slide, argument)
        own.append(checked)
        if row.stain != "H&E" or paired:
            read = slide_step(
                slides.marking(row), "markers", slides.read_markers, argument, (checked,)
            )
            # nuclei of an H&E are for the generator; the patient's measures do not rest on them
            (own if row.stain != "H&E" else nuclei).append(read)
    required = study.protocol.required_markers
    measuring = Step(
        name=f"{slides.PATIENT}{patient}",
        stage="patients",
        function=slides.measure_patient,
        argument=slides.PatientArgument(
            patient=patient,
            slides=arguments,
            protocol=study.protocol,
            required=required,
            seed=study.settings.analysis.seed,
        ),
        ingredients={
            "seed": study.settings.analysis.seed,
            "required markers": list(required),
            "protocol": hash_json(study.protocol.model_dump(mode="json", by_alias=True)),
            "code of slides": slide_code(),
        },
        needs=tuple(own),
    )
    return [*own, *nuclei, measuring]


def sheet_step(measured: Step, protocol: Protocol) -> Step:
    """The sheet of one patient, from what measuring rests on and what it found.

    Nothing is measured anew where only the sheet looks different.
    """
    return Step(
        name=f"{sheet.SHEET}{measured.argument.patient}",
        stage="sheets",
        function=sheet.draw_sheet,
        argument=measured.argument,
        ingredients={
            "protocol": [protocol.id, protocol.version],
            "code of sheets": hash_code(*_SHEETS),
        },
        needs=(*measured.needs, measured),
    )


def sheets_of(steps: Sequence[Step], protocol: Protocol) -> tuple[Step, ...]:
    """The sheet of every patient whose slides are measured by one of ``steps``."""
    return tuple(sheet_step(s, protocol) for s in steps if s.name.startswith(slides.PATIENT))


_Own = dict[str, tuple[tuple[slides.SlideArgument, ...], dict[str, Step]]]


def _map_steps(study: Study, settings: MapSettings, own: _Own) -> list[Step]:
    """Tiles of every patient, a generator for each fold, and every patient's map.

    Raises
    ------
    StudyError
        There are fewer patients with slides than folds.
    ProtocolError
        The protocol names no markers to paint.
    """
    require_roles(study.protocol, where="study.toml [slides.maps]")
    seed = study.settings.analysis.seed
    given = study.folder / settings.generator if settings.generator is not None else None
    fold = _folds(own, settings.folds, seed) if given is None else {}
    ingredients = {
        "maps": settings.model_dump(mode="json"),
        "seed": seed,
        "protocol": hash_json(study.protocol.model_dump(mode="json", by_alias=True)),
        "code of maps": hash_code(*_MAPS),
    }
    arguments = {
        patient: maps.MapArgument(
            patient=patient,
            slides=slides_of,
            protocol=study.protocol,
            settings=settings,
            fold=fold.get(patient, -1),
            generator=given,
            seed=seed,
        )
        for patient, (slides_of, _) in own.items()
    }
    tiles: dict[str, Step] = {}
    generators: dict[int, Step] = {}
    if given is None:
        tiles = {
            p: Step(
                name=f"{maps.TILES}{p}",
                stage="training tiles",
                function=maps.collect,
                argument=arguments[p],
                ingredients=ingredients,
                needs=tuple(made.values()),
            )
            for p, (_, made) in own.items()
        }
        for number in range(settings.folds):
            seen = tuple(p for p in own if fold[p] != number)
            generators[number] = Step(
                name=f"{maps.GENERATOR}{number}",
                stage="generators",
                function=maps.train,
                argument=maps.GeneratorArgument(
                    fold=number, patients=seen, settings=settings, seed=seed
                ),
                ingredients={**ingredients, "patients": list(seen)},
                needs=tuple(tiles[p] for p in seen),
                resumes=True,
            )
    painted = [
        Step(
            name=f"{maps.MAP}{p}",
            stage="maps",
            function=maps.paint_patient,
            argument=arguments[p],
            ingredients={**ingredients, "fold": fold.get(p, -1)},
            needs=(*own[p][1].values(), *([generators[fold[p]]] if given is None else [])),
        )
        for p in own
    ]
    judged = Step(
        name=AGREEMENT,
        stage="maps",
        function=map_agreement.judge_maps,
        argument=map_agreement.AgreementArgument(protocol=study.protocol, seed=seed),
        ingredients={
            **ingredients,
            "code of agreement": hash_code("steps/slides/agreement.py", "validation/agreement.py"),
        },
        needs=tuple(painted),
    )
    return [*tiles.values(), *generators.values(), *painted, judged]


def _folds(own: _Own, folds: int, seed: int) -> dict[str, int]:
    """A fold for every patient; those with marker sections are dealt evenly.

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
    if len(marked) < folds:
        return generator_folds(list(own), folds, seed)
    rest = sorted(set(own) - marked)
    dealt = {p: number % folds for number, p in enumerate(rest)}
    return dealt | generator_folds(list(marked), folds, seed)


def _patch_steps(study: Study, settings: EmbeddingSettings, own: _Own) -> list[Step]:
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
    steps: list[Step] = []
    for patient, (arguments, made) in own.items():
        stained = tuple(a for a in arguments if a.slide.stain == "H&E")
        files = [features / f"{a.slide.path.stem}.h5" for a in stained] if features else []
        steps.append(
            Step(
                name=f"{patches.PATCHES}{patient}",
                stage="patch features",
                function=patches.embed_patient,
                argument=patches.PatchesArgument(
                    patient=patient,
                    slides=stained,
                    settings=settings,
                    weights=weights,
                    features=features,
                ),
                ingredients={
                    "embeddings": settings.model_dump(mode="json"),
                    "files": [_hash_slide(f) for f in files],
                    "code of patches": hash_code(*_PATCHES),
                },
                needs=tuple(made[slides.checking(a.slide)] for a in stained),
            )
        )
    gathered = Step(
        name=BAGS,
        stage="patch features",
        function=patches.gather_bags,
        ingredients={"code of patches": hash_code(*_PATCHES)},
        needs=tuple(steps),
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


def _hash_slide(path: Path) -> list[list[str]]:
    """Names and hashes of the files that make up a slide: a DICOM folder, an MRXS's folder."""
    beside = path.with_suffix("") if path.suffix.lower() == ".mrxs" else None
    return hash_files(path) + (hash_files(beside) if beside is not None else [])


def slide_code() -> str:
    """Hash of the code that what is told of slides rests on."""
    return hash_code(*_SLIDES)


def slide_step(
    name: str,
    stage: str,
    function: StepFunction,
    argument: slides.SlideArgument,
    needs: tuple[Step, ...] = (),
) -> Step:
    """A step on one slide; the file's content, not its place, is what it is made from."""
    row = argument.slide
    return Step(
        name=name,
        stage=stage,
        function=function,
        argument=argument,
        ingredients={
            "file": _hash_slide(row.path),
            "read as": [
                row.stain,
                list(row.markers),
                row.mpp,
                argument.reader,
                argument.nuclear,
                dict(argument.thresholds),
            ],
            "protocol": hash_json(
                [
                    part.model_dump(mode="json")
                    for part in (*argument.protocol.definition, *argument.protocol.marker)
                ]
            ),
            "code of slides": slide_code(),
        },
        needs=needs,
    )
