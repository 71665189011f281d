"""A local run's results follow from what a server has now, not from its address."""

from __future__ import annotations

import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from ser_pipelines import freshness


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nobody reads it."""


def test_a_zip_that_changed_behind_its_address_is_another_state(tmp_path: Path) -> None:
    (tmp_path / "corpus.zip").write_bytes(b"forty clips")
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(tmp_path))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/corpus.zip"
        before = freshness.state(url)
        assert freshness.state(url) == before
        (tmp_path / "corpus.zip").write_bytes(b"seventy clips")
        assert freshness.state(url) != before
        server.shutdown()
    assert freshness.state(url)  # nobody answers: the download of the run tells of it, or goes on with what is there
