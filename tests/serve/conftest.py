"""A small finished study with one slide, and a workbench of a copy of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")
pytest.importorskip("argon2", reason="the extra `serve` is not installed")

from starlette.testclient import TestClient

from lung_study import run_study, write_lung_study
from metasight import pipeline
from metasight.engine.progress import Silent
from metasight.serve.accounts import Role
from metasight.serve.app import Workbench, create_app
from metasight.serve.reach import Reach
from metasight.study.file import read_study
from slide_files import tissue_like, write_pyramid
from stopped_clock import Clock

PASSWORD = "a long enough password"
MODEL = """
[[model]]
kind = "elastic_net_cox"
name = "penalised"

[slides]
path = "slides.csv"
id = "id"

[reader_decisions]
path = "reader_decisions.csv"
id = "id"
"""


@pytest.fixture
def clock() -> Clock:
    """Of accounts and sessions."""
    return Clock()


HEADER = "id,file,about,verdict,replaces,reader,day,reason\n"
NOT_ASKED = "no slides in a test"


@pytest.fixture(scope="session")
def finished_folder(
    tmp_path_factory: pytest.TempPathFactory, made_up: tuple[pd.DataFrame, str]
) -> Path:
    """Run once, and only read."""
    table, text = made_up
    folder = tmp_path_factory.mktemp("workbench") / "study"
    folder.mkdir()
    table.to_csv(folder / "patients.csv", index=False)
    write_pyramid(folder / "he.svs", tissue_like(900, 1300), mpp=0.5, levels=2)
    (folder / "slides.csv").write_text("id,file,stain,markers\nMRN-00000,he.svs,H&E,\n")
    (folder / "reader_decisions.csv").write_text(HEADER)
    text = text[: text.index('[[model]]\nkind = "forest"')] + MODEL
    text = text.replace('headline_model = "forest"', 'headline_model = "penalised"')
    text = text.replace(
        "instability_resamples = 3", "instability_resamples = 0\ninterval_refits = 100"
    )
    (folder / "study.toml").write_text(text)
    pipeline.run(read_study(folder), scheduler="inline", progress=Silent())
    return folder


@pytest.fixture(scope="session")
def finished_lungs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A lung study of which one patient has scans; run once, and only read."""
    folder = tmp_path_factory.mktemp("workbench") / "lungs"
    write_lung_study(folder)
    run_study(folder)
    return folder


@pytest.fixture
def lung_folder(finished_lungs: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(finished_lungs, tmp_path / "lungs", symlinks=True))


@pytest.fixture
def study_folder(finished_folder: Path, tmp_path: Path) -> Path:
    """A copy that a test may change."""
    return Path(shutil.copytree(finished_folder, tmp_path / "study", symlinks=True))


@dataclass
class Served:
    """A workbench and a browser that has not come in yet."""

    workbench: Workbench
    client: TestClient

    def second(self) -> Served:
        """Another browser at the same workbench."""
        return Served(self.workbench, TestClient(self.client.app, raise_server_exceptions=False))

    def enter(self) -> Served:
        """Come in by the one-time token."""
        token = self.workbench.sessions.new_token()
        assert self.client.get(f"/enter?token={token}").status_code == 200
        return self

    def login(self, role: Role) -> Served:
        """Come in as a named user of a role."""
        self.workbench.accounts.put(f"a.{role}", role, PASSWORD)
        answer = self.try_login(f"a.{role}", PASSWORD)
        assert answer.status_code == 200
        return self

    def try_login(self, name: str, password: str) -> Any:
        """Fill the login form in."""
        text = self.client.get("/login").text
        token = text.split('name="login_token" value="')[1].split('"')[0]
        form = {"name": name, "password": password, "login_token": token}
        return self.client.post("/login", data=form)

    @property
    def form_token(self) -> str:
        """Of the session's forms."""
        text = self.client.get("/").text
        return text.split('name="form_token" value="')[1].split('"')[0]

    def post(self, address: str, **form: str) -> Any:
        """Send a form as a page does."""
        return self.client.post(address, data={"form_token": self.form_token, **form})


@pytest.fixture
def serve(study_folder: Path) -> Iterator[Callable[..., Served]]:
    """Start a workbench of the copy; its folder or reach may be another."""
    running = []

    def start(folder: Path | None = None, reach: Reach | None = None) -> Served:
        reach = reach or Reach(names=("testserver",))
        workbench = Workbench(read_study(folder or study_folder), reach)
        client = TestClient(create_app(workbench), raise_server_exceptions=False)
        client.__enter__()
        running.append(client)
        return Served(workbench, client)

    yield start
    for client in running:
        client.__exit__(None, None, None)
