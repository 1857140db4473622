"""Damaged files of every class that metasight reads: what becomes of each.

    python bench/mutations.py [--each 100] [--seed 1] [--classes slide dicom-ct ...] [--work DIR]

A good file of each class is made (``tests/*_files.py``), then damaged in ``--each`` ways: bits and
bytes, runs of zeros, cuts, repeated and swapped parts, and in texts numbers, quotes, separators
and lines. Each is read by the part of metasight that a study reads it with, in a process with 2.5
GiB of its own and 20 seconds a file. Counted per class:

- ``named``: a `MetasightError`;
- ``same``: the value of the undamaged file; ``other``: another value (where no checksum, length or
  structure contradicts, that is what the file says);
- ``raw``: any other exception; ``hang``, ``memory``, ``crash``: beyond the limits, or dead.

Each raw, hang, memory and crash is listed with its number: ``--only CLASS:NUMBER`` runs it again
with its traceback. Exit status 1 if there is one.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from mutated_kinds import KINDS, Kind

MOST_BYTES, MOST_SECONDS, SILENT_SECONDS = int(2.5 * 2**30), 20, 240
TEXTS = (".csv", ".toml", ".gmt", ".geojson", ".json", ".tsv")
OUTCOMES = ("named", "same", "other", "raw", "hang", "memory", "crash")
FAULTS = OUTCOMES[3:]


# ------------------------------------------------------------------------------------- damage


def damage(path: Path, rng: np.random.Generator) -> None:
    """Change a file in one of many ways."""
    content = path.read_bytes()
    if path.suffix == ".xlsx" and rng.random() < 0.6:
        _damage_member(path, rng)
    elif path.suffix in TEXTS and rng.random() < 0.75:
        path.write_text(_spoilt(content.decode("utf-8"), rng), "utf-8", newline="")
    else:
        path.write_bytes(_broken(content, rng))


def _broken(content: bytes, rng: np.random.Generator) -> bytes:
    data, n = bytearray(content), len(content)
    # headers decide more than pixels: half of all damage is in the first kilobytes
    end = min(n, 4096) if rng.random() < 0.5 else n
    at, length = int(rng.integers(end)), int(rng.integers(1, 65))
    way = int(rng.integers(8))
    if way == 0:
        data[at] ^= 1 << int(rng.integers(8))
    elif way == 1:
        for k in rng.integers(0, end, int(rng.integers(2, 12))):
            data[int(k)] = int(rng.integers(256))
    elif way == 2:
        del data[int(rng.integers(n)) :]
    elif way == 3:
        data[at : at + length] = bytes(len(data[at : at + length]))
    elif way == 4:
        data[at : at + length] = b"\xff" * len(data[at : at + length])
    elif way == 5:
        data[at:at] = rng.bytes(length)
    elif way == 6:
        del data[at : at + length]
    else:
        other = int(rng.integers(end))
        data[at : at + length] = data[other : other + length]
    return bytes(data)


_ODD = ("", "nan", "-1", "0", "1e999", "-inf", "99999999999999999999", "1,5", "é\u202e", "\x1b[2J")
_ODD += ('"', "'", "[", "{", "\\", "../../x", "=1+1", "<b>", "\u0000", "true", "1970-01-01", "∞")


def _spoilt(text: str, rng: np.random.Generator) -> str:
    way = int(rng.integers(6))
    lines = text.split("\n")
    k = int(rng.integers(len(lines)))
    odd = _ODD[int(rng.integers(len(_ODD)))]
    if way == 0:
        lines.insert(k, lines[int(rng.integers(len(lines)))])
    elif way == 1:
        del lines[k]
    elif way == 2:
        lines[k] = lines[k][: int(rng.integers(len(lines[k]) + 1))] + odd
    else:
        places = list(re.finditer(r"[\w.µ&-]+" if way < 5 else r"[^\w\s]", text))
        if places:
            place = places[int(rng.integers(len(places)))]
            return text[: place.start()] + odd + text[place.end() :]
    return "\n".join(lines)


def _damage_member(path: Path, rng: np.random.Generator) -> None:
    """Damage a file within a zip, and pack it again with a sum that is right."""
    with zipfile.ZipFile(path) as file:
        members = {name: file.read(name) for name in file.namelist()}
    name = sorted(members)[int(rng.integers(len(members)))]
    text = members[name]
    spoilt = _broken(text, rng)
    if rng.random() < 0.7:
        with suppress(UnicodeDecodeError):
            spoilt = _spoilt(text.decode("utf-8"), rng).encode()
    members[name] = spoilt
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for member, content in members.items():
            file.writestr(member, content)


# ------------------------------------------------------------------------------------ running


class TooLong(BaseException):
    """A file took longer than it may."""


def _alarm(*_: object) -> None:
    raise TooLong


def outcome_of(kind: Kind, place: Path, plain: bytes, *, loud: bool = False) -> tuple[str, str]:
    """What becomes of a damaged file, and where, if it is a fault."""
    from metasight.errors import MetasightError

    signal.alarm(MOST_SECONDS)
    try:
        found = "same" if kind.read(place) == plain else "other"
    except MetasightError as error:
        if loud:
            print(error)
        return "named", ""
    except MemoryError:
        return "memory", ""
    except TooLong:
        return "hang", ""
    except Exception as error:  # noqa: BLE001 (that it was raised is the outcome)
        if loud:
            traceback.print_exc()
        own = [f for f in traceback.extract_tb(error.__traceback__) if "/metasight/" in f.filename]
        where = own[-1] if own else traceback.extract_tb(error.__traceback__)[-1]
        return "raw", f"{type(error).__name__} at {Path(where.filename).name}:{where.lineno}"
    finally:
        signal.alarm(0)
    return found, ""


def child(name: str, work: Path, numbers: Sequence[int], seed: int, *, loud: bool = False) -> None:
    """Damage and read, one after another; a line to standard output each."""
    kind = KINDS[name]
    good = work / "good"
    there = Path((work / "place").read_text("utf-8"))
    warnings.simplefilter("ignore")  # of libraries, about what a damaged byte makes of a value
    signal.signal(signal.SIGALRM, _alarm)
    plain = kind.read(good / there)
    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    resource.setrlimit(resource.RLIMIT_AS, (used + MOST_BYTES, used + MOST_BYTES))
    for number in numbers:
        rng = np.random.default_rng([seed, sorted(KINDS).index(name), number])
        trial = work / "trial"
        shutil.rmtree(trial, ignore_errors=True)
        shutil.copytree(good, trial)
        files = sorted(p for p in trial.rglob(kind.damaged) if p.is_file())
        damage(files[int(rng.integers(len(files)))], rng)
        found, where = outcome_of(kind, trial / there, plain, loud=loud)
        print(f"{number}\t{found}\t{where}", flush=True)


def judged(name: str, work: Path, each: int, seed: int) -> Iterator[tuple[int, str, str]]:
    """Every damaged file of a class; a process that dies or is silent is replaced."""
    good = work / "good"
    good.mkdir(parents=True)
    place = KINDS[name].make(good)
    (work / "place").write_text(str(place.relative_to(good)), "utf-8")
    at = 0
    while at < each:
        command = [sys.executable, __file__, "--child", name, "--work", str(work)]
        command += ["--first", str(at), "--each", str(each), "--seed", str(seed)]
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        ) as process:
            assert process.stdout is not None
            os.set_blocking(process.stdout.fileno(), False)
            last, rest = time.monotonic(), ""
            while True:
                read = (process.stdout.read() or b"").decode()
                rest += read
                *lines, rest = rest.split("\n")
                for line in lines:
                    number, found, where = line.split("\t")
                    yield int(number), found, where
                    at, last = int(number) + 1, time.monotonic()
                if process.poll() is not None and not read:
                    break
                if time.monotonic() - last > SILENT_SECONDS:
                    process.kill()
                    yield at, "hang", "no answer"
                    at += 1
                    break
                time.sleep(0.02)
        if at < each and process.returncode not in {0, -signal.SIGKILL}:
            yield at, "crash", f"status {process.returncode}"
            at += 1


def main() -> int:
    """Every class, a line each; 1 if there is a fault."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--each", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--classes", nargs="*", choices=sorted(KINDS), default=sorted(KINDS))
    parser.add_argument("--only", help="CLASS:NUMBER, with what it says")
    parser.add_argument("--work", type=Path)
    parser.add_argument("--child")
    parser.add_argument("--first", type=int, default=0)
    asked = parser.parse_args()
    if asked.child:
        child(asked.child, asked.work, range(asked.first, asked.each), asked.seed)
        return 0
    with tempfile.TemporaryDirectory(prefix="mutations-") as folder:
        top = asked.work or Path(folder)
        if asked.only:
            name, _, number = asked.only.rpartition(":")
            work = top / name.replace(" ", "-")
            (work / "good").mkdir(parents=True)
            place = KINDS[name].make(work / "good")
            (work / "place").write_text(str(place.relative_to(work / "good")), "utf-8")
            child(name, work, [int(number)], asked.seed, loud=True)
            return 0
        return report(top, asked.classes, asked.each, asked.seed)


def report(top: Path, names: Sequence[str], each: int, seed: int) -> int:
    total: Counter[str] = Counter()
    faults: list[str] = []
    print(f"{'class':20s}" + "".join(f"{o:>8s}" for o in OUTCOMES), flush=True)
    for name in names:
        counts: Counter[str] = Counter()
        work = top / name.replace(" ", "-")
        for number, found, where in judged(name, work, each, seed):
            counts[found] += 1
            if found in FAULTS:
                faults.append(f"  {name}:{number}  {found} {where}")
        shutil.rmtree(work, ignore_errors=True)
        total += counts
        print(f"{name:20s}" + "".join(f"{counts[o]:8d}" for o in OUTCOMES), flush=True)
    print(f"{'all':20s}" + "".join(f"{total[o]:8d}" for o in OUTCOMES))
    print("\n".join(faults))
    print(f"{total.total()} damaged files, {len(faults)} faults")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
