from __future__ import annotations

import socket
import sys

import pytest

from inference_server.ports import PortError, listen, refuse_newcomers


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux filters the packets of a socket")
def test_newcomers_are_kept_out_and_those_who_wait_are_not_reset() -> None:
    listener = listen("http_port", "127.0.0.1", 0)
    address = listener.getsockname()
    with socket.create_connection(address, timeout=10) as waiting:
        refuse_newcomers(listener)
        with pytest.raises(TimeoutError):
            socket.create_connection(address, timeout=0.3)
        waiting.sendall(b"hello")
        accepted, _ = listener.accept()
        listener.close()
        with accepted:
            assert accepted.recv(10) == b"hello"
            accepted.sendall(b"bye")
            assert waiting.recv(10) == b"bye"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(address, timeout=10)


def test_a_port_that_is_taken_is_named_by_its_setting() -> None:
    with listen("http_port", "127.0.0.1", 0) as taken, pytest.raises(PortError, match=r"http_port.*SER_HTTP_PORT"):
        listen("http_port", "127.0.0.1", taken.getsockname()[1])
