"""What native libraries write before any setting can stop them: chatter is left out, all else is told."""

from __future__ import annotations

import os

import pytest

from ser.native_log import without_chatter

CHATTER = b"""\
WARNING: All log messages before absl::InitializeLog() is called are written to STDERR
I0000 00:00:1790.000000 1 cpu_feature_guard.cc:227] This TensorFlow binary is optimized to use what there is
W0000 00:00:1790.000000 1 parser.cc:1] Ignoring Value for an option
E0000 00:00:1790.000000 1 cuda_platform.cc:52] failed call to cuInit: INTERNAL: CUDA error
=== Source Location Trace: ===
external/xla/xla/stream_executor/cuda/cuda_status.cc:50
INFO: Created TensorFlow Lite XNNPACK delegate for CPU.
"""
WORDS = b"""\
E0000 00:00:1790.000000 1 memory.cc:1] out of memory
W0000 00:00:1790.000000 1 graph.cc:1] a node is not a number
external/xla/xla/service/compiler.cc:7
a last line without an end"""


def divide(number: int, *, by: int) -> float:
    return number / by


def test_chatter_is_left_out_and_all_else_is_told(capfd: pytest.CaptureFixture[str]) -> None:
    with without_chatter():
        os.write(2, CHATTER + WORDS)
    assert capfd.readouterr().err == WORDS.decode()
    with pytest.raises(ZeroDivisionError), without_chatter():
        divide(os.write(2, CHATTER + WORDS), by=0)
    assert capfd.readouterr().err == WORDS.decode()
    os.write(2, CHATTER)
    assert capfd.readouterr().err == CHATTER.decode()
