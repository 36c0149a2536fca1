"""A server of a folder by HTTP on this machine, that cuts, damages and refuses as it is told."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import ThreadingTCPServer
from threading import Thread


@dataclass
class Server:
    """What a server does. requests: what it was asked for, as (name, first byte); sent: bytes of bodies.

    cuts: by name, after how many bytes of each of the next bodies the connection is closed. flipped: bytes
    of a file that it sends wrong. answers: codes that it gives instead of a file.
    """

    folder: Path
    url: str = ""
    knows_ranges: bool = True
    requests: list[tuple[str, int]] = field(default_factory=list)
    sent: int = 0
    cuts: dict[str, list[int]] = field(default_factory=dict)
    flipped: dict[str, int] = field(default_factory=dict)
    answers: dict[str, list[int]] = field(default_factory=dict)

    def content(self, name: str) -> bytes:
        """What it gives for a file."""
        content = bytearray((self.folder / name).read_bytes())
        if name in self.flipped:
            content[self.flipped[name]] ^= 255
        return bytes(content)


@contextmanager
def served(folder: Path, host: str = "127.0.0.1") -> Iterator[Server]:
    """A server of the folder, which ends with the body."""
    server = Server(folder)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            answer(self, server)

        def log_message(self, *_: object) -> None:
            pass

    # not an HTTPServer, which asks for the machine's name, for seconds where there is no network
    with ThreadingTCPServer((host, 0), Handler) as listening:
        listening.daemon_threads = True
        server.url = f"http://{host}:{listening.server_address[1]}/shards"
        thread = Thread(target=listening.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            listening.shutdown()
            thread.join()


def answer(handler: BaseHTTPRequestHandler, server: Server) -> None:
    """Answer one request."""
    name = handler.path.partition("?")[0].removeprefix("/shards/")
    codes = server.answers.get(name, [])
    if codes or not (server.folder / name).is_file():
        handler.send_error(codes.pop(0) if codes else 404)
        return
    content = server.content(name)
    asked = re.fullmatch(r"bytes=(\d+)-(\d*)", handler.headers.get("Range", ""))
    first, last = 0, len(content)
    if asked and server.knows_ranges:
        first, last = int(asked[1]), min(len(content), int(asked[2] or len(content) - 1) + 1)
    server.requests.append((name, first))
    if first >= len(content):
        handler.send_error(416)
        return
    handler.send_response(206 if asked and server.knows_ranges else 200)
    handler.send_header("Content-Length", str(last - first))
    handler.end_headers()
    cuts = server.cuts.get(name, [])
    body = content[first:last][: cuts.pop(0) if cuts else None]
    try:
        handler.wfile.write(body)
        server.sent += len(body)
    except ConnectionError:
        pass  # whoever asked has enough
