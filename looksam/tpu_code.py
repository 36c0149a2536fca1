"""The package as an archive on the bucket, for the hosts to install: what the coordinator runs, they run."""

import hashlib
import io
import tarfile
from pathlib import Path

from looksam.files import replace_file

FILES = ("pyproject.toml", "README.md", "LICENSE", "looksam/*.py", "looksam/py.typed")


def shared_code(mount: Path, root: Path = Path()) -> Path:
    """An archive of the checkout's package below the mount, whose name is its content's digest."""
    archive = packed(root)
    path = mount / "code" / f"looksam-{hashlib.sha256(archive).hexdigest()[:12]}.tar"
    if not path.exists():
        replace_file(path, lambda temporary: temporary.write_bytes(archive))
    return path


def packed(root: Path) -> bytes:
    """A tar of the package; of equal files always the same bytes."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for path in sorted(found for pattern in FILES for found in root.glob(pattern)):
            content = path.read_bytes()
            entry = tarfile.TarInfo(f"looksam/{path.relative_to(root)}")
            entry.size = len(content)
            tar.addfile(entry, io.BytesIO(content))
    return packed.getvalue()
