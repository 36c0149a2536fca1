"""What the test's Slurm is: its nodes, and the files that configure its daemons."""

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

NEEDED = ("slurmctld", "slurmd", "sbatch")
ACCOUNTING = ("slurmdbd", "sacctmgr", "mariadbd", "mariadb-install-db")
NODES = ("n1", "n2", "n3")
# what a user calls, each wrapped to find this cluster: Slurm's variables are lost in a job's inner steps
CLIENTS = ("srun", "squeue", "scontrol", "scancel", "sbatch", "sinfo", "sacct", "sacctmgr")
# device nodes that every machine has stand for GPUs
GRES = "Name=gpu File=/dev/zero\nName=gpu File=/dev/full\n"

CONFIG = """
ClusterName=looksam
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser={user}
SlurmdUser={user}
AuthType=auth/none
CredType=cred/none
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool/%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=task=1
JobAcctGatherParams=OverMemoryKill
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU_Memory
SchedulerParameters=sched_interval=1,batch_sched_delay=0,bf_interval=1
SlurmdTimeout=10
KillWait=5
MinJobAge=300
ReturnToService=2
GresTypes=gpu
SlurmdParameters=config_overrides
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
PartitionName=gpu Nodes=ALL Default=YES MaxTime=UNLIMITED State=UP PriorityTier=1 GraceTime=60
PartitionName=urgent Nodes=ALL MaxTime=UNLIMITED State=UP PriorityTier=10 PreemptMode=OFF
"""
ACCOUNTED = """
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={dbd_port}
"""
DATABASE = """
DbdHost={host}
DbdAddr=127.0.0.1
DbdPort={dbd_port}
SlurmUser={user}
AuthType=auth/none
StorageType=accounting_storage/mysql
StorageHost=127.0.0.1
StoragePort={sql_port}
StorageUser=slurm
StoragePass=slurm
PidFile={folder}/slurmdbd.pid
LogFile={folder}/slurmdbd.log
"""


def missing(programs: Sequence[str]) -> list[str]:
    """Those that this machine has not; Debian's are in /usr/sbin, where PATH may not look."""
    return [name for name in programs if not shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin")]


def write_configuration(
    folder: Path, names: Mapping[str, str], ports: Sequence[int], accounting: bool
) -> None:
    """Write all files into the folder. names: what the texts' braces stand for; ports: one a node."""
    config = CONFIG.format(**names)
    for node, port in zip(NODES, ports, strict=True):
        address = f"NodeHostname={names['host']} NodeAddr=127.0.0.1 Port={port}"
        config += f"NodeName={node} {address} CPUs=8 RealMemory=16000 Gres=gpu:2 State=UNKNOWN\n"
    if accounting:
        config += ACCOUNTED.format(**names)
    (folder / "slurm.conf").write_text(config)
    (folder / "gres.conf").write_text(GRES)
    (folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
    (folder / "slurmdbd.conf").write_text(DATABASE.format(**names))
    (folder / "slurmdbd.conf").chmod(0o600)
    (folder / "bin").mkdir()
    for name in CLIENTS if accounting else CLIENTS[:-2]:
        wrapper = folder / "bin" / name
        wrapper.write_text(f'#!/bin/sh\nSLURM_CONF={folder}/slurm.conf exec /usr/bin/{name} "$@"\n')
        wrapper.chmod(0o755)
