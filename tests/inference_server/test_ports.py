from __future__ import annotations

import os
import socket
import sys

import pytest

from ser_inference_server.ports import PortError, listen, refuse_newcomers


def test_newcomers_are_kept_out_and_those_who_wait_are_not_reset() -> None:
    listener = listen("http_port", "127.0.0.1", 0)
    address = listener.getsockname()
    with socket.create_connection(address, timeout=10) as waiting:
        if not refuse_newcomers(listener):
            assert sys.platform != "linux" or os.geteuid()
            pytest.skip("this system filters no packets of a socket, or not for this user")
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
