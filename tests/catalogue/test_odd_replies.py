"""What servers, and those between, send in the place of a file."""

import contextlib
import errno
import shutil
import signal
import socket
import struct
import time
from types import SimpleNamespace

import pytest
from helpers_server import BODY, SHA, no_traces, serve

from atlasinit.catalogue import download
from atlasinit.catalogue.transfer import downloading
from atlasinit.errors import AtlasUnavailableError

LENGTH = {"Content_Length": len(BODY)}
LAST = len(BODY) - 1
PAGE = b"<!DOCTYPE html>\n<html><body>Please log in</body></html>\n"
QUICK = {"tries": 3, "pause": 0.01, "timeout": 5.0}


@pytest.fixture
def server(monkeypatch, tmp_path):
    monkeypatch.setenv("ATLASINIT_CACHE", str(tmp_path / "cache"))
    with serve() as running:
        yield running


def answer(handler, status, body=b"", **headers):
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), str(value))
    handler.end_headers()
    handler.wfile.write(body)


def always(status, body=b"", **headers):
    return lambda handler: answer(handler, status, body, **headers)


def part(stated, body=BODY):
    return always(206, body, Content_Length=len(body), Content_Range=stated)


def raw(*pieces, pause=0.0, number=1):
    """Send bytes as they are, again and again as often as told."""

    def send(handler):
        handler.close_connection = True
        with contextlib.suppress(OSError):  # of a client that has enough
            for piece in pieces * number:
                handler.wfile.write(piece)
                handler.wfile.flush()
                time.sleep(pause)

    return send


def redirect(address):
    return always(302, Location=address, Content_Length=0)


def reset(handler, sent):
    """Send a share of the file, and reset the connection."""
    handler.send_response(200)
    handler.send_header("Content-Length", str(len(BODY)))
    handler.end_headers()
    handler.wfile.write(BODY[: round(sent * len(BODY))])
    handler.wfile.flush()
    # To linger for no time is to reset.
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
REPLIES = {
    "a part from the beginning": (part(f"bytes 0-{LAST}/{len(BODY)}"), "instead of what was asked"),
    "a part without a range": (always(206, BODY[5:], Content_Length=LAST - 4), "sent 'a part'"),
    "a part of another place": (part(f"bytes 7-{LAST}/{len(BODY)}", BODY[7:]), "'bytes 7-"),
    "a part in other words": (part("items 0-5/6"), "'items 0-5/6'"),
    "several parts": (part("multipart/byteranges"), "multipart"),
    "a part that ends before it begins": (part("bytes 5-4/*"), "bytes 5-4"),
    "a length that is no number": (always(200, BODY, Content_Length="abc"), "states 'abc' as the"),
    "a negative length": (always(200, BODY, Content_Length="-5"), "states '-5' as the length"),
    "a length too small": (always(200, BODY, Content_Length=1000), "what came is not the file"),
    "a length too large": (always(200, BODY, Content_Length=len(BODY) + 9), "IncompleteRead"),
    "a length of gigabytes": (always(200, b"x", Content_Length=10**15), "bytes or more, where"),
    "brotli": (always(200, BODY, **LENGTH, Content_Encoding="br"), "encoding 'br'"),
    "deflate": (always(200, BODY, **LENGTH, Content_Encoding="deflate"), "encoding 'deflate'"),
    "two encodings": (always(200, BODY, **LENGTH, Content_Encoding="gzip, br"), "'gzip, br'"),
    "a chunk without a size": (raw(CHUNKED, b"zz\r\nabc\r\n"), "ProtocolError"),
    "a chunk of negative size": (raw(CHUNKED, b"-5\r\nabc\r\n"), "ProtocolError|what came"),
    "a chunk that ends": (raw(CHUNKED, b"fff\r\nabc"), "ProtocolError"),
    "chunks that end": (raw(CHUNKED, b"3\r\nabc\r\n"), "ProtocolError"),
    "an address that is none": (redirect("http://[::1"), "ValueError|InvalidURL|LocationParse"),
    "an address of no host": (redirect("http://.x/"), "InvalidURL|ConnectionError|LocationParse"),
    "a file of this machine": (redirect("file:///etc/passwd"), "InvalidSchema"),
    "another scheme": (redirect("ftp://127.0.0.1/atlas.txt.gz"), "InvalidSchema"),
    "a loop": (redirect("/atlas.txt.gz"), "TooManyRedirects"),
    "a redirection to nowhere": (always(302, BODY, **LENGTH), "answered 302 Found"),
    "choices": (always(300, BODY, **LENGTH), "answered 300 Multiple Choices"),
    "no content": (always(204), "answered 204 No Content"),
    "nothing new": (always(304), "answered 304 Not Modified"),
    "who are you": (always(401, PAGE, WWW_Authenticate="Basic"), "answered 401 Unauthorized"),
    "not for you": (always(403, PAGE), "answered 403 Forbidden"),
    "not here": (always(404, PAGE), "answered 404 Not Found"),
    "not any more": (always(410), "answered 410 Gone"),
    "416": (always(416, Content_Length=0), "answered 416|shorter than what was fetched"),
    "no such status": (always(999, BODY, **LENGTH), "answered 999"),
    "too many requests": (always(429, Retry_After="0"), "answered 429 .*after 3 tries"),
    "not now": (always(503, Retry_After="Fri, 31 Dec 1999 23:59:59 GMT"), "answered 503 .*3 tries"),
    "a page": (always(200, PAGE, Content_Length=len(PAGE)), "what came is not the file"),
    "nothing": (always(200, Content_Length=0), "what came is not the file"),
    "nothing, without a length": (always(200), "what came is not the file"),
    "not HTTP": (raw(b"220 FTP ready\r\n"), "ConnectionError"),
    "the end": (raw(), "ConnectionError"),
    "headers without an end": (raw(b"HTTP/1.1 200 OK\r\n", b"X: y\r\n" * 500), "ConnectionError"),
    "a header too long": (raw(b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000), "ConnectionError"),
}


