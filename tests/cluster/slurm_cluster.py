"""A real Slurm of three virtual nodes on this machine, as an ordinary process tree in a folder of its own."""

import os
import shutil
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from getpass import getuser
from pathlib import Path

NEEDED = ("slurmctld", "slurmd", "sbatch")
ACCOUNTING = ("slurmdbd", "sacctmgr", "mariadbd", "mariadb-install-db")
NODES = ("n1", "n2", "n3")
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


class Cluster:
    """The cluster, running. environment: what a process must have to be its user."""

    def __init__(self, folder: Path, accounting: bool) -> None:
        self.folder, self.accounting = folder, accounting
        self.ports = iter(free_ports(3 + len(NODES)))
        self.names = {
            "folder": str(folder),
            "user": getuser(),
            "host": socket.gethostname().split(".")[0],
            "port": str(next(self.ports)),
            "dbd_port": str(next(self.ports)),
            "sql_port": str(next(self.ports)),
        }
        # Slurm's own variables do not survive in a job's inner steps, what finds the processes must
        self.environment = os.environ | {
            "PATH": f"{folder}/bin:{os.environ['PATH']}:/usr/sbin",
            "SLURM_CONF": f"{folder}/slurm.conf",
            "LOOKSAM_TEST_CLUSTER": str(folder),
            "GLOO_SOCKET_IFNAME": "lo",
            "OMP_NUM_THREADS": "1",
        }

    def start(self) -> None:
        """Write the configuration, start the daemons, and wait until all nodes are idle."""
        for name in ("state", "bin", *(f"spool/{node}" for node in NODES)):
            (self.folder / name).mkdir(parents=True)
        self._write_configuration()
        if self.accounting:
            self._start_database()
            self.daemon("slurmdbd", "-D")
            wait_until(lambda: self.tells("sacctmgr", "-n", "list", "cluster") is not None)
        self.daemon("slurmctld", "-D", "-f", f"{self.folder}/slurm.conf", "-c")
        for node in NODES:
            self.start_node(node)
        wait_until(lambda: self.tells("sinfo", "-h", "-p", "gpu", "-t", "idle", "-o", "%D") == "3")
        if self.accounting:
            wait_until(lambda: "looksam" in self.run("sacctmgr", "-n", "list", "cluster", "format=cluster"))

    def start_node(self, node: str) -> None:
        """Start the daemon of a virtual node."""
        self.daemon("slurmd", "-D", "-f", f"{self.folder}/slurm.conf", "-N", node)

    def daemon(self, *command: str) -> None:
        """Start a process that stays; its output is in a file."""
        log = self.folder / f"{Path(command[0]).name}.{command[-1].strip('-/')[-2:]}.out"
        with log.open("ab") as out:
            subprocess.Popen(
                command, env=self.environment, cwd=self.folder, stdout=out, stderr=out, start_new_session=True
            )

    def run(self, *command: str) -> str:
        """What a command of Slurm's says, which must succeed."""
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, f"{' '.join(command)}: {done.stderr}"
        return done.stdout.strip()

    def tells(self, *command: str) -> str | None:
        """What a command says, nothing where it fails."""
        with suppress(AssertionError, subprocess.TimeoutExpired):
            return self.run(*command)
        return None

    def jobs(self) -> list[str]:
        """The ids of jobs that wait or run."""
        return self.run("squeue", "-h", "-o", "%i").split()

    @contextmanager
    def releasing(self) -> Iterator[None]:
        """Let jobs that were put back into the queue start at once: Slurm holds them for two minutes."""
        ended = threading.Event()

        def release() -> None:
            while not ended.wait(1):
                held = self.run("squeue", "-h", "-t", "PENDING", "-o", "%i %r").splitlines()
                for job in (line.split()[0] for line in held if line.endswith("BeginTime")):
                    self.tells("scontrol", "update", f"jobid={job}", "StartTime=now")

        helper = threading.Thread(target=release, daemon=True)
        helper.start()
        try:
            yield
        finally:
            ended.set()
            helper.join()

    def fail_node(self, node: str) -> None:
        """End all processes of a node at once, as a power cut would, and let Slurm notice."""
        pids = set(self.pids())
        lost = {pid for pid in pids if f"-N\0{node}\0" in command_line(pid) or of_node(pid, node)}
        # the daemons of its steps too, which are told by what they started
        while parents := {parent_of(pid) for pid in lost} & pids - lost:
            lost |= parents
        # none may live to tell of another's end
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in lost:
                send(pid, number)
        self.run("scontrol", "update", f"nodename={node}", "state=down", "reason=test")

    def pids(self) -> list[int]:
        """Every process that belongs to the cluster, its jobs' included: they inherited its mark."""
        mark = f"LOOKSAM_TEST_CLUSTER={self.folder}\0".encode()
        found = []
        for entry in Path("/proc").iterdir():
            with suppress(OSError, ValueError):
                if mark in (entry / "environ").read_bytes():
                    found.append(int(entry.name))
        return found

    def stop(self) -> None:
        """End every process of the cluster, and no other."""
        while pids := [pid for pid in self.pids() if pid != os.getpid()]:
            for pid in pids:
                send(pid, signal.SIGKILL)
            time.sleep(0.1)

    def _write_configuration(self) -> None:
        config = CONFIG.format(**self.names)
        address = f"NodeHostname={self.names['host']} NodeAddr=127.0.0.1"
        for node in NODES:
            size = "CPUs=8 RealMemory=16000 Gres=gpu:2 State=UNKNOWN"
            config += f"NodeName={node} {address} Port={next(self.ports)} {size}\n"
        if self.accounting:
            dbd = "AccountingStorageHost=127.0.0.1\nAccountingStoragePort={dbd_port}\n"
            config += "AccountingStorageType=accounting_storage/slurmdbd\n" + dbd.format(**self.names)
        (self.folder / "slurm.conf").write_text(config)
        (self.folder / "gres.conf").write_text(GRES)
        (self.folder / "cgroup.conf").write_text("CgroupPlugin=cgroup/v1\n")
        (self.folder / "slurmdbd.conf").write_text(DATABASE.format(**self.names))
        (self.folder / "slurmdbd.conf").chmod(0o600)
        for name in ("srun", "squeue", "scontrol", "scancel", "sbatch", "sinfo", "sacct", "sacctmgr"):
            wrapper = self.folder / "bin" / name
            wrapper.write_text(f'#!/bin/sh\nSLURM_CONF={self.folder}/slurm.conf exec /usr/bin/{name} "$@"\n')
            wrapper.chmod(0o755)
        if not self.accounting:
            (self.folder / "bin/sacct").unlink()

    def _start_database(self) -> None:
        data, user = f"{self.folder}/sql", self.names["user"]
        install = ["--no-defaults", f"--datadir={data}", "--auth-root-authentication-method=normal"]
        self.run("mariadb-install-db", *install, f"--user={user}", "--skip-test-db")
        (self.folder / "sql.init").write_text(
            "CREATE USER slurm@'127.0.0.1' IDENTIFIED BY 'slurm';\nGRANT ALL ON *.* TO slurm@'127.0.0.1';\n"
        )
        where = [f"--datadir={data}", f"--socket={self.folder}/sql.sock", f"--pid-file={self.folder}/sql.pid"]
        address = ["--bind-address=127.0.0.1", f"--port={self.names['sql_port']}", "--skip-name-resolve"]
        size = ["--innodb-buffer-pool-size=64M", "--innodb-log-file-size=64M"]
        start = ["--no-defaults", *where, *address, *size, f"--user={user}"]
        self.daemon("mariadbd", *start, f"--init-file={self.folder}/sql.init")


