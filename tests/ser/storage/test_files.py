from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from ser.errors import DamagedError
from ser.storage.files import exclusive, make_folder, read_json, recover, sweep, sweep_below, write_json
from ser.storage.stamps import STAMP


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir() if not path.name.endswith(".lock")}


def writer(content: str, calls: list[str] | None = None):
    def write(folder: Path) -> None:
        if calls is not None:
            calls.append(content)
        (folder / "content").write_text(content)

    return write


def test_a_folder_is_made_once_for_the_same_inputs(tmp_path: Path) -> None:
    calls: list[str] = []
    assert make_folder(tmp_path / "out", {"a": 1, "b": 2}, writer("first", calls))
    assert not make_folder(tmp_path / "out", {"b": 2, "a": 1}, writer("second", calls))
    assert calls == ["first"]


@pytest.mark.parametrize(("made_from", "force"), [({"a": 2}, False), ({"a": 1}, True)])
def test_other_inputs_or_force_make_it_again(tmp_path: Path, made_from: dict[str, int], force: bool) -> None:
    make_folder(tmp_path / "out", {"a": 1}, writer("first"))
    (tmp_path / "out" / "left over").touch()
    assert make_folder(tmp_path / "out", made_from, writer("second"), force=force)
    assert (tmp_path / "out" / "content").read_text() == "second"
    assert names(tmp_path / "out") == {"content", STAMP}


def test_a_failing_writer_leaves_what_was_there(tmp_path: Path) -> None:
    make_folder(tmp_path / "out", {"a": 1}, writer("first"))

    def fail(folder: Path) -> None:
        (folder / "content").write_text("half")
        raise RuntimeError("on purpose")

    with pytest.raises(RuntimeError, match="on purpose"):
        make_folder(tmp_path / "out", {"a": 2}, fail)
    assert (tmp_path / "out" / "content").read_text() == "first"
    assert names(tmp_path) == {"out"}


def test_a_kill_between_the_two_renames_loses_nothing(tmp_path: Path) -> None:
    make_folder(tmp_path / "out", {"a": 1}, writer("first"))
    (tmp_path / "out").rename(tmp_path / ".out.replaced")
    (tmp_path / ".out.partial-dead").mkdir()
    with exclusive(tmp_path / "out"):
        recover(tmp_path / "out")
    assert (tmp_path / "out" / "content").read_text() == "first"
    assert names(tmp_path) == {"out"}


KILLED = """
import os, signal, sys
from pathlib import Path
from ser.storage.files import make_folder

def write(folder):
    (folder / "content").write_text("half")
    if sys.argv[2] == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    print("at it", flush=True)
    sys.stdin.readline()

make_folder(Path(sys.argv[1]), {"a": 1}, write)
"""