FEW = ("a part from the beginning", "brotli", "a chunk without a size", "a redirection to nowhere")
CASES = [
    pytest.param(reply, half, marks=[] if reply in FEW and not half else pytest.mark.sweep)
    for reply in REPLIES
    for half in (False, True)
]


@pytest.mark.parametrize(("reply", "after_half"), CASES)
def test_odd_replies(server, tmp_path, reply, after_half):
    target = tmp_path / "home" / "atlas.txt.gz"
    odd, told = REPLIES[reply]
    # A loop takes 30 requests a try.
    server.plan = ["truncated"] * after_half + [odd] * 100
    with pytest.raises(AtlasUnavailableError, match=told) as raised:
        download(server.address, target, sha256=SHA if after_half else None, **QUICK)
    assert str(raised.value).startswith(server.address)
    assert not list(tmp_path.rglob("atlas*"))
    server.plan = []
    assert download(server.address, target, sha256=SHA, **QUICK).read_bytes() == BODY
    assert no_traces(target)


@pytest.mark.parametrize(
    "name", ["x.tsv", "x.csv", "x.txt", "x.json", "x.nii.gz", "x.npz", "x.gii"]
)
def test_a_page_in_the_place_of_a_file(server, tmp_path, name):
    server.plan = [always(200, PAGE, Content_Type="text/html")] * 9
    with pytest.raises(AtlasUnavailableError, match="what came is not the file") as told:
        download(server.address, tmp_path / name, **QUICK)
    assert ("a page of the web" in str(told.value)) == (name not in ("x.nii.gz", "x.npz"))
    assert not list(tmp_path.rglob("x.*"))


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "identity", ""])
def test_gzip_is_kept_as_it_is(server, tmp_path, encoding):
    server.plan = [always(200, BODY, **LENGTH, Content_Encoding=encoding)] * 9
    assert download(server.address, tmp_path / "x.txt.gz", **QUICK).read_bytes() == BODY
    if "gzip" in encoding:
        with pytest.raises(AtlasUnavailableError, match="gzip', which was not asked for"):
            download(server.address, tmp_path / "x.tsv", **QUICK)


@pytest.mark.parametrize("stated", ["", "chunked"])
def test_a_file_that_comes_byte_by_byte(server, tmp_path, stated):
    head = CHUNKED if stated else b"HTTP/1.1 200 OK\r\n\r\n"
    drops = (b"1\r\n", b"x\r\n") if stated else (b"x",)
    drip = raw(*drops, pause=0.02, number=200)
    server.plan = [lambda handler: (raw(head)(handler), drip(handler))] * 9
    begun = time.monotonic()
    with pytest.raises(
        AtlasUnavailableError, match=r"only \d+ bytes came in \d+ s .*after 2 tries"
    ):
        download(server.address, tmp_path / "x.txt.gz", tries=2, pause=0.01, timeout=0.2)
    assert time.monotonic() - begun < 30
    assert not list(tmp_path.rglob("x.*"))


def test_a_connection_that_is_reset_at_each_tenth(server, tmp_path):
    for tenth in range(10):
        server.plan = [lambda handler, sent=tenth / 10: reset(handler, sent)]
        target = tmp_path / str(tenth) / "x.txt.gz"
        assert download(server.address, target, sha256=SHA, **QUICK).read_bytes() == BODY
        assert no_traces(target)
    assert len(server.requests) == 20


@pytest.mark.parametrize(
    ("stated", "waited"), [("2", 2), ("0", 0.01), ("9999999", 5), ("soon", 0.01), ("-1", 0.01)]
)
def test_a_server_is_left_alone_as_long_as_it_asks(server, tmp_path, monkeypatch, stated, waited):
    slept = []
    monkeypatch.setattr(downloading, "time", SimpleNamespace(sleep=slept.append))
    server.plan = [always(503, Retry_After=stated)]
    assert download(server.address, tmp_path / "x.txt.gz", **QUICK).read_bytes() == BODY
    assert slept == [waited]


@pytest.mark.skipif(not hasattr(signal, "SIGXFSZ"), reason="this system bounds no file sizes")
@pytest.mark.parametrize("sha256", [SHA, None])
def test_a_full_disk_is_told_with_the_file(server, tmp_path, sha256):
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(
            AtlasUnavailableError, match=r"\.part: cannot be written \(.*ATLASINIT_"
        ):
            download(server.address, tmp_path / "home" / "x.txt.gz", sha256=sha256, **QUICK)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, ignored)
    # Its room is given back.
    assert no_traces(tmp_path / "home" / "x.txt.gz")
    target = download(server.address, tmp_path / "home" / "x.txt.gz", sha256=sha256)
    assert target.read_bytes() == BODY


def test_a_full_disk_that_it_is_moved_to(server, tmp_path, monkeypatch):
    def full(source, target):
        shutil.copy(source, target)
        raise OSError(errno.ENOSPC, "No space left on device", str(source), None, str(target))

    target = tmp_path / "home" / "x.txt.gz"
    with monkeypatch.context() as patched:
        patched.setattr("shutil.move", full)
        with pytest.raises(
            AtlasUnavailableError, match=r"home/x\.txt\.gz: cannot be written \(No sp"
        ):
            download(server.address, target, **QUICK)
    assert no_traces(target)
    assert download(server.address, target, **QUICK).read_bytes() == BODY
