"""Time and memory of one prediction from raw files, in a process of its own.

    python bench/predict.py STUDY [--patient ID] [--bar-s 20]

STUDY is a simulated study that was run (``metasight demo --lung``, ``metasight demo --simulated``).
One patient's rows and files are put into a folder without any outcome and under another id, since
a generator refuses to paint whom it learnt from; ``metasight predict`` reads the study's bundle.zip
and that folder. What is printed: seconds, peak memory, and the risks, which are those of a training
patient and say nothing of the model.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

import pandas as pd

from metasight import bundle

OTHER_ID = "NEW-0001"


def without_outcomes(study: Path, locked: Path, folder: Path, patient: str | None = None) -> None:
    """A folder of a study's patients, or one of them, as they are before any outcome is known.

    Parameters
    ----------
    study
        Whose rows, files and ``study.toml`` are taken.
    locked
        Bundle whose protocol says what an outcome is.
    folder
        Empty; gets tables, links to the files, and a study.toml without outcome and analysis.
    patient
        The hospital's id, who is then called `OTHER_ID`; everybody where none is given.
    """
    text = (study / "study.toml").read_text("utf-8")
    told = tomllib.loads(text)
    with bundle.unpacked(locked) as place:
        outcomes = {v.name for v in bundle.read(place).protocol.variable if v.role == "outcome"}
    text = text[: text.index("[analysis]")]
    text = re.sub(r"\[slides\.(maps|embeddings)\][^\[]*", "", text)
    for name in outcomes:
        text = re.sub(rf"^{name} = .*\n", "", text, flags=re.M)
    (folder / "study.toml").write_text(text, "utf-8")
    for part in ("patients", "slides", "scans"):
        if part not in told:
            continue
        table = pd.read_csv(study / told[part]["path"], dtype=str)
        own = table
        if patient is not None:
            id_column = told[part]["id"]
            own = table[table[id_column] == patient].assign(**{id_column: OTHER_ID})
        own.to_csv(folder / told[part]["path"], index=False)
        if "folder" in told[part]:
            (folder / told[part]["folder"]).symlink_to((study / told[part]["folder"]).resolve())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path)
    parser.add_argument("--patient", default="")
    parser.add_argument("--bar-s", type=float, default=20.0)
    asked = parser.parse_args()
    table = tomllib.loads((asked.study / "study.toml").read_text("utf-8"))["patients"]
    ids = pd.read_csv(asked.study / table["path"], dtype=str)[table["id"]]
    patient = asked.patient or ids.iloc[1]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "patient"
        folder.mkdir()
        without_outcomes(asked.study, asked.study, folder, patient)
        command = [sys.executable, "-m", "metasight", "predict"]
        command += [str(asked.study / "results" / "latest" / "bundle.zip"), str(folder)]
        command += ["-o", str(Path(name) / "out"), "--patient", OTHER_ID]
        begun = time.perf_counter()
        told = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ)
        seconds = time.perf_counter() - begun
        print(told.stdout + told.stderr)
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 2**20
        verdict = "within" if seconds <= asked.bar_s else "ABOVE"
        print(f"{seconds:.1f} s ({verdict} {asked.bar_s:g} s), peak {peak:.2f} GiB")


if __name__ == "__main__":
    main()
