"""What each host of a slice runs: its setup, then the training under torchrun in torch_tpu's environment."""

import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from looksam.tpu_settings import Settings

# by this line in a host's log its packages are read
VERSIONS = "looksam-versions "
SHOW_VERSIONS = f"""python - <<'END'
import importlib.metadata, json, platform
packages = {{each.name.lower(): each.version for each in importlib.metadata.distributions()}}
print("{VERSIONS}" + json.dumps({{"python": platform.python_version(), **packages}}, sort_keys=True))
END"""

# A training that another launcher started and left is asked to save and leave. Its workers are in sessions of
# their own: torchrun ends them, and has the time that it takes for that before it is killed.
END_OTHERS = """pid=$(cat ~/.looksam.pid 2>/dev/null || true)
if [ -n "$pid" ] && kill -TERM "$pid" 2>/dev/null; then
    for second in $(seq 45); do
        kill -0 "$pid" 2>/dev/null || break
        sleep 1
    done
    kill -KILL "$pid" 2>/dev/null || true
fi"""

# torch_tpu says NNODES and its like only where there are several hosts; WORLD_SIZE counts the devices of all.
# The environment is kept first, because eval would hide that the command failed.
TRAIN = """cd "$LOOKSAM_MOUNT"
export TORCH_DEVICE_BACKEND_AUTOLOAD=1
environment=$(python -m torch.tpu.distributed)
set -a; eval "$environment"; set +a
: "${{NNODES:=1}}" "${{MASTER_ADDR:=localhost}}" "${{MASTER_PORT:=29500}}"
setsid python -m looksam.elastic \\
    --nnodes "$NNODES" --node-rank "$NODE_RANK" --nproc-per-node $((WORLD_SIZE / NNODES)) \\
    --master-addr "$MASTER_ADDR" --master-port "$MASTER_PORT" \\
    --signals-to-handle SIGTERM,SIGINT,SIGUSR1 --no-python {command} &
echo $! >~/.looksam.pid
code=0
wait $! || code=$?
rm -f ~/.looksam.pid
exit $code"""

LEAVE = 'pid=$(cat ~/.looksam.pid 2>/dev/null) && kill -TERM "$pid"'


def versions_script(settings: Settings, code: Path) -> str:
    """Set the host up, and say what is installed there."""
    return script([_set_up(settings, code), SHOW_VERSIONS])


def train_script(settings: Settings, code: Path, command: Sequence[str]) -> str:
    """Run a command on every device of the host; the script ends with the command's exit code."""
    return script([_set_up(settings, code), END_OTHERS, TRAIN.format(command=shlex.join(command))])


def leave_script() -> str:
    """Ask the host's training to save and leave."""
    return script([LEAVE])


def script(parts: Sequence[str]) -> str:
    """One command for bash, whatever shell a host's user has."""
    return shlex.join(["bash", "-c", "\n".join(["set -euo pipefail", *parts])])


def _set_up(settings: Settings, code: Path) -> str:
    variables: Mapping[str, object] = {
        "LOOKSAM_BUCKET": settings.bucket,
        "LOOKSAM_MOUNT": settings.mount,
        "LOOKSAM_CODE": code,
    }
    exports = [f"export {name}={shlex.quote(str(value))}" for name, value in variables.items()]
    return "\n".join([*exports, settings.setup.read_text()])
