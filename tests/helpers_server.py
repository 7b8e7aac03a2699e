"""A server on this machine that fails in every way that servers fail."""

import contextlib
import gzip
import hashlib
import http.server
import re
import threading
import time
from typing import Any

import numpy as np
from helpers import WAIT

from atlasinit.catalogue import cache_folder

BODY = gzip.compress(np.random.default_rng(0).bytes(300_000), mtime=0)
SHA = hashlib.sha256(BODY).hexdigest()


class Server(http.server.ThreadingHTTPServer):
    """Serves `BODY` under any path; `plan` holds what to do wrong in the next requests."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.plan = []
        self.requests = []
        self.ranges = True
        self.delay = 0.0

    @property
    def address(self):
        return f"http://127.0.0.1:{self.server_address[1]}/atlas.txt.gz"


class Handler(http.server.BaseHTTPRequestHandler):
    """One request."""

    server: Any

    def do_GET(self):
        asked = self.headers.get("Range")
        self.server.requests.append(asked)
        fault = self.server.plan.pop(0) if self.server.plan else None
        time.sleep(self.server.delay)
        if callable(fault):
            fault(self)
            return
        if isinstance(fault, int):
            self.send_error(fault)
            return
        start = 0
        if asked and self.server.ranges:
            start = int(re.fullmatch(r"bytes=(\d+)-", asked)[1])
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(BODY) - 1}/{len(BODY)}")
        else:
            self.send_response(200)
        body = BODY[start:]
        if fault == "other file":
            body = gzip.compress(b"not this", mtime=0)
        if fault == "short without length":
            body = body[:1000]
        else:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if fault in ("truncated", "stalled"):
            self.wfile.write(body[: len(body) // 2])
            self.wfile.flush()
            if fault == "stalled":
                time.sleep(3)
            return
        self.wfile.write(body)

    def log_message(self, format, *args):
        del format, args


@contextlib.contextmanager
def serve():
    """Yield a server that runs."""
    running = Server()
    options = {"kwargs": {"poll_interval": 0.01}, "daemon": True}
    thread = threading.Thread(target=running.serve_forever, **options)
    thread.start()
    try:
        yield running
    finally:
        running.shutdown()
        running.server_close()
        thread.join(WAIT)
    assert not thread.is_alive()


def no_traces(target):
    """Nothing but the target lies in its folder, and no half of a file in the cache."""
    beside = [p.name for p in target.parent.iterdir()] if target.parent.exists() else []
    halves = list((cache_folder() / "downloads").glob("*.part"))
    return beside == ([target.name] if target.exists() else []) and not halves
