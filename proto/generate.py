"""Generates `ser_api/v1/` from `proto/ser/v1/ser.proto`: messages, stubs, types, and the descriptor with comments.

    python proto/generate.py            # writes
    python proto/generate.py --check    # fails if what is there differs

The Python package is `ser_api`, because `ser` is the library's, which knows no Protobuf.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from google.api import http_pb2
from grpc_tools import protoc

ROOT = Path(__file__).parents[1]
GENERATED = Path("ser_api/v1")
PROTO = GENERATED / "ser.proto"
DESCRIPTOR = GENERATED / "ser.binpb"


def main() -> None:
    """Writes or compares; exits with 1 if the comparison fails."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        _generate(Path(folder))
        made = {path.name: path.read_bytes() for path in (Path(folder) / GENERATED).iterdir()}
    target = ROOT / GENERATED
    if arguments.check:
        there = {path.name: path.read_bytes() for path in target.glob("ser*")}
        different = sorted(name for name in made.keys() | there.keys() if made.get(name) != there.get(name))
        if different:
            sys.exit(f"{', '.join(different)}: not what proto/ser/v1/ser.proto says; run `make proto`")
    else:
        for name, content in made.items():
            (target / name).write_bytes(content)


def _generate(folder: Path) -> None:
    (folder / GENERATED).mkdir(parents=True)
    command = [
        "protoc",
        f"--proto_path={GENERATED}={ROOT / 'proto/ser/v1'}",  # a path in the package's name for the file on disk
        f"--proto_path={files('grpc_tools') / '_proto'}",
        f"--proto_path={Path(http_pb2.__file__).parents[2]}",
        f"--plugin=protoc-gen-mypy={Path(sys.executable).with_name('protoc-gen-mypy')}",
        f"--plugin=protoc-gen-mypy_grpc={Path(sys.executable).with_name('protoc-gen-mypy_grpc')}",
        f"--python_out={folder}",
        f"--grpc_python_out={folder}",
        f"--mypy_out=quiet:{folder}",
        f"--mypy_grpc_out=quiet:{folder}",
        f"--descriptor_set_out={folder / DESCRIPTOR}",
        "--include_source_info",
        str(PROTO),
    ]
    if protoc.main(command) != 0:
        sys.exit(1)


if __name__ == "__main__":
    main()
