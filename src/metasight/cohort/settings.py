"""How a study's tables are to be read: files, column mapping, waivers, what was not recorded."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from metasight.cohort.mapping import (
    Code,
    ColumnMapping,
    Constant,
    Filled,
    Mapped,
    TimeAndStatus,
)

SeveralHe = Literal["first", "largest"]
SeveralLesions = Literal["refuse", "first", "largest"]
Resolution = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class TableSettings(_Part):
    """One file with one row a patient.

    Attributes
    ----------
    path
        Relative to the study folder: .csv, .tsv, .txt, .xlsx, .parquet; with the extra
        ``statistics`` also .sav, .zsav, .por, .dta, .sas7bdat and .xpt.
    id
        Column that identifies the patient. Its values never enter the store.
    ids
        ``text``: ids are compared as they are written. ``number``: 0017, 17 and 17.0 are one id;
        an id that is no whole number is then a problem. ``row``: the table has no id, and the row's
        number is one; ``id`` names the column in which it then stands.
    format
        ``table``, or ``redcap`` for a raw export, which needs ``dictionary``.
    dictionary
        REDCap's data dictionary (CSV).
    encoding
        Of text files. Another encoding is an error, not a guess.
    decimal
        ``.`` or ``,``; under ``,`` a point in a number is a problem, since it may group thousands.
    sheet
        Of an Excel file; needed when it has more than one.
    header_row
        Row that holds the names of the columns; rows above it are a title and are not read.
    skip_rows
        Numbers of rows behind the header that are not patients (units, explanations).
    missing
        Codes that mean missing, besides an empty cell; numbers compare as numbers.
    events
        Of a longitudinal REDCap project: form or field → the event whose values count.
    repeats
        Of a REDCap project: repeating form (or event) → which of its instances counts.
    """

    path: str
    id: str
    ids: Literal["text", "number", "row"] = "text"
    format: Literal["table", "redcap"] = "table"
    dictionary: str | None = None
    encoding: str = "utf-8"
    decimal: Literal[".", ","] = "."
    sheet: str | None = None
    header_row: int = Field(default=1, ge=1, le=1000)
    skip_rows: tuple[int, ...] = ()
    missing: tuple[Code, ...] = ("NA",)
    events: dict[str, str] = {}
    repeats: dict[str, Literal["first", "last"]] = {}

    @model_validator(mode="after")
    def _of_redcap(self) -> TableSettings:
        if (self.events or self.repeats) and self.format != "redcap":
            raise ValueError('events and repeats need format = "redcap"')
        return self

    @property
    def files(self) -> tuple[str, ...]:
        """The table, and its dictionary if it has one."""
        return (self.path,) if self.dictionary is None else (self.path, self.dictionary)


class ModalityTable(TableSettings):
    """A table whose columns are the numeric features of one modality.

    Attributes
    ----------
    columns
        The features; all columns but the id by default.
    """

    columns: tuple[str, ...] | None = None


class MapSettings(_Part):
    """How markers are painted on H&E by a generator that learns from the study's own pairs.

    Attributes
    ----------
    folds
        Number of folds of patients; each map is painted by a generator that was trained on the
        other folds.
    generator, sha256
        A generator trained elsewhere: its folder, relative to the study folder, and the sha256 of
        its weights. Nothing is trained then.
    most_tiles, tile_um
        Maximum number of tiles per patient that training reads, and their side, a multiple of
        128 µm. A region of a table that is longer than a tile is not learnt from.
    reads
        What the generator learns from: ``nuclei``, or ``pixels`` with a convolutional network,
        which wants more steps, more patients and a GPU.
    steps, width, members, batch
        Of the generator; see :class:`metasight.maps.generator_settings.GeneratorSettings`.
    draws
        Maps drawn from a map's own error; the spread of a biomarker over them is its error.
    """

    folds: int = Field(default=5, ge=2, le=20)
    generator: str | None = None
    sha256: str | None = Field(default=None, pattern="^[0-9a-fA-F]{64}$")
    most_tiles: int = Field(default=64, ge=1)
    tile_um: int = Field(default=512, ge=256, le=2048, multiple_of=128)
    reads: Literal["nuclei", "pixels"] = "nuclei"
    steps: int = Field(default=1000, ge=1)
    width: int = Field(default=24, ge=4)
    members: int = Field(default=3, ge=1, le=10)
    batch: int = Field(default=16, ge=1, le=256)
    draws: int = Field(default=5, ge=2, le=100)

    @model_validator(mode="after")
    def _both(self) -> MapSettings:
        if (self.generator is None) != (self.sha256 is None):
            raise ValueError("generator and sha256 are given together or not at all")
        return self


class EmbeddingSettings(_Part):
    """How tiles of H&E become features.

    Attributes
    ----------
    encoder
        Name of an encoder (``metasight slides encoders`` lists them).
    weights, sha256
        Its file, relative to the study folder, and the sha256 of that file; not for an embedded
        encoder.
    features
        A folder with ``<slide file without its ending>.h5`` of TRIDENT or CLAM, read instead.
    most_patches
        Maximum number of tiles per slide; they are spread evenly.
    """

    encoder: str = "efficientnet_lite0"
    weights: str | None = None
    sha256: str | None = Field(default=None, pattern="^[0-9a-fA-F]{64}$")
    features: str | None = None
    most_patches: int = Field(default=2000, ge=1)

    @model_validator(mode="after")
    def _together(self) -> EmbeddingSettings:
        if (self.weights is None) != (self.sha256 is None):
            raise ValueError("weights and sha256 are given together or not at all")
        return self


class SlideRecipe(_Part):
    """How slides are measured; locked with a model.

    Attributes
    ----------
    thresholds
        Marker → the laboratory's own positivity threshold.
    maps
        How markers are painted on H&E; by default they are not.
    embeddings
        How tiles of H&E become features; by default they do not.
    several_he
        Which H&E of a patient is measured where several are of sufficient quality: the first of
        the table, or the one with the largest tissue area. Patch features are of all of them.
    """

    thresholds: dict[str, float] = {}
    several_he: SeveralHe = "first"
    maps: MapSettings | None = None
    embeddings: EmbeddingSettings | None = None


class RegionSettings(TableSettings):
    """A table with one row a region of an H&E: what was counted or scored there.

    Attributes
    ----------
    file
        Column: the H&E's file, as the table of slides has it.
    unit
        Of coordinates and diameters: ``um``, or ``px`` of the slide's largest level. From the
        slide's upper left corner, y downwards.
    x, y, diameter
        Columns: centre and diameter of a disc.
    polygon
        Column: an outline as WKT or as a GeoJSON geometry, instead of a disc.
    counts, per_mm2, scores
        Marker → column of its cells in the region, of its cells per mm², or of a number that rises
        with its density, such as a pathologist's percentage of TIL. A score is compared by rank
        and correlation, and is not trained on.
    use
        ``train``: generators learn from the regions; ``test``: maps are compared with them;
        ``both``: each region is learnt from by the generators that paint other patients, and
        compared with the map of its own.
    """

    file: str = "file"
    unit: Literal["um", "px"]
    x: str = "x"
    y: str = "y"
    diameter: str = "diameter"
    polygon: str = "polygon"
    counts: dict[str, str] = {}
    per_mm2: dict[str, str] = {}
    scores: dict[str, str] = {}
    use: Literal["train", "test", "both"] = "both"

    @model_validator(mode="after")
    def _something_is_told(self) -> RegionSettings:
        if not (self.counts or self.per_mm2 or self.scores):
            raise ValueError("regions need counts, per_mm2 or scores: marker = column")
        if self.use == "train" and not (self.counts or self.per_mm2):
            raise ValueError('use = "train" needs counts or per_mm2; scores are compared only')
        return self

    @property
    def read(self) -> tuple[str, ...]:
        """All columns, the id first."""
        values = (*self.counts.values(), *self.per_mm2.values(), *self.scores.values())
        return (self.id, self.file, self.x, self.y, self.diameter, self.polygon, *values)


class SlideSettings(TableSettings, SlideRecipe):
    """A table with one row a slide, where its slides are, and how they are measured.

    Attributes
    ----------
    file, stain, markers
        Columns: the slide's file relative to ``folder``; ``H&E``, ``IHC`` or ``fluorescence``;
        for the last two the markers to read, with semicolons between them.
    cells
        Column, which need not be there, of a file of cells that another program found on the
        slide, relative to ``folder``; they are used instead of metasight's own.
    folder
        Where the slides are, relative to the study folder.
    mpp
        Micrometres a pixel of slides whose files do not say them; a file's own go before it.
    mpp_of
        Those of single files, by file name; they replace what the file says.
    picture_of
        File name → number, from 1, of the picture that is the slide, where a file holds several.
    channels
        Channel as files name it, or its number from 1 → marker.
    classes
        Class of cells as another program names it → marker.
    reader
        ``tiff`` or ``openslide``; by default ``tiff`` where it reads all slides of the study, else
        ``openslide``.
    nuclear
        Name of the nuclear channel of fluorescence slides.
    regions
        A table of regions of H&E with counts or scores, for painted maps; optional.
    """

    file: str = "file"
    stain: str = "stain"
    markers: str = "markers"
    cells: str = "cells"
    folder: str = "."
    mpp: Resolution | None = None
    mpp_of: dict[str, Resolution] = {}
    picture_of: dict[str, Annotated[int, Field(ge=1, strict=True)]] = {}
    channels: dict[str, str] = {}
    classes: dict[str, str] = {}
    reader: Literal["tiff", "openslide"] | None = None
    nuclear: str = "DAPI"
    regions: RegionSettings | None = None

    @model_validator(mode="after")
    def _regions_are_for_maps(self) -> SlideSettings:
        if self.regions is None:
            return self
        if self.maps is None:
            raise ValueError("regions are for painted maps: they need [slides.maps]")
        if self.regions.use == "train" and self.maps.generator is not None:
            raise ValueError("a generator trained elsewhere learns from no regions here")
        return self


class SignedTableSettings(TableSettings):
    """A table whose rows a reader answers for.

    Attributes
    ----------
    replaces, reader, day, reason
        Columns: what the row replaces; a code or initials, the day (YYYY-MM-DD), why: all needed.
    """

    own: ClassVar[tuple[str, ...]] = ()
    replaces: str = "replaces"
    reader: str = "reader"
    day: str = "day"
    reason: str = "reason"

    @property
    def read(self) -> tuple[str, ...]:
        """All columns, the id first."""
        signed = self.replaces, self.reader, self.day, self.reason
        return (self.id, *(getattr(self, name) for name in self.own), *signed)


class ReaderDecisionSettings(SignedTableSettings):
    """A table with one row a decision of a pathologist or radiologist.

    Attributes
    ----------
    file, about, verdict
        Columns: the slide's or CT's file as its own table has it and ``quality`` or ``alignment``,
        or no file and a criterion; ``kept`` or ``excluded`` (it may replace ``unknown`` too).
    """

    own = ("file", "about", "verdict")
    file: str = "file"
    about: str = "about"
    verdict: str = "verdict"


class ReaderLesionSettings(SignedTableSettings):
    """A table of lesions that a radiologist accepted in place of the scan table's, a row a lesion.

    Attributes
    ----------
    mask, masks
        Column: a label map on the CT's grid; folder of those that the workbench writes. Both are
        relative to the study folder. ``replaces`` may be left empty.
    """

    own = ("mask",)
    mask: str = "mask"
    masks: str = "reader_masks"


class CropSettings(_Part):
    """The cube around a lesion that a network reads.

    Attributes
    ----------
    spacing_mm
        Voxel spacing, the same along every axis.
    edge_voxels
        Along each edge, a multiple of 8; 48 at 1.5 mm are 72 mm: a stage I tumour (≤ 40 mm) with
        16 mm around it.
    """

    spacing_mm: float = Field(default=1.5, ge=0.5, le=5, allow_inf_nan=False)
    edge_voxels: int = Field(default=48, ge=16, le=128, multiple_of=8)


class JitterSettings(_Part):
    """How far another reader's boundary may lie; see `metasight.features.radiomics.stability`.

    Attributes
    ----------
    sd_mm
        Standard deviation of the boundary's displacement.
    correlation_mm
        Over which it is smooth.
    replicates
        Boundaries drawn for each lesion.
    seed
        Of the drawing.
    """

    sd_mm: float = Field(default=1.0, gt=0, le=10)
    correlation_mm: float = Field(default=5.0, gt=0, le=50)
    replicates: int = Field(default=3, ge=1, le=50)
    seed: int = Field(default=1, ge=0)


class ScanRecipe(_Part):
    """How scans are read and measured; locked with a model.

    Attributes
    ----------
    kernel
        Which reconstruction is read where a folder holds several.
    max_missing_slices
        Maximum number of missing slices that are interpolated; CT quality still counts them.
    allow_identical_copies
        Whether slices may occur twice, byte for byte.
    suv
        Which standardised uptake value.
    radiomics
        Whether radiomic texture is measured too, as the protocol specifies.
    shell_edges_mm
        Rising distances from the lesion's surface; texture is measured in each shell as well.
    jitter
        Texture is measured on simulated boundaries of other readers too, which gives each feature
        its error. Not by default; ``jitter = {}`` takes the default values.
    crops
        The cube around each lesion that a 3-D network reads (modality ``scan_network``). Not by
        default; ``crops = {}`` takes the default values.
    """

    kernel: Literal["smooth", "sharp", "any"] = "any"
    max_missing_slices: int = Field(default=3, ge=0, le=20)
    allow_identical_copies: bool = False
    suv: Literal["SUVbw", "SUVlbm", "SUVlbmJanma", "SUVbsa"] = "SUVbw"
    radiomics: bool = False
    shell_edges_mm: tuple[float, ...] = ()
    jitter: JitterSettings | None = None
    crops: CropSettings | None = None

    @model_validator(mode="after")
    def _texture(self) -> ScanRecipe:
        if (self.shell_edges_mm or self.jitter is not None) and not self.radiomics:
            raise ValueError("shell_edges_mm and jitter need radiomics = true")
        edges = self.shell_edges_mm
        if edges and (len(edges) < 2 or edges[0] < 0 or list(edges) != sorted(set(edges))):
            raise ValueError("shell_edges_mm are two or more rising distances from 0")
        return self


class ScanSettings(TableSettings, ScanRecipe):
    """A table with one row a scan or mask, where scans are, and how they are measured.

    Attributes
    ----------
    kind, file, region
        Columns: ``CT``, ``PET`` or ``mask``; the folder, zip or file relative to ``folder``; the
        name or number of the lesion in a file of masks. A lesion may be given by a point instead of
        a file: columns ``x_mm``, ``y_mm``, ``z_mm`` (patient coordinates, LPS), with ``x2_mm``,
        ``y2_mm``, ``z2_mm`` a box, with ``x_end_mm``, ``y_end_mm``, ``z_end_mm`` both ends of its
        longest diameter. Beside a file the point says which of its parts is the lesion.
    series, date, accept
        Columns for CT and PET, each of which may be missing or empty: its SeriesInstanceUID or
        SeriesNumber; the day of the examination; why a derived or reformatted series is measured.
        With an empty name the column is not read.
    folder
        Where the scans are, relative to the study folder.
    lesion_parts
        What happens to a mask in several parts where no point names one: it is refused, or the
        largest part is measured.
    several_lesions
        Which lesion of a patient is measured where the table has several: none (the second row is
        a problem), the first of the table, or the largest by volume.
    max_missing_contours
        Maximum number of consecutive slices without a contour that are interpolated.
    mask_grid
        Of a label map whose voxels are not the scan's: ``same`` refuses it, ``resample``
        interpolates it.
    pet_dose_unit
        Unit in which the scanners write the injected activity; DICOM prescribes Bq.
    """

    kind: str = "kind"
    file: str = "path"
    region: str = "roi"
    series: str = "series"
    date: str = "date"
    accept: str = "accept"
    folder: str = "."
    lesion_parts: Literal["refuse", "largest"] = "refuse"
    several_lesions: SeveralLesions = "refuse"
    max_missing_contours: int = Field(default=0, ge=0, le=20)
    mask_grid: Literal["same", "resample"] = "same"
    pet_dose_unit: Literal["Bq", "kBq", "MBq", "mCi"] = "Bq"

    def recipe(self) -> ScanRecipe:
        """How scans are measured, alone: where they lie changes no measurement."""
        return ScanRecipe(**{name: getattr(self, name) for name in ScanRecipe.model_fields})


class CohortSettings(_Part):
    """The part of ``study.toml`` that says who the patients are.

    Attributes
    ----------
    key
        Of the hash that makes a pseudonym of a patient id; ``study.toml`` names where it lies.
    patients
        The main table.
    tables
        Further tables with one row a patient, by a name that ``[columns]`` uses; joined by the id.
    modalities
        Further feature tables, by modality name.
    slides
        Slides, and how they are read; optional.
    scans
        CT, PET and lesions, and how they are read; optional.
    reader_decisions
        What readers decided in place of a verdict; optional.
    reader_lesions
        Lesions that readers accepted in place of those of the table of scans; optional.
    columns
        Canonical variable → column name, a mapping with unit, codes, missing codes, or a derived
        value.
    time_and_status
        Outcomes that are given by one time and one status column.
    constants
        Canonical variable → value for all patients, with the reason.
    waive
        Criterion id → the reason why this study does not assess it.
    not_recorded
        Outcome variable that the study did not record → why; endpoints that need it are changed
        or dropped, and say so.
    centres
        Centre names that may occur; empty means any.
    on_problem
        ``stop``: any problem in the tables stops the study, all listed at once. ``exclude``: a
        patient whose row has a problem becomes a ``failed`` ledger row and the others go on;
        problems of a whole table or column stop all the same.
    """

    key: str = Field(min_length=8, repr=False)
    patients: TableSettings
    tables: dict[str, TableSettings] = {}
    modalities: dict[str, ModalityTable] = {}
    slides: SlideSettings | None = None
    scans: ScanSettings | None = None
    reader_decisions: ReaderDecisionSettings | None = None
    reader_lesions: ReaderLesionSettings | None = None
    columns: dict[str, str | Mapped]
    time_and_status: tuple[TimeAndStatus, ...] = ()
    constants: dict[str, Constant] = {}
    waive: dict[str, str] = {}
    not_recorded: dict[str, str] = {}
    centres: tuple[str, ...] = ()
    on_problem: Literal["stop", "exclude"] = "stop"

    @model_validator(mode="after")
    def _tables_are_there(self) -> CohortSettings:
        parts = [("columns." + n, m) for n, m in self.columns.items() if not isinstance(m, str)]
        named = [(where, m.table) for where, m in parts]
        named += [("time_and_status", t.table) for t in self.time_and_status]
        for where, table in named:
            if table is not None and table not in self.tables:
                there = ", ".join(self.tables) or "none"
                raise ValueError(f"{where}: {table!r} is no table of [tables]; there are: {there}")
        return self

    def gives(self, variable: str) -> bool:
        """Whether the study gives ``variable`` by a column, a constant, or dates to count from."""
        dated = variable.removesuffix("_days") + "_date"
        return variable in self.from_status or any(
            name in given for name in (variable, dated) for given in (self.columns, self.constants)
        )

    def reads(self, variable: str) -> bool:
        """Whether ``variable`` itself is read from a table."""
        return variable in self.columns or variable in self.from_status

    @property
    def from_status(self) -> tuple[str, ...]:
        """Variables that ``time_and_status`` gives."""
        events = dict.fromkeys(e for part in self.time_and_status for e in part.events)
        given = [name for e in events for name in (e, f"{e}_days")]
        if given and not {"followup_days", "followup_date"} & {*self.columns}:
            given.append("followup_days")
        return tuple(given)

    def mapping(self, variable: str) -> ColumnMapping | None:
        """How ``variable`` is read from one column of the tables; None if it is not."""
        given = self.columns.get(variable)
        if isinstance(given, str):
            return ColumnMapping(column=given)
        return given if isinstance(given, ColumnMapping) else None

    def columns_of(self, table: str | None) -> tuple[str, ...]:
        """Columns of a table of ``[tables]`` (None: the patient table) that the study reads."""
        found: list[str] = []
        for given in self.columns.values():
            if isinstance(given, str):
                found += [given] if table is None else []
            elif given.table == table:
                found += columns_read(given)
        for part in self.time_and_status:
            found += [part.time, part.status] if part.table == table else []
        return tuple(dict.fromkeys(found))


def columns_read(mapped: Mapped) -> tuple[str, ...]:
    """Columns that a mapping reads."""
    match mapped:
        case ColumnMapping():
            return (mapped.column,)
        case Filled():
            return (mapped.filled,)
    return mapped.columns
