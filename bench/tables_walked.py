"""Every table of ``../shared/data/tables`` from `metasight init` to a report or an honest refusal.

python bench/tables_walked.py [NAME ...]

What a newcomer does: `init`, the edits that study.toml's own comments ask for, `check`, `run`. The
edits are data here, each with the reason a person would have. The exit status is 1 if a table ends
otherwise than is expected.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import init_exports as exports

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data" / "tables"
QUICK = {"folds": 3, "repeats": 1, "bootstrap": 100}
"""In [analysis], so that a walk takes a minute: no person's decision."""
QUICKER = "instability_resamples = 2\nnoise_replicates = 1"


@dataclass(frozen=True, kw_only=True)
class Walk:
    """How one table is walked.

    Attributes
    ----------
    name, file
        For the table of results; relative to `SHARED`, or the table that ``write`` writes.
    write
        Puts a simulated export into a folder.
    init
        Options of `metasight init` besides the folder and the table.
    confirmed
        Variables whose question mark is deleted, and events of [[time_and_status]]; and why those.
    lines
        Header of study.toml → lines below it.
    taken
        Options whose # is deleted.
    removed
        [[model]] entries, by their kind.
    reasons
        Why each of these was decided so.
    ends
        "report", or a text of the refusal.
    at
        Command that ends the walk.
    """

    name: str
    file: str
    init: tuple[str, ...]
    confirmed: tuple[str, ...]
    lines: dict[str, tuple[str, ...]]
    reasons: tuple[str, ...]
    taken: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    ends: str = "report"
    at: str = "run"
    write: Callable[[Path], None] | None = None


_INVASIVE = (
    'sex = { value = "female", reason = "a series of women with breast cancer" }',
    'invasive_carcinoma = { value = true, reason = "a series of invasive carcinoma" }',
    'curative_resection = { value = true, reason = "every patient was operated for cure" }',
    'neoadjuvant = { value = false, reason = "no treatment before surgery in this series" }',
    'pretreatment_specimen = { value = true, reason = "frozen at surgery, before treatment" }',
    'pure_dcis = { value = false, reason = "a series of invasive carcinoma" }',
)
_NOT_ASSESSED = (
    'I3 = "type and date of the operation are not in the table"',
    'I6 = "no sections are kept in this public series"',
    'I7 = "receptors and treatment are not all in the table"',
    'E2 = "histological type is not in the table"',
    'E4 = "earlier cancers are not in the table"',
)
_ONE_CENTRE = ('single_centre_reason = "one hospital, the Netherlands Cancer Institute"',)

