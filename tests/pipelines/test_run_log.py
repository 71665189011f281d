"""The log of a local run, written by KFP's own contexts from threads at once, as in a loop."""

from __future__ import annotations

import builtins
import io
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from kfp.local import logging_utils

from ser_pipelines.run_log import recording

SECONDS = 30


def test_steps_at_once_are_told_apart_and_leave_the_process_as_it_was(tmp_path: Path) -> None:
    before = builtins.print, logging.getLogger().handlers[:], logging.getLogger().level
    both, first_is_over = threading.Barrier(2), threading.Event()
    console = io.StringIO()

    def first() -> None:
        with logging_utils.local_logger_context(), logging_utils.indented_print():
            print("first half", end="")
            both.wait(SECONDS)
            both.wait(SECONDS)
            print(" second half")
        first_is_over.set()

    def second() -> None:
        both.wait(SECONDS)
        with logging_utils.local_logger_context():
            logging.info("Executing task 'train-fold'")
            with logging_utils.indented_print():
                print("between")
                both.wait(SECONDS)
                assert first_is_over.wait(SECONDS)
                print("still told")
                print("ser: the fold failed")
            logging.info("Task 'train-fold' finished with status FAILURE")

    with recording(tmp_path / "run.log", console) as log, ThreadPoolExecutor(2) as pool:
        ends = [pool.submit(first), pool.submit(second)]
    for end in ends:
        end.result(SECONDS)
    assert log.error == "the fold failed"
    shown = console.getvalue().splitlines()
    assert shown == ["train fold:", "  between", "  first half second half", "  still told"]
    written = (tmp_path / "run.log").read_text().splitlines()
    assert [line for line in written if "INFO" not in line] == [
        "    between",
        "    first half second half",
        "    still told",
        "    ser: the fold failed",
    ]
    assert "Executing task 'train-fold'" in written[0]
    assert (builtins.print, logging.getLogger().handlers, logging.getLogger().level) == before


def test_what_kfp_says_of_itself_stays_in_the_file(tmp_path: Path) -> None:
    console = io.StringIO()
    with recording(tmp_path / "deep" / "run.log", console) as log, logging_utils.indented_print():
        print('[KFP Executor 2026-01-01 INFO]: Got executor_input:\n{\n    "inputs": {\n    }\n}\n')
        print("[KFP Executor 2026-01-01 INFO]: Wrote executor output file")
        print("\x1b[32mEvaluate\x1b[0m     30/30 clips")
    assert console.getvalue() == "  Evaluate     30/30 clips\n"
    assert log.error is None
    assert '"inputs"' in (tmp_path / "deep" / "run.log").read_text()
