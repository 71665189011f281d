"""Who may import whom: pipelines -> components -> ser <- inference_server, and what stays out of serving."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LINKED = {"components": "ser_components", "pipelines": "ser_pipelines", "inference_server": "ser_inference_server"}
"""Folder of a clone to the one name that it is imported by."""
ALLOWED = {
    "ser": {"ser"},
    "components": {"ser_components", "ser"},
    "pipelines": {"ser_pipelines", "ser_components", "ser"},
    "ser_api": {"ser_api"},
    "ser_client": {"ser_client", "ser_api", "ser"},
    "inference_server": {"ser_inference_server", "ser_api", "ser"},
}
OURS = {*ALLOWED, *LINKED.values(), "benchmarks", "tests"}
LOOPS_THAT_END = {
    "endless.py": "True",  # as it says, until it is killed
    "callers.py": "not seen.stop.is_set()",
    "test_deleting.py": "not over.is_set()",
    "test_guard.py": "pending",
    "test_holding_up.py": "not long.done()",  # a call with a limit of its own
    "test_slice.py": "True",  # an input that takes for ever, which the limit on its processor time ends
    "test_stored_data.py": "file.write(b'\\x00' * 65536)",  # until the disk is full
    "test_stopping.py": "True",  # until a call fails
    "test_streaming.py": "not done",  # a stream's requests, until the call is cancelled
    "test_trouble.py": "True",  # until the disk is full
}
"""What `while` asks, where it waits for nobody or whoever is waited for has a limit."""
FORBIDDEN_IN_SER = {
    "kfp",
    "grpc",
    "google.protobuf",
    "starlette",
    "uvicorn",
    "flask",
    "fastapi",
    "aiohttp",
    "http.server",
}


def imports(path: Path) -> set[tuple[str, str]]:
    """Modules that a file imports, wherever in it that stands, each with a name that it takes from there, or none."""
    found: set[tuple[str, str]] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {(alias.name, "") for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found |= {(node.module, alias.name) for alias in node.names}
    return found


def imported(path: Path) -> set[str]:
    return {module for module, _ in imports(path)}


def sources(package: str) -> list[Path]:
    found = sorted((ROOT / package).rglob("*.py"))
    assert found, f"there is nothing in {package}"
    return found


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_arrows_between_packages_point_one_way(package: str) -> None:
    for path in sources(package):
        ours = {name.partition(".")[0] for name in imported(path)} & OURS
        assert ours <= ALLOWED[package], f"{path.relative_to(ROOT)} imports {ours - ALLOWED[package]}"


def floors() -> dict[str, int]:
    """Room of `ser/` to its floor, counted from below, as docs/architecture.md draws them."""
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    picture = text.partition("## The floors of `ser/`")[2].partition("```text\n")[2].partition("```")[0]
    rows = reversed(picture.splitlines())
    return {room: floor for floor, row in enumerate(rows) for room in row.split()}


def room_of(path: Path) -> str:
    inside = path.relative_to(ROOT / "ser").with_suffix("").parts
    return "ser" if inside == ("__init__",) else inside[0]


def rooms_imported(path: Path) -> set[str]:
    """The rooms that a file imports from."""
    found: set[str] = set()
    for module, name in imports(path):
        top, room, *_ = f"{module}.{name}".split(".")
        if top == "ser":
            is_room = (ROOT / "ser" / room).is_dir() or (ROOT / "ser" / f"{room}.py").is_file()
            found.add(room if room and is_room else "ser")
    return found


def test_a_room_imports_from_the_floors_below_and_from_nothing_else() -> None:
    floor = floors()
    rooms = {room_of(path) for path in sources("ser")}
    assert rooms == floor.keys(), "a room is missing in docs/architecture.md, or has gone"
    for path in sources("ser"):
        room = room_of(path)
        wrong = {other for other in rooms_imported(path) - {room} if floor[other] >= floor[room]}
        assert not wrong, f"{path.relative_to(ROOT)} imports from {wrong}, which is no floor below {room}"


def test_no_module_imports_itself_by_way_of_others() -> None:
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in sources("ser")
    }
    arrows = {}
    for path in sources("ser"):
        name = ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")
        arrows[name] = imported_modules(path, modules) - {name}
    done: set[str] = set()

    def follow(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, " -> ".join((*above[above.index(name) :], name))
        if name not in done:
            for other in sorted(arrows[name]):
                follow(other, (*above, name))
            done.add(name)

    for name in sorted(arrows):
        follow(name, ())


def imported_modules(path: Path, modules: set[str]) -> set[str]:
    found = {full if (full := f"{module}.{name}") in modules else module for module, name in imports(path)}
    return found & modules


def test_ser_imports_by_full_names() -> None:
    for path in sources("ser"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            assert not (isinstance(node, ast.ImportFrom) and node.level), f"{path.relative_to(ROOT)}: a relative import"


def test_ser_knows_no_pipeline_engine_and_no_protocol() -> None:
    for path in sources("ser"):
        tops = imported(path) | {name.partition(".")[0] for name in imported(path)}
        assert not tops & FORBIDDEN_IN_SER, f"{path.relative_to(ROOT)} imports {tops & FORBIDDEN_IN_SER}"


@pytest.mark.parametrize(
    "module",
    [
        "ser.predictor",
        "ser.request",
        "ser.cli.main",
        "ser.dataset",
        "ser_pipelines.cli",
        "ser_inference_server.worker",
        "ser_inference_server.supervisor",
    ],
)
def test_light_modules_import_nothing_heavy(module: str) -> None:
    heavy = ("tensorflow", "keras", "librosa", "kfp", "matplotlib", "sklearn", "numba")
    code = f"import sys, {module}; print([name for name in {heavy!r} if name in sys.modules])"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_a_request_is_checked_where_there_is_nothing_to_compute_with() -> None:
    missing = ("scipy", "tensorflow", "keras", "librosa", "sklearn")
    body = {"data_path": "d", "remote_url": "u", "model_save_path": "m", "model_type": "EnsembleClassifier"}
    code = (
        f"import sys; sys.modules.update(dict.fromkeys({missing!r}));"
        f"from ser.config import parse; from ser.request import TrainRequest; parse(TrainRequest, {body!r})"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_every_extractor_model_type_and_corpus_is_one_file() -> None:
    from ser.corpora import CORPORA
    from ser.features import EXTRACTORS
    from ser.models import MODEL_TYPES

    for registry in (CORPORA, EXTRACTORS, MODEL_TYPES):
        modules = [registry.get(name).__module__ for name in registry.names()]
        assert len(modules) == len(set(modules)) > 0


def test_no_test_waits_for_ever() -> None:
    for path in sources("tests"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not isinstance(node, ast.While) or "time.monotonic() < " in ast.unparse(node):
                continue
            asks = ast.unparse(node.test)
            ends = asks == LOOPS_THAT_END.get(path.name) or asks.startswith("frame is not None")
            assert ends, f"{path.relative_to(ROOT)}: while {asks}: a loop that waits has an end: for _ in tries()"