WALKS = (
    Walk(
        name="NKI (genefu)",
        file="genefu_nkis_dmfs.csv",
        init=("--id", "id"),
        confirmed=(
            *("age_years", "tumour_size_mm", "er_positive", "endocrine_therapy"),
            *("distant_metastasis", "death"),
        ),
        lines={
            "constants": _INVASIVE,
            "waive": _NOT_ASSESSED,
            "analysis": _ONE_CENTRE,
        },
        taken=('on_problem = "exclude"',),
        reasons=(
            "row 61 dies on day 4285 and is seen without metastasis on day 4288: left out",
            "sizes with a median of 2 are centimetres; e. and t. are event and time, in days",
            "van de Vijver 2002: women under 53, stage I and II, operated at one hospital",
            "the number of positive nodes is not in the table, which the Nottingham index needs",
        ),
    ),
    Walk(
        name="nki70",
        file="nki70_mfs.csv",
        init=("--ids", "row"),
        confirmed=("age_years", "grade", "er_positive", "distant_metastasis"),
        lines={
            "constants": _INVASIVE,
            "waive": (*_NOT_ASSESSED, 'E8 = "size is in the table in two groups only"'),
            "not_recorded": ('death = "the table holds metastasis-free survival alone"',),
            "analysis": _ONE_CENTRE,
        },
        reasons=(
            "the package's manual: time in years, event is metastasis",
            "size and nodes are in two groups, which is neither a number nor a stage",
        ),
    ),
    Walk(
        name="Rotterdam",
        file="rotterdam.csv",
        init=("--id", "pid"),
        confirmed=(
            *("age_years", "postmenopausal", "positive_nodes", "pt_stage", "endocrine_therapy"),
            *("chemotherapy", "death"),
        ),
        lines={
            "constants": _INVASIVE,
            "waive": (*_NOT_ASSESSED, 'E8 = "size is in the table in groups only"'),
            "not_recorded": (
                'distant_metastasis = "the table holds recurrence of any kind and death"',
            ),
            "analysis": ('single_centre_reason = "one hospital, the Daniel den Hoed Kliniek"',),
        },
        reasons=("recurrence of any kind is no distant metastasis",),
        ends="endpoint dmfs is about distant metastasis; without it, what is left would be another "
        "endpoint",
        at="check",
    ),
    Walk(
        name="NSCLC Radiogenomics",
        file="nsclc-radiogenomics/NSCLCR01Radiogenomic_DATA_LABELS_2018-05-22_1500-shifted.csv",
        init=("--protocol", "nsclc-occult-node", "--id", "Case ID"),
        confirmed=(
            *("centre", "age_years", "female", "ever_smoker", "adenocarcinoma", "pathological_n"),
            *("death", "death_date", "death_days", "followup_date", "ct_date", "pure_ground_glass"),
        ),
        lines={
            "columns": (
                'clinical_t = { column = "Pathological T stage", missing = ["Not Collected"] }',
            ),
            "constants": (
                'arm = { value = "surgery", reason = "every patient of the series was operated" }',
                'pathological_nsclc = { value = true, reason = "a series of confirmed NSCLC" }',
                'radical_treatment = { value = true, reason = "every patient was operated" }',
                'clinical_n = { value = "N0", reason = "not in the table; an early-stage series" }',
                'clinical_m = { value = "M0", reason = "not in the table; an early-stage series" }',
            ),
            "waive": (
                'I4 = "performance status is not in the table"',
                'I6 = "staging procedures are not in the table"',
                'I7 = "willingness is not in the table"',
                'I8 = "public data, consent given to the series"',
                'E3 = "comorbidity is not in the table"',
                'E4 = "not applicable to nodal stage at surgery"',
            ),
        },
        reasons=(
            "the pathological T stage stands for the clinical one, which is not in the table",
            "the other criteria are not in the table",
        ),
    ),
    Walk(
        name="REDCap, German (simulated)",
        file="patients.csv",
        write=exports.redcap,
        init=("--id", "record_id", "--dictionary", "dictionary.csv"),
        confirmed=tuple(exports.REDCAP),
        lines={
            "constants": (
                'invasive_carcinoma = { value = true, reason = "only invasive cancer is entered" }',
                'curative_resection = { value = true, reason = "no palliative cases here" }',
                'pretreatment_specimen = { value = true, reason = "core biopsies are all kept" }',
                'pure_dcis = { value = false, reason = "only invasive cancer is entered" }',
            ),
            "waive": ('I6 = "no sections are kept in this project"',),
        },
        reasons=("what the project's protocol says of every patient",),
    ),
    Walk(
        name="NAACCR registry (simulated)",
        file="patients.csv",
        write=exports.naaccr,
        init=("--id", "patientIdNumber"),
        confirmed=(*(n for n in exports.NAACCR if "+" not in n), "death"),
        lines={
            "constants": (
                'curative_resection = { value = true, reason = "as requested from the registry" }',
                'neoadjuvant = { value = false, reason = "excluded by the request" }',
                'pretreatment_specimen = { value = true, reason = "no treatment before surgery" }',
            ),
            "waive": (
                'I6 = "no sections are kept in a registry"',
                'I7 = "the registry does not record metastasis after diagnosis"',
                'E1 = "behaviour is assessed by I2"',
                'E4 = "earlier cancers are not in the table"',
                'E8 = "the registry does not record metastasis after diagnosis"',
            ),
            "not_recorded": (
                'distant_metastasis = "a registry records metastasis at diagnosis only"',
            ),
        },
        reasons=("registries do not follow patients for metastasis",),
        ends="endpoint dmfs is about distant metastasis; without it, what is left would be another "
        "endpoint",
        at="check",
    ),
    Walk(
        name="German registry (simulated)",
        file="patients.csv",
        write=exports.obds,
        init=("--protocol", "nsclc-occult-node", "--id", "Patienten_ID"),
        confirmed=tuple(exports.OBDS),
        lines={
            "constants": (
                'pathological_nsclc = { value = true, reason = "confirmed NSCLC only" }',
                'radical_treatment = { value = true, reason = "radical treatment only" }',
                'complete_imaging = { value = true, reason = "the tumour board asks for it" }',
            ),
            "waive": (
                'I7 = "willingness is not in a registry"',
                'E3 = "comorbidity is not in a registry"',
                'E4 = "not applicable to nodal stage at surgery"',
            ),
        },
        reasons=("what the clinic knows of every patient of the export",),
    ),
    Walk(
        name="cBioPortal (simulated)",
        file="patients.tsv",
        write=exports.cbioportal,
        init=("--id", "Patient ID"),
        confirmed=(*(n for n in exports.CBIOPORTAL if "+" not in n), "death"),
        lines={
            "constants": _INVASIVE[1:],
            "waive": (*_NOT_ASSESSED[:3], *_NOT_ASSESSED[4:], 'E8 = "no metastasis in the table"'),
            "not_recorded": ('distant_metastasis = "relapse of any kind and death are there"',),
        },
        reasons=("relapse of any kind is no distant metastasis",),
        ends="endpoint dmfs is about distant metastasis; without it, what is left would be another "
        "endpoint",
        at="check",
    ),
)


