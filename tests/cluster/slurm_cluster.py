"""A real Slurm of three virtual nodes on this machine, as an ordinary process tree in a folder of its own."""

import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from getpass import getuser
from pathlib import Path

from processes import command_line, free_ports, marked, of_node, parent_of, send, wait_until
from slurm_configuration import NODES, write_configuration


class Cluster:
    """The cluster, running. environment: what a process must have to be its user."""

    def __init__(self, folder: Path, accounting: bool) -> None:
        self.folder, self.accounting = folder, accounting
        *self.node_ports, port, dbd_port, sql_port = free_ports(len(NODES) + 3)
        self.names = {
            "folder": str(folder),
            "user": getuser(),
            "host": socket.gethostname().split(".")[0],
            "port": str(port),
            "dbd_port": str(dbd_port),
            "sql_port": str(sql_port),
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
        for name in ("state", *(f"spool/{node}" for node in NODES)):
            (self.folder / name).mkdir(parents=True)
        write_configuration(self.folder, self.names, self.node_ports, self.accounting)
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
            before: set[str] = set()
            while not ended.wait(3):
                waiting = self.run("squeue", "-h", "-t", "PENDING", "-o", "%i %r").splitlines()
                held = {line.split()[0] for line in waiting if line.endswith("BeginTime")}
                # only those that were held a look ago: until its last start is cleared away, a job fails
                for job in held & before:
                    self.tells("scontrol", "update", f"jobid={job}", "StartTime=now")
                before = held

        releaser = threading.Thread(target=release, daemon=True)
        releaser.start()
        try:
            yield
        finally:
            ended.set()
            releaser.join()

    def fail_node(self, node: str) -> None:
        """End all processes of a node at once, as a power cut would, and let Slurm notice."""
        pids = self.pids()
        lost = {pid for pid in pids if f"-N\0{node}\0" in command_line(pid) or of_node(pid, node)}
        # the daemons of its steps too, which are told by what they started
        while parents := {parent_of(pid) for pid in lost} & pids - lost:
            lost |= parents
        # none may live to tell of another's end
        for number in (signal.SIGSTOP, signal.SIGKILL):
            for pid in lost:
                send(pid, number)
        self.run("scontrol", "update", f"nodename={node}", "state=down", "reason=test")

    def pids(self) -> set[int]:
        """Every process that belongs to the cluster, its jobs' included: they inherited its mark."""
        return marked(f"LOOKSAM_TEST_CLUSTER={self.folder}")

    def stop(self) -> None:
        """End every process of the cluster, and no other."""
        while pids := [pid for pid in self.pids() if pid != os.getpid()]:
            for pid in pids:
                send(pid, signal.SIGKILL)
            time.sleep(0.1)

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
