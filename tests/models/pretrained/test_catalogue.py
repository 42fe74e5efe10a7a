"""Downloads from a server in this process, and every way in which they go wrong."""

import contextlib
import hashlib
import http.server
import re
import socket
import threading

import pytest

from rgb2ir_jax.models.pretrained import catalogue
from rgb2ir_jax.models.pretrained.catalogue import PUBLISHED, Published, fetch, published_file

CONTENT = bytes(range(256)) * 4000
DIGEST = hashlib.sha256(CONTENT).hexdigest()[:8]
FILE = Published(f"resnet18-{DIGEST}.pth", round(len(CONTENT) / 2**20, 3))


class Server(http.server.BaseHTTPRequestHandler):
    """Answers by path; `requests` counts."""

    requests = 0
    length: int | None = len(CONTENT)
    content = CONTENT

    def do_GET(self):
        type(self).requests += 1
        if "missing" in self.path:
            self.send_error(404)
            return
        self.send_response(200)
        if self.length is not None:
            self.send_header("Content-Length", str(self.length))
        self.end_headers()
        with contextlib.suppress(ConnectionError):
            self.wfile.write(self.content)

    def log_message(self, *arguments):
        pass


@pytest.fixture
def serve():
    """(content, announced length) -> (the handler's class, base URL)."""
    servers = []

    def start(content=CONTENT, length=-1):
        announced = len(content) if length == -1 else length
        handler = type("Handler", (Server,), {"content": content, "length": announced})
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return handler, f"http://127.0.0.1:{server.server_port}/models/"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


def test_a_file_is_downloaded_once(tmp_path, serve) -> None:
    handler, url = serve()
    cache = tmp_path / "new" / "cache"
    path = fetch(FILE, cache=cache, base_url=url)
    assert path == cache / FILE.file
    assert path.read_bytes() == CONTENT
    assert fetch(FILE, cache=cache, base_url=url) == path
    assert handler.requests == 1
    assert list(cache.iterdir()) == [path]


def test_without_an_announced_length(tmp_path, serve) -> None:
    _, url = serve(length=None)
    assert fetch(FILE, cache=tmp_path, base_url=url).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("served", "message"),
    [
        ({"content": CONTENT[:-1] + b"!"}, f"SHA-256 that begins with .*, expected {DIGEST}"),
        ({"content": CONTENT[:-5000]}, "MiB, expected 0.977"),
        ({"content": CONTENT[:-5000], "length": len(CONTENT)}, "ended after|cannot be had"),
        ({"content": CONTENT * 20}, "goes on after 1.977 MiB, more than was published"),
        ({"content": b""}, "has 0.000 MiB"),
    ],
)
def test_what_is_not_the_file_is_not_kept(tmp_path, serve, served, message) -> None:
    _, url = serve(**served)
    with pytest.raises(ValueError, match=message) as error:
        fetch(FILE, cache=tmp_path, base_url=url)
    assert f"put the file at {tmp_path / FILE.file}" in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_an_endless_answer_ends(tmp_path, serve) -> None:
    _, url = serve(content=CONTENT * 200, length=None)
    with pytest.raises(ValueError, match=r"goes on after 1\.977 MiB"):
        fetch(FILE, cache=tmp_path, base_url=url)


def test_a_file_that_the_server_does_not_have(tmp_path, serve) -> None:
    _, url = serve()
    with pytest.raises(ValueError, match=r"cannot be had \(HTTP 404, Not Found\)"):
        fetch(Published("missing-12345678.pth", 1.0), cache=tmp_path, base_url=url)


def test_without_network_it_is_said_what_to_do(tmp_path) -> None:
    with socket.socket() as free:  # Bound and not listening: the connection is refused.
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}/"
        expected = (
            rf"{re.escape(url + FILE.file)} cannot be had \(.*refused\)\. Download .* put the file at "
            rf"{re.escape(str(tmp_path / FILE.file))}, and start again"
        )
        with pytest.raises(ValueError, match=expected):
            fetch(FILE, cache=tmp_path, base_url=url)
    assert list(tmp_path.iterdir()) == []
    # What was put there by hand is taken, without a connection.
    (tmp_path / FILE.file).write_bytes(CONTENT)
    assert fetch(FILE, cache=tmp_path, base_url=url) == tmp_path / FILE.file


def test_a_spoilt_file_in_the_cache_is_named(tmp_path) -> None:
    (tmp_path / FILE.file).write_bytes(CONTENT[:-1] + b"!")
    with pytest.raises(
        ValueError, match=r"SHA-256 that begins .*; delete it, then it is downloaded"
    ):
        fetch(FILE, cache=tmp_path)


def test_the_cache_follows_the_environment(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("RGB2IR_CACHE", str(tmp_path / "here"))
    assert catalogue.default_cache() == tmp_path / "here"
    monkeypatch.delenv("RGB2IR_CACHE")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert catalogue.default_cache() == tmp_path / ".cache" / "rgb2ir_jax"


def test_names_and_depths() -> None:
    assert published_file("imagenet1k_v1", 18).file == "resnet18-f37072fd.pth"
    assert published_file("IMAGENET1K_V2", 50).digest == "11ad3fa6"
    with pytest.raises(ValueError, match=r"published for depth 50, 101, not for 34.*imagenet1k_v1"):
        published_file("imagenet1k_v2", 34)
    # float32 parameters, and counters, names and statistics, at most half a MiB in all.
    parameters = {18: 11_689_512, 34: 21_797_672, 50: 25_557_032, 101: 44_549_160}
    for files in PUBLISHED.values():
        for depth, published in files.items():
            assert re.fullmatch(rf"resnet{depth}-[0-9a-f]{{8}}\.pth", published.file)
            assert 0 < published.mebibytes - parameters[depth] * 4 / 2**20 < 0.6