def _confirmed_pair(block: str, events: tuple[str, ...]) -> str:
    """A proposed [[time_and_status]] of one of the events without its question marks."""
    pair = block.lstrip().startswith("# ? [[time_and_status]]")
    return (
        re.sub(r"(?m)^# \? ", "", block)
        if pair and set(re.findall(r'"(\w+)"', block)) & {*events}
        else block
    )


def edited(text: str, walk: Walk) -> str:
    """The proposed study.toml with a person's edits."""
    for name in walk.confirmed:
        text = re.sub(rf"(?m)^# \? ({re.escape(name)} = )", r"\1", text)
    text = "\n\n".join(_confirmed_pair(block, walk.confirmed) for block in text.split("\n\n"))
    for header, lines in walk.lines.items():
        assert text.count(f"\n[{header}]\n") == 1, header
        text = text.replace(f"\n[{header}]\n", f"\n[{header}]\n" + "\n".join(lines) + "\n")
    for option in walk.taken:
        assert text.count(f"\n# {option}") == 1, option
        text = text.replace(f"\n# {option}", f"\n{option}")
    for kind in walk.removed:
        text = re.sub(rf'(?m)^\[\[model\]\]\nkind = "{kind}"\n(?:.+\n)*', "", text)
    for key, value in QUICK.items():
        text = re.sub(rf"(?m)^{key} = .*$", f"{key} = {value}", text)
    return text.replace("\n[analysis]\n", f"\n[analysis]\n{QUICKER}\n")


def _metasight(*arguments: str) -> tuple[int, str]:
    done = subprocess.run(
        [sys.executable, "-m", "metasight", *arguments],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "200"},
    )
    return done.returncode, done.stdout + done.stderr


def walked(walk: Walk, work: Path) -> tuple[bool, str]:
    """Whether a table ends as expected, and how it ends."""
    folder = work / re.sub(r"\W+", "-", walk.name).lower() / "study"
    folder.mkdir(parents=True)
    source = SHARED / walk.file
    if walk.write is None:
        shutil.copy(source, folder / source.name)
    else:
        walk.write(folder)
    code, told = _metasight("init", str(folder), "--table", source.name, *walk.init)
    if code:
        return False, f"init: {told}"
    path = folder / "study.toml"
    text = edited(path.read_text("utf-8"), walk)
    tomllib.loads(text)
    path.write_text(text, "utf-8")
    for command in ("check", "run"):
        code, told = _metasight(command, str(folder))
        if code == 0:
            continue
        refusal = " ".join(told[told.find("error") :].split())
        refused = code == 2 and walk.ends in refusal and "Traceback" not in refusal
        return refused and command == walk.at, f"refused by {command}: {refusal}"
    written = (folder / "results" / "latest" / "report.html").is_file()
    return written and walk.ends == "report", "report written" if written else "no report"


def main() -> int:
    """The table of all, or of those that are named; 1 if one ends otherwise than expected."""
    chosen = [w for w in WALKS if not sys.argv[1:] or w.name in sys.argv[1:]]
    if not SHARED.is_dir():
        print(f"{SHARED} is not there")
        return 1
    failed = 0
    with tempfile.TemporaryDirectory(prefix="walked-") as work:
        for walk in chosen:
            begun = time.monotonic()
            good, told = walked(walk, Path(work))
            failed += not good
            seconds = time.monotonic() - begun
            print(f"{walk.name}: {'as expected' if good else 'NOT as expected'} ({seconds:.0f} s)")
            print(f"  {told}", flush=True)
    print(f"\n{len(chosen)} tables, {failed} not as expected")
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main())
