"""A Slurm of this machine alone, apart from any other that it may belong to."""

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

CONFIG = """
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={controller_port}
SlurmdPort={node_port}
SlurmUser=root
SlurmdUser=root
AuthType=auth/none
CredType=cred/none
AuthInfo=cred_expire=5
MpiDefault=none
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=batch_sched_delay=0,sched_interval=1
SchedulerType=sched/builtin
ReturnToService=2
KillWait=5
MailProg=/bin/true
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
NodeName={host} NodeAddr=127.0.0.1 CPUs={cores} State=UNKNOWN
PartitionName=debug Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


class NotStarted(Exception):
    """What the controller said last."""


def why_not() -> str | None:
    """Why there can be none here, None where there can."""
    programs = ("slurmctld", "slurmd", "sbatch", "squeue", "scontrol", "scancel")
    if missing := [name for name in programs if shutil.which(name) is None]:
        return f"Slurm is not installed: no {missing[0]} (Debian's package slurm-wlm)"
    if os.geteuid():
        return "Slurm's daemons need root"
    if not list(Path("/usr/lib").glob("*/slurm*/auth_none.so")):
        return "this Slurm has no auth/none"
    return None


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


@contextlib.contextmanager
def running(folder: Path) -> Iterator[None]:
    """Starts it, for the commands that SLURM_CONF reaches, and stops it."""
    for name in ("state", "spool"):
        (folder / name).mkdir()
    (folder / "slurm.conf").write_text(
        CONFIG.format(
            host=socket.gethostname().partition(".")[0],
            controller_port=free_port(),
            node_port=free_port(),
            cores=os.cpu_count(),
            folder=folder,
        )
    )
    before, os.environ["SLURM_CONF"] = os.environ.get("SLURM_CONF"), str(folder / "slurm.conf")
    daemons = [
        subprocess.Popen([name, "-D"], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
        for name in ("slurmctld", "slurmd")
    ]
    try:
        deadline = time.monotonic() + 60
        while (
            "idle"
            not in subprocess.run(
                ["sinfo", "-h", "-o", "%T"], capture_output=True, text=True
            ).stdout
        ):
            if time.monotonic() > deadline:
                raise NotStarted((folder / "slurmctld.log").read_text(errors="replace")[-300:])
            time.sleep(0.2)
        yield
    finally:
        subprocess.run(["scancel", "--user=root"], capture_output=True)
        for daemon in daemons:
            daemon.terminate()
            try:
                daemon.wait(30)
            except subprocess.TimeoutExpired:
                daemon.kill()
        if before is None:
            del os.environ["SLURM_CONF"]
        else:
            os.environ["SLURM_CONF"] = before
