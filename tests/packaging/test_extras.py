"""What `ser.extras` says that an extra brings is what pyproject.toml says."""

from __future__ import annotations

import importlib.metadata
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from ser.errors import MissingExtraError
from ser.extras import DISTRIBUTION, MODULES, WITHIN, require
from tests.packaging.environments import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
NOT_LOOKED_FOR = {"backports-strenum", "uvloop"}
"""Those that others need, or that are not for every system."""
ASKED_FOR_ELSEWHERE = {"s3", "gcs", "build", "all", "dev"}
"""Extras of which no door asks for the packages by `require`."""


def requirements(extra: str) -> list[Requirement]:
    return [Requirement(text) for text in PROJECT["optional-dependencies"][extra]]


def test_every_extra_is_known() -> None:
    assert PROJECT["name"] == DISTRIBUTION
    assert {*MODULES, *WITHIN} == PROJECT["optional-dependencies"].keys() - ASKED_FOR_ELSEWHERE


@pytest.mark.parametrize("extra", sorted({*MODULES, *WITHIN}))
def test_an_extra_brings_the_modules_that_are_looked_for(extra: str) -> None:
    homes = importlib.metadata.packages_distributions()
    asked = {canonicalize_name(other.name) for other in requirements(extra)} - NOT_LOOKED_FOR
    within = {name for other in requirements(extra) if other.name == DISTRIBUTION for name in other.extras}
    assert within == set(WITHIN.get(extra, ()))
    found = set()
    for module in MODULES.get(extra, ()):
        top, _, below = module.partition(".")
        owners = {canonicalize_name(name) for name in homes[top]}
        if below:  # a package that several distributions share
            part = module.replace(".", "/") + "/"
            owners = {o for o in owners if any(part in str(file) for file in importlib.metadata.files(o) or ())}
        assert owners & asked, f"{module} is brought by {owners}"
        found |= owners & asked
    assert found == asked - {DISTRIBUTION}


def test_what_is_there_is_enough_and_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    require("everything", *MODULES, *WITHIN)  # all is installed where tests run
    for gone, told in (
        (("librosa",), "librosa"),
        (("librosa", "keras", "tensorflow", "kfp"), "keras, librosa, tensorflow"),
        (("librosa", "keras", "tensorflow", "uvicorn", "starlette"), "keras, librosa, starlette and 2 more"),
    ):
        with monkeypatch.context() as hidden:
            hidden.setattr("ser.extras._is_there", lambda module, gone=gone: module not in gone)
            with pytest.raises(MissingExtraError) as caught:
                require("flying", "trainer")
        assert str(caught.value) == (
            f"flying needs what is not installed here, {told}; install it with: pip install 'speech-emotion[trainer]'"
        )
