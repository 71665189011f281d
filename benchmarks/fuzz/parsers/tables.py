"""Texts inside a corpus, or instead of one: corpora files, and tables that describe recordings."""

from __future__ import annotations

import json
import random
import shutil

from benchmarks.fuzz.mutation import mutate
from benchmarks.fuzz.parser import Parser, Surroundings, expect
from benchmarks.fuzz.trees import mutate_tree
from ser.corpora.corpora_file import read_members
from ser.corpora.schemes.base import recognise
from ser.storage.access import Access

_CORPORA = {
    "corpora": [
        {"name": "emodb", "url": "emodb.zip"},
        {"name": "ravdess", "url": "https://192.0.2.1/ravdess.zip", "labels": {"calm": "neutral", "surprise": None}},
    ]
}
_YAML = (
    b"corpora:\n  - {name: emodb, url: emodb.zip}\n  - name: b\n    url: 'https://192.0.2.1/b.zip'\n"
    b"    labels: {calm: neutral, surprise: null}\n",
    b"%YAML 1.1\n---\ncorpora: !!python/object/apply:os.system ['x']\n", b"a: &a [x]\nb: *a\n", b"? [a]\n: b\n",
    b"corpora: 2001-01-01\n", b"corpora: .nan\n", b"corpora: 0x1F\n<<: {a: 1}\n", b"- " * 300, b"{" * 300,
    b"corpora: !!binary aGVsbG8=\n", b"corpora: !!set {a, b}\n", b"corpora: 1:30:00\n", b"corpora: 9999-99-99\n",
)  # fmt: skip
_TABLES = {
    "labels.csv": b'file,emotion,speaker,gender,text\na.wav,anger,1,f,"a, b"\nd/b.wav,joy,2,m,c\n',
    "metadata.csv": b"\xef\xbb\xbfpath;label\na.wav;x\nd/b.wav;y\n",
    "db.files.csv": b"file,speaker\na.wav,s1\nd/b.wav,s2\n",
    "db.emotion.csv": b"file,start,end,emotion\na.wav,0,,anger\nd/b.wav,0,,joy\n",
    "db.yaml": (
        b"name: db\nschemes:\n  emotion: {dtype: str, labels: [anger, joy]}\ntables:\n  emotion:\n    type: filewise\n"
        b"    columns:\n      emotion: {scheme_id: emotion}\n  files:\n    type: filewise\n    columns:\n"
        b"      speaker: {scheme_id: speaker}\n"
    ),
}
_RECORDINGS = ("a.wav", "d/b.wav")


def corpora_file(_: Surroundings) -> Parser:
    """`ser.corpora.corpora_file.read_members`, from a file and from the network."""

    def make(rng: random.Random) -> bytes:
        if rng.random() < 0.5:
            return mutate_tree(rng, _CORPORA, ["name", "url", "labels", "corpora"])
        return mutate(rng, [*_YAML, json.dumps(_CORPORA).encode()])

    def take(data: bytes) -> None:
        where = ("corpora.yaml", "https://192.0.2.1/corpora.json")[len(data) % 2]
        members = read_members(
            data, where, Access(frozenset({"http", "https"}), private=False) if where[0] == "h" else None
        )
        expect(len(members) > 0, "at least one corpus")

    return Parser(make, take)


def labels(around: Surroundings) -> Parser:
    """`ser.corpora.schemes.base.recognise` over a folder with tables; the input is one of them, its name in front."""
    folder = around.scratch / "corpus"

    def make(rng: random.Random) -> bytes:
        name = rng.choice(list(_TABLES))
        return name.encode() + b"\n" + mutate(rng, [_TABLES[name], *_TABLES.values()])

    def take(data: bytes) -> None:
        name, _, content = data.partition(b"\n")
        if folder.exists():
            shutil.rmtree(folder)
        folder.mkdir()
        if name.startswith(b"db."):
            for other, table in _TABLES.items():
                if other.startswith("db."):
                    (folder / other).write_bytes(table)
        (folder / name.decode()).write_bytes(content)
        found, reading = recognise(folder, _RECORDINGS)
        expect(len(reading.utterances) == len(_RECORDINGS), f"{found}: an entry a recording")
        for utterance in filter(None, reading.utterances):
            expect(bool(utterance.emotion), f"{found}: a label, got {utterance}")

    return Parser(make, take)