@contextmanager
def cluster(folder: Path, accounting: bool) -> Iterator[Cluster]:
    """A cluster that runs inside, and of which nothing runs afterwards."""
    started = Cluster(folder, accounting)
    try:
        started.start()
        yield started
    finally:
        started.stop()


def free_ports(count: int) -> list[int]:
    """So many ports of loopback that nobody listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("127.0.0.1", 0))
    ports = [int(each.getsockname()[1]) for each in sockets]
    for each in sockets:
        each.close()
    return ports


def wait_until(is_so: Callable[[], bool], seconds: float = 60) -> None:
    """Return once it is so; AssertionError if it is not within the time."""
    end = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < end, f"not within {seconds:g} s: {is_so}"
        time.sleep(0.2)


def environment_of(pid: int) -> Mapping[str, str]:
    """A process's variables as it started."""
    text = Path(f"/proc/{pid}/environ").read_bytes().decode(errors="replace")
    return dict(pair.split("=", 1) for pair in text.split("\0") if "=" in pair)


def command_line(pid: int) -> str:
    """A process's command, nothing where it has ended."""
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    return ""


def of_node(pid: int, node: str) -> bool:
    """Whether a job's process runs on the virtual node."""
    with suppress(OSError):
        return environment_of(pid).get("SLURMD_NODENAME") == node
    return False


def parent_of(pid: int) -> int:
    """The process that started it, 0 where it has ended."""
    with suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    return 0


def send(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process, if it is still there."""
    with suppress(ProcessLookupError):
        os.kill(pid, number)
