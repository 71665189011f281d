"""Run the pipeline's steps here as processes, wherever this interpreter lies.

KFP 2.17 writes the interpreter's path into a shell's command as it is: one with a space is torn (docs/upstream.md).
"""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator

from kfp import local
from kfp.local import subprocess_task_handler


@contextlib.contextmanager
def subprocess_runner() -> Iterator[local.SubprocessRunner]:
    """A runner for `kfp.local.init`, in effect until the end of the context. Steps have this one's packages."""
    replaced = subprocess_task_handler.replace_python_executable

    def replace_python_executable(full_command: list[str], new_executable: str) -> list[str]:
        command: list[str] = replaced(full_command, shlex.quote(new_executable))
        return command

    subprocess_task_handler.replace_python_executable = replace_python_executable
    try:
        yield local.SubprocessRunner(use_venv=False)
    finally:
        subprocess_task_handler.replace_python_executable = replaced
