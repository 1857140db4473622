"""A study on a real Slurm of one node, by the recipe of docs/cluster.md as it is printed there.

    python bench/slurm.py        (root; apt-get install slurmd slurmctld slurm-client munge)

Starts munged, slurmctld and slurmd with a configuration of their own on loopback, runs a study of
tables, slides and CT by the blocks of the page, kills a worker of it with SIGKILL in mid-run, and
compares every file of the results with those of the same study without a cluster. Only processes
that it started are ended. Exit status 1 if a file differs or no worker was killed.
"""

from __future__ import annotations

import argparse
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from killed import finish, images

ROOT = Path(__file__).resolve().parents[1]
NEEDED = ("munged", "slurmctld", "slurmd", "sbatch", "openssl")
CONFIGURATION = """
ClusterName=bench
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={control}
SlurmdPort={node}
AuthType=auth/munge
AuthInfo=socket={work}/munge.sock
SlurmUser=root
StateSaveLocation={work}/state
SlurmdSpoolDir={work}/spool
SlurmctldPidFile={work}/slurmctld.pid
SlurmdPidFile={work}/slurmd.pid
SlurmctldLogFile={work}/slurmctld.log
SlurmdLogFile={work}/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
ReturnToService=2
MpiDefault=none
NodeName={host} NodeAddr=127.0.0.1 CPUs=2 RealMemory=12000 State=UNKNOWN
PartitionName=all Nodes=ALL Default=YES State=UP
"""


def blocks() -> dict[str, str]:
    """Blocks of the page by name."""
    page = (ROOT / "docs/cluster.md").read_text("utf-8")
    return dict(re.findall(r'```sh title="([\w.]+)"\n(.*?)```', page, re.DOTALL))


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def slurm(work: Path) -> list[subprocess.Popen[bytes]]:
    """Start the three daemons in the foreground of processes of our own."""
    work.chmod(0o755)
    key = work / "munge.key"
    key.write_bytes(secrets.token_bytes(1024))
    key.chmod(0o400)
    for name in ("state", "spool"):
        (work / name).mkdir()
    host = socket.gethostname().partition(".")[0]
    text = CONFIGURATION.format(host=host, work=work, control=free_port(), node=free_port())
    (work / "slurm.conf").write_text(text)
    munge = [f"--{n}={work}/munge.{n.split('-')[0]}" for n in ("key-file", "pid-file", "log-file")]
    munge += [f"--seed-file={work}/munge.seed", f"--socket={work}/munge.sock"]
    daemons = (
        ["munged", "--foreground", "--force", *munge],
        ["slurmctld", "-D", "-f", f"{work}/slurm.conf"],
        ["slurmd", "-D", "-f", f"{work}/slurm.conf"],
    )
    started = []
    for command in daemons:
        started.append(
            subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        )
        time.sleep(2)
    return started


def workers(job_of: Path) -> list[int]:
    """Processes of Dask workers that Slurm started for the study in a folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            command = (process / "cmdline").read_bytes().split(b"\0")
            here = os.readlink(process / "cwd")
            environment = (process / "environ").read_bytes()
        except OSError:
            continue
        ours = b"SLURM_JOB_ID=" in environment and here == str(job_of)
        if ours and b"worker" in command:
            found.append(int(process.name))
    return sorted(found)


def on_slurm(study: Path, work: Path) -> tuple[float, int]:
    """Run the page's blocks on a study; seconds, and workers that were killed."""
    printed = blocks()
    environment = {
        **os.environ,
        "SLURM_CONF": f"{work}/slurm.conf",
        "HOME": str(work),
        "HOST": "127.0.0.1",
        "PORT": str(free_port()),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    subprocess.run(
        ["bash", "-euc", printed["certificate"]], env=environment, check=True, capture_output=True
    )
    (study / "workers.sbatch").write_text(printed["workers.sbatch"])
    begun, killed = time.monotonic(), 0
    with (work / "run.log").open("w") as log:
        run = subprocess.Popen(
            ["bash", "-uc", printed["run"]], cwd=study, env=environment, stdout=log, stderr=log
        )
        while run.poll() is None:
            made = len(list((study / ".metasight/store").glob("??/*")))
            there = workers(study)
            if not killed and made >= 4 and len(there) >= 2:
                os.kill(there[-1], signal.SIGKILL)
                killed += 1
            time.sleep(0.2)
    print((work / "run.log").read_text()[-1500:])
    if run.returncode:
        raise SystemExit(f"the run ended with status {run.returncode}")
    return time.monotonic() - begun, killed


def published(study: Path) -> dict[str, bytes]:
    latest = study / "results/latest"
    return {
        p.relative_to(latest).as_posix(): p.read_bytes()
        for p in sorted(latest.rglob("*"))
        if p.is_file()
    }


def main() -> int:
    """Compare; 1 where a file differs or nothing was killed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.parse_args()
    missing = [name for name in NEEDED if shutil.which(name) is None]
    if missing or os.getuid() != 0:
        raise SystemExit(f"this bench needs root and {', '.join(missing) or 'nothing else'}")
    with tempfile.TemporaryDirectory(prefix="slurm-") as folder:
        top = Path(folder).resolve()
        plain, shared, work = top / "plain/study", top / "shared/study", top / "slurm"
        work.mkdir()
        command = images(plain)
        shared.parent.mkdir()
        shutil.copytree(plain, shared)
        alone = finish([*command[:-1], "inline"])
        daemons = slurm(work)
        try:
            seconds, killed = on_slurm(shared, work)
        finally:
            for daemon in reversed(daemons):
                daemon.terminate()
                daemon.wait(timeout=30)
        one, other = published(plain), published(shared)
    differ = sorted(n for n in one.keys() | other.keys() if one.get(n) != other.get(n))
    print(
        f"{len(one)} published files, {len(differ)} differ; {killed} worker killed; "
        f"{alone:.0f} s in one process, {seconds:.0f} s on Slurm with two workers"
    )
    for name in differ[:10]:
        print(f"  {name}")
    return int(bool(differ) or not killed)


if __name__ == "__main__":
    sys.exit(main())