def start(target: Path, what: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", KILLED, str(target), what]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def test_what_the_dead_left_is_swept_and_what_somebody_works_at_is_not(tmp_path: Path) -> None:
    with start(tmp_path / "dead", "dies") as dead:
        assert dead.wait(60) == -signal.SIGKILL
    make_folder(tmp_path / "aside", {}, writer("first"))
    with start(tmp_path / "live", "works") as live:
        assert live.stdout is not None
        assert live.stdout.readline() == "at it\n"
        (tmp_path / "aside").rename(tmp_path / ".aside.replaced")
        with start(tmp_path / "dead too", "dies") as dead:
            assert dead.wait(60) == -signal.SIGKILL
        assert {name.partition(".partial-")[0] for name in names(tmp_path)} == {".dead too", ".live", "aside"}
        make_folder(tmp_path / "another", {}, writer("ours"))
        assert {name.partition(".partial-")[0] for name in names(tmp_path)} == {".live", "another", "aside"}
        live.communicate("go on\n", timeout=60)
        assert live.returncode == 0
    assert (tmp_path / "live" / "content").read_text() == "half"
    assert (tmp_path / "aside" / "content").read_text() == "first"
    assert names(tmp_path) == {"live", "another", "aside"}


REPLACING = """
import os, sys
from pathlib import Path
from ser.storage.files import exclusive, recover, replace_folder

def made(folder, what):
    for name in ("a", "b"):
        (folder / name).mkdir(parents=True)
        (folder / name / "file").write_text(what)
    return folder

def said(folder):
    return {(folder / name / "file").read_text() for name in ("a", "b")}

def replace(target, whole, calls):
    def count(frame, event, argument):
        nonlocal calls
        calls -= event in ("call", "c_call")
        if calls < 0:
            os._exit(9)
    with exclusive(target):
        sys.setprofile(count)
        replace_folder(target, whole)
        os._exit(0)

seen, calls, status = [], 0, None
while status != 0:
    folder = Path(sys.argv[1]) / str(calls)
    target, whole = made(folder / "target", "old"), made(folder / ".whole", "new")
    pid = os.fork()
    if not pid:
        replace(target, whole, calls)
    status = os.waitpid(pid, 0)[1]
    with exclusive(target):
        recover(target)
    seen += said(target) if len(said(target)) == 1 else {"mixed"}
    calls += 1
print(" ".join(dict.fromkeys(seen)), calls)
"""


def test_wherever_a_replacement_is_killed_the_old_folder_or_the_new_one_is_there(tmp_path: Path) -> None:
    command = [sys.executable, "-c", REPLACING, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
    *seen, calls = done.stdout.split()
    assert seen == ["old", "new"]
    assert int(calls) > 10


def test_sweeping_leaves_what_is_not_of_our_making(tmp_path: Path) -> None:
    sweep(tmp_path / "nothing")
    for name in (".git", ".x.partial", "x.partial-1", ".y.replaced-by"):
        (tmp_path / name).mkdir()
    (tmp_path / ".z.partial-1").write_text("a file that somebody just writes, without a lock")
    before = names(tmp_path)
    sweep(tmp_path)
    assert names(tmp_path) == before


def test_a_folder_without_a_stamp_is_not_taken_for_whole(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "content").write_text("somebody's")
    assert make_folder(tmp_path / "out", {"a": 1}, writer("ours"))
    assert (tmp_path / "out" / "content").read_text() == "ours"


def test_two_writers_at_once_write_once(tmp_path: Path) -> None:
    calls: list[str] = []
    inside = threading.Event()
    go_on = threading.Event()

    def slow(folder: Path) -> None:
        inside.set()
        assert go_on.wait(10)
        writer("first", calls)(folder)

    first = threading.Thread(target=make_folder, args=(tmp_path / "out", {"a": 1}, slow))
    second = threading.Thread(target=make_folder, args=(tmp_path / "out", {"a": 1}, writer("second", calls)))
    first.start()
    assert inside.wait(10)
    second.start()
    go_on.set()
    first.join(10)
    second.join(10)
    assert calls == ["first"]


def test_json_is_whole_finite_and_names_itself_when_damaged(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    write_json(path, {"ä": 1})
    assert read_json(path) == {"ä": 1}
    with pytest.raises(ValueError, match="Out of range float"):
        write_json(path, {"x": float("nan")})
    assert json.loads(path.read_text(encoding="utf-8")) == {"ä": 1}
    path.write_text("{")
    with pytest.raises(DamagedError, match=r"x\.json is not the JSON"):
        read_json(path)
    with pytest.raises(DamagedError, match=r"y\.json is missing"):
        read_json(tmp_path / "y.json")


def test_what_killed_writers_left_of_other_targets_is_swept(tmp_path: Path) -> None:
    for name in (".dead.partial-abc", ".alive.partial-abc", ".gone.replaced", ".old.json.partial-abc"):
        (tmp_path / name).mkdir() if "json" not in name else (tmp_path / name).write_text("x")
    (tmp_path / ".new.json.partial-abc").write_text("x")
    (tmp_path / ".hidden").mkdir()
    os.utime(tmp_path / ".old.json.partial-abc", (1, 1))
    with exclusive(tmp_path / "alive"):
        make_folder(tmp_path / "out", {}, writer("x"))
        assert names(tmp_path) == {"out", "gone", ".alive.partial-abc", ".new.json.partial-abc", ".hidden"}
    deep = tmp_path / "a" / "b"
    deep.mkdir(parents=True)
    (deep / ".dead.partial-abc").mkdir()
    sweep_below(tmp_path)
    assert not list(deep.glob(".*partial*"))
    assert not (tmp_path / ".alive.partial-abc").exists()
