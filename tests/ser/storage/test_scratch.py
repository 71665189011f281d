from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ser.storage.scratch import scratch_folder, sweep_scratch

OWNER = """
import os, sys, time
from pathlib import Path
from ser.storage.scratch import scratch_folder
with scratch_folder(Path(sys.argv[1])) as folder:
    (folder / "__autograph_generated_filex.py").write_text("left")
    print(folder, flush=True)
    time.sleep(600)
"""

TRAINING = """
import os, signal, sys, tempfile
from ser.networks.tensorflow_runtime import import_tensorflow
tf = import_tensorflow()

@tf.function
def step(x):
    if x > 0:
        x = x + 1
    return x

step(tf.constant(1))
print(len([name for name in os.listdir(tempfile.gettempdir()) if "autograph" in name]))
sys.stdout.flush()
os.kill(os.getpid(), signal.SIGKILL)
"""


def start_owner(root: Path) -> tuple[subprocess.Popen[str], Path]:
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(root)], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    return owner, Path(owner.stdout.readline().strip())


def test_a_folder_is_its_owner_s_alone(tmp_path: Path) -> None:
    with scratch_folder(tmp_path) as folder:
        assert folder.stat().st_mode & 0o777 == 0o700


def test_what_a_dead_owner_left_is_removed_and_what_a_living_one_has_is_not(tmp_path: Path) -> None:
    (tmp_path / "somebody's").mkdir()
    dead, left = start_owner(tmp_path)
    living, kept = start_owner(tmp_path)
    try:
        dead.kill()
        dead.wait()
        assert left.is_dir()
        with scratch_folder(tmp_path) as own:
            assert own.is_dir()
            assert not left.exists()
            assert kept.is_dir()
        assert not own.exists()
    finally:
        living.kill()
        living.wait()
    sweep_scratch(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["somebody's"]


def test_a_folder_is_removed_when_its_block_fails(tmp_path: Path) -> None:
    with pytest.raises(KeyError), scratch_folder(tmp_path):
        raise KeyError
    assert not list(tmp_path.iterdir())


def test_many_at_once_never_take_each_others(tmp_path: Path) -> None:
    def use(_: int) -> None:
        for _ in range(50):
            with scratch_folder(tmp_path) as folder:
                (folder / "mine").write_text("x")
                sweep_scratch(tmp_path)
                assert (folder / "mine").read_text() == "x"

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(use, range(8)))
    assert not list(tmp_path.iterdir())


def test_a_killed_training_leaves_no_temporary_files_to_the_next(tmp_path: Path) -> None:
    (tmp_path / "tmp").mkdir()
    (tmp_path / "training.py").write_text(TRAINING)  # TensorFlow wants to read the source
    killed = subprocess.run(
        [sys.executable, str(tmp_path / "training.py")],
        env={**os.environ, "TMPDIR": str(tmp_path / "tmp")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert killed.returncode == -9, killed.stderr
    assert int(killed.stdout) > 0
    assert list((tmp_path / "tmp").iterdir())
    sweep_scratch(tmp_path / "tmp")
    assert not list((tmp_path / "tmp").iterdir())
