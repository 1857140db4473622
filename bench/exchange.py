"""Objects stored in and served by Orthanc, and scans taken from it, on loopback.

``python bench/exchange.py`` starts Orthanc (Debian: orthanc, orthanc-dicomweb) on free ports with a
folder of its own, sends a CT, its segmentation and its report by C-STORE (dcmtk's storescu), reads
them back by REST and DICOMweb, compares them with what was sent, runs the drop-folder recipe of
``docs/exchange.md`` as it is printed there and compares the scan that metasight reads from it. It
ends the Orthanc that it started and no other. Exit status 1 if a row is wrong.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

import numpy as np
import pandas as pd
from pydicom import dcmread
from pydicom.dataset import Dataset

from exchange_made import MADE, RESULTS, lesion_on, scanned
from metasight.cohort.settings import ScanRecipe
from metasight.exchange.patient_objects import REPORT, SEGMENTATION, write_patient_objects
from metasight.exchange.reading_back import check_report, check_segmentation, measurements_in
from metasight.steps.scans.reading import read_ct
from metasight.volumes.mask_file import save_mask

ROOT = Path(__file__).resolve().parents[1]
NEEDED = ("Orthanc", "storescu", "curl", "dciodvfy")
PLUGINS = "/usr/share/orthanc/plugins"
STARTS_WITHIN_S = 60


def free_port() -> int:
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        return int(opened.getsockname()[1])


@contextmanager
def orthanc(folder: Path) -> Iterator[tuple[str, int]]:
    """An Orthanc of our own on loopback; its address and its DICOM port."""
    http, dicom = free_port(), free_port()
    settings = {
        "Name": "bench",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "index"),
        "HttpPort": http,
        "DicomPort": dicom,
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomServerEnabled": True,
        "DicomAlwaysAllowStore": True,
        "Plugins": [f"{PLUGINS}/libOrthancDicomWeb.so"],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (folder / "orthanc.log").open("w") as log:
        server = subprocess.Popen(["Orthanc", str(folder / "orthanc.json")], stdout=log, stderr=log)
    try:
        address = f"http://127.0.0.1:{http}"
        for _ in range(10 * STARTS_WITHIN_S):
            try:
                get(f"{address}/system")
                break
            except OSError:
                time.sleep(0.1)
        yield address, dicom
    finally:
        server.terminate()
        server.wait(timeout=30)


def get(address: str, accept: str = "") -> bytes:
    asked = urllib.request.Request(address, headers={"Accept": accept} if accept else {})
    with urllib.request.urlopen(asked, timeout=30) as answer:
        return bytes(answer.read())


def first_part(body: bytes) -> bytes:
    """The first part of a multipart answer of DICOMweb."""
    start = body.index(b"\r\n\r\n") + 4
    boundary = body[: body.index(b"\r\n")]
    return body[start : body.rindex(b"\r\n" + boundary)]


def instance_of(address: str, uid: str) -> str:
    found = json.loads(
        subprocess.run(
            ["curl", "-fsS", f"{address}/tools/lookup", "-d", uid],
            capture_output=True,
            check=True,
        ).stdout
    )
    return str(found[0]["ID"])


def recipe() -> str:
    """The drop-folder recipe as the page prints it."""
    page = (ROOT / "docs" / "exchange.md").read_text("utf-8")
    (found,) = re.findall(r'```sh title="drop-folder"\n(.*?)```', page, re.DOTALL)
    return str(found)


def main() -> int:
    missing = [p for p in NEEDED if shutil.which(p) is None]
    if missing:
        print(f"not installed: {', '.join(missing)} (Debian: orthanc orthanc-dicomweb dcmtk ...)")
        return 1
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="metasight-exchange-") as name:
        folder = Path(name)
        with orthanc(folder) as (address, port):
            for row, work in Rows(folder, address, port).all():
                try:
                    said = work()
                    print(f"ok     {row}: {said}")
                except Exception as error:  # noqa: BLE001 (a row that fails is a row of the table)
                    wrong += 1
                    print(f"WRONG  {row}: {type(error).__name__}: {error}")
    print(f"{wrong} wrong")
    return 1 if wrong else 0


class Rows:
    """What is sent, and each way of getting it back."""

    def __init__(self, folder: Path, address: str, port: int) -> None:
        self.folder, self.address, self.port = folder, address, port
        self.volume, source = scanned(folder / "ct")
        self.mask = lesion_on(self.volume)
        save_mask(self.mask, folder / "mask.npz")
        write_patient_objects(
            folder / "out",
            RESULTS,
            folder / "mask.npz",
            ct=source,
            pet=None,
            drawn_by_hand=False,
            made=MADE,
        )
        self.sent = {n: dcmread(folder / "out" / n) for n in (SEGMENTATION, REPORT)}

    def all(self) -> Iterator[tuple[str, Callable[[], str]]]:
        yield "C-STORE", self.store
        for name in self.sent:
            yield f"REST {name}", partial(self.rest, name)
            yield f"DICOMweb {name}", partial(self.web, name)
            yield f"dciodvfy {name}", partial(self.valid, name)
        yield "PatientID set by the archive", self.renamed
        yield "drop folder", self.dropped

    def store(self) -> str:
        files = [*(self.folder / "ct").iterdir(), *(self.folder / "out").iterdir()]
        command = [
            "storescu",
            "-R",
            "-aec",
            "ORTHANC",
            "127.0.0.1",
            str(self.port),
            *map(str, files),
        ]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        held = json.loads(get(f"{self.address}/statistics"))["CountInstances"]
        if done.returncode or held != len(files):
            raise RuntimeError(f"{held} of {len(files)} are held {done.stderr[-500:]}")
        return f"{held} objects"

    def rest(self, name: str) -> str:
        return self.compare(dcmread(io.BytesIO(self.served(name))), name)

    def web(self, name: str) -> str:
        data = self.sent[name]
        place = f"{self.address}/dicom-web/studies/{data.StudyInstanceUID}"
        found = json.loads(get(f"{place}/instances", "application/dicom+json"))
        if data.SOPInstanceUID not in {i["00080018"]["Value"][0] for i in found}:
            raise RuntimeError("QIDO-RS does not list it")
        one = f"{place}/series/{data.SeriesInstanceUID}/instances/{data.SOPInstanceUID}"
        body = get(one, 'multipart/related; type="application/dicom"')
        return self.compare(dcmread(io.BytesIO(first_part(body))), name)

    def valid(self, name: str) -> str:
        (self.folder / "served.dcm").write_bytes(self.served(name))
        command = ["dciodvfy", str(self.folder / "served.dcm")]
        told = subprocess.run(command, capture_output=True, text=True, check=False)
        errors = [x for x in (told.stdout + told.stderr).splitlines() if x.startswith("Error")]
        if errors:
            raise RuntimeError(errors[0])
        return "no error in what is served"

    def renamed(self) -> str:
        """The command of ``docs/exchange.md`` by which an archive puts its own id in place."""
        data = self.sent[SEGMENTATION]
        page = (ROOT / "docs" / "exchange.md").read_text("utf-8")
        (asked,) = re.findall(r"/modify -d '(.*?)' >", page)
        place = f"{self.address}/instances/{instance_of(self.address, data.SOPInstanceUID)}/modify"
        done = subprocess.run(["curl", "-fsS", place, "-d", asked], capture_output=True, check=True)
        again = dcmread(io.BytesIO(done.stdout))
        if again.PatientID != "ID":
            raise RuntimeError("the id is not set")
        return self.compare(again, SEGMENTATION)

    def dropped(self) -> str:
        place = self.folder / "drop"
        place.mkdir()
        environment = {"ORTHANC": self.address, "PATH": "/usr/local/bin:/usr/bin:/bin"}
        subprocess.run(["bash", "-euc", recipe()], cwd=place, env=environment, check=True)
        table = pd.read_csv(place / "scans.csv", dtype=str)
        # the objects carry the pseudonym, the CT the hospital's id
        row = table[table["patient"] == "MRN-4711"].iloc[0]
        again = read_ct(place / "scans" / row["path"], ScanRecipe())
        if not np.array_equal(again.array, self.volume.array):
            raise RuntimeError("another scan")
        again_on = self.mask.on(again)
        return f"{len(table)} patients; the CT has the same {again_on.array.size:,} voxels"

    def served(self, name: str) -> bytes:
        uid = self.sent[name].SOPInstanceUID
        return get(f"{self.address}/instances/{instance_of(self.address, uid)}/file")

    def compare(self, data: Dataset, name: str) -> str:
        if data.SOPInstanceUID != self.sent[name].SOPInstanceUID:
            raise RuntimeError("another object")
        if name == SEGMENTATION:
            check_segmentation(data, self.mask)
            return f"{self.mask.n_voxels} voxels equal"
        check_report(data, RESULTS)
        return f"{len(measurements_in(data))} measurements equal"


if __name__ == "__main__":
    sys.exit(main())
