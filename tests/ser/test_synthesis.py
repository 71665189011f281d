"""The embedded corpus: that it is what EmoDB's readers expect, repeatable, and emotional."""

from __future__ import annotations

import hashlib
import io
import zipfile
from collections import Counter
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import soundfile

from ser.corpora.schemes.emodb import EMOTIONS, GENDERS, EmoDB
from ser.progress import Progress
from ser.synthesis import MIN_CLIPS, synthesise_corpus
from ser.synthesis.corpus import plan, synthesise_clip
from ser.synthesis.phones import PHONES, TEXTS
from ser.synthesis.prosody import EMOTIONS as SETTINGS
from ser.synthesis.prosody import SPEAKERS

EMODB_SHARES = {"W": 127, "L": 81, "N": 79, "F": 71, "A": 69, "T": 62, "E": 46}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("synthesis") / "corpus.zip"
    synthesise_corpus(path, clips=40, seed=3)
    return path


def members(path: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def test_same_arguments_give_the_same_bytes(corpus: Path, tmp_path: Path) -> None:
    synthesise_corpus(tmp_path / "again.zip", clips=40, seed=3)
    assert (tmp_path / "again.zip").read_bytes() == corpus.read_bytes()


def test_no_time_of_making_is_in_the_zip(corpus: Path) -> None:
    with zipfile.ZipFile(corpus) as archive:
        assert {member.date_time for member in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}


def test_a_smaller_corpus_is_a_part_of_a_larger_one(corpus: Path, tmp_path: Path) -> None:
    synthesise_corpus(tmp_path / "small.zip", clips=MIN_CLIPS, seed=3)
    small = members(tmp_path / "small.zip")
    assert len(small) == MIN_CLIPS
    assert small.items() <= members(corpus).items()


def test_a_clip_does_not_depend_on_those_made_before_it() -> None:
    alone = synthesise_clip("03a01Fa", 0)
    synthesise_clip("08b02Ta", 0)
    np.testing.assert_array_equal(synthesise_clip("03a01Fa", 0), alone)


@pytest.mark.parametrize(
    ("name", "seed"), [("03a01Fa", 1), ("03a01Fb", 0), ("03a01Faa", 0), ("03a01Wa", 0), ("03a02Fa", 0)]
)
def test_seed_and_each_part_of_the_name_change_the_clip(name: str, seed: int) -> None:
    one, other = synthesise_clip("03a01Fa", 0), synthesise_clip(name, seed)
    length = min(len(one), len(other))
    correlation = np.corrcoef(one[:length], other[:length])[0, 1]
    assert abs(correlation) < 0.5


def test_another_seed_picks_other_clips() -> None:
    assert plan(300, 0) != plan(300, 1)


def test_names_are_emodbs(corpus: Path) -> None:
    names = list(members(corpus))
    assert len(set(names)) == 40
    assert all(name.startswith("wav/") and EmoDB().parse(name) for name in names)
    assert SETTINGS.keys() == EMOTIONS.keys()
    assert SPEAKERS.keys() == GENDERS.keys()


@pytest.mark.parametrize("seed", [0, 1, 42])
def test_emotions_and_speakers_are_about_as_frequent_as_in_emodb(seed: int) -> None:
    names = plan(300, seed)
    emotions = Counter(name[5] for name in names)
    for letter, clips in EMODB_SHARES.items():
        assert emotions[letter] == pytest.approx(300 * clips / 535, abs=1.5)
    speakers = Counter(name[:2] for name in names)
    assert speakers.keys() == SPEAKERS.keys()
    assert max(speakers.values()) < 0.25 * 300
    assert {name[2:5] for name in names} == TEXTS.keys()


def test_speakers_whom_emodb_has_more_of_come_more_often() -> None:
    speakers = Counter(name[:2] for seed in range(10) for name in plan(300, seed))
    assert speakers["16"] > 1.3 * speakers["12"]


def test_the_fewest_clips_still_have_two_of_each_emotion() -> None:
    assert Counter(name[5] for name in plan(MIN_CLIPS, 0)) == dict.fromkeys(EMOTIONS, 2)


@pytest.mark.parametrize(
    ("clips", "seed", "digest"),
    [
        (300, 0, "2b312af1eef0c58d"), (300, 1, "8e3dbec2b562b3ba"), (12_000, 0, "e1b9d96ba8565ea5"),
        (12_000, 1, "594ed0888e2bfb20"), (18_200, 0, "81f537bdf9490934"),
    ],
)  # fmt: skip
def test_names_of_one_letter_are_what_they_have_been_since_version_0_1(clips: int, seed: int, digest: str) -> None:
    # A clip follows from its name and the seed, so the corpora are, too.
    assert hashlib.sha256("\n".join(plan(clips, seed)).encode()).hexdigest()[:16] == digest


def test_names_of_two_letters_come_once_those_of_one_have_run_out() -> None:
    one_letter, more = set(plan(18_200, 0)), set(plan(30_000, 0))
    assert one_letter < more
    assert {len(name) for name in one_letter} == {7}
    assert {len(name) for name in more - one_letter} == {8}
    emotions = Counter(name[5] for name in more)
    for letter, clips in EMODB_SHARES.items():
        assert emotions[letter] == pytest.approx(30_000 * clips / 535, rel=0.01)


@pytest.mark.parametrize("clips", [6_000, 18_200, 100_000])
def test_many_clips_have_as_many_names(clips: int) -> None:
    names = plan(clips, 0)
    assert len(names) == len(set(names)) == clips
    assert all(EmoDB().parse(f"wav/{name}.wav") for name in names)


def test_versions_begin_at_a_and_leave_no_gap() -> None:
    versions = Counter(name[6] for name in plan(2_000, 0))
    assert sorted(versions) == list("abcde")
    assert versions["a"] == 700


def test_clips_are_16_khz_mono_pcm16_of_speech_length(corpus: Path) -> None:
    for name, data in members(corpus).items():
        info = soundfile.info(io.BytesIO(data))
        assert (info.samplerate, info.channels, info.subtype) == (16_000, 1, "PCM_16"), name
        assert 1.2 <= info.duration <= 3.6, name


def test_clips_neither_clip_nor_are_silent_nor_have_an_offset(corpus: Path) -> None:
    for name, data in members(corpus).items():
        samples, _ = soundfile.read(io.BytesIO(data))
        peak = np.max(np.abs(samples))
        assert 0.02 < peak < 0.95, name
        assert abs(np.mean(samples)) < 0.01 * peak, name


def test_levels_do_not_give_the_emotion_away() -> None:
    def level(name: str) -> float:
        return float(np.sqrt(np.mean(np.square(synthesise_clip(name, 0)))))

    angry, sad = ([level(f"{speaker}b01{letter}a") for speaker in SPEAKERS] for letter in "WT")
    assert np.mean(angry) > np.mean(sad)
    assert max(sad) > min(angry)


def pitch_hz(samples: npt.NDArray[np.float32]) -> float:
    """Median over the loud frames of the pitch by autocorrelation."""
    frames = np.lib.stride_tricks.sliding_window_view(samples, 800)[::400]
    energy = np.sum(frames**2, axis=1)
    found = []
    for frame in frames[energy > 0.2 * energy.max()]:
        spectrum = np.fft.rfft(frame * np.hanning(800), 2048)
        autocorrelation = np.fft.irfft(np.abs(spectrum) ** 2)[:400]
        lags = slice(16_000 // 500, 16_000 // 65)
        found.append(16_000 / (lags.start + np.argmax(autocorrelation[lags])))
    return float(np.median(found))


def test_angry_speech_is_higher_than_neutral_speech_by_half() -> None:
    ratios = []
    for speaker in ("03", "08", "11", "16"):
        angry, neutral = (
            np.mean([pitch_hz(synthesise_clip(f"{speaker}{text}{letter}a", 0)) for text in list(TEXTS)[:5]])
            for letter in "WN"
        )
        assert neutral == pytest.approx(SPEAKERS[speaker].pitch_hz, rel=0.2)
        ratios.append(angry / neutral)
    assert np.mean(ratios) == pytest.approx(1.57, abs=0.15)


def test_sad_speech_is_slower_and_duller_than_angry_speech() -> None:
    def seconds_and_brightness(letter: str) -> tuple[float, float]:
        figures = []
        for speaker in list(SPEAKERS)[:5]:
            samples = synthesise_clip(f"{speaker}a04{letter}a", 0)
            power = np.abs(np.fft.rfft(samples, 65_536)) ** 2
            # 500 Hz to 3 kHz: above lie fricatives, whatever the emotion.
            figures.append([len(samples) / 16_000, np.sum(power[2048:12_288]) / np.sum(power[:12_288])])
        seconds, brightness = np.mean(figures, axis=0)
        return float(seconds), float(brightness)

    sad, angry = seconds_and_brightness("T"), seconds_and_brightness("W")
    assert sad[0] > 1.3 * angry[0]
    assert sad[1] < 0.7 * angry[1]


def test_texts_are_made_of_known_sounds_and_all_differ() -> None:
    assert set("".join(TEXTS.values())) <= PHONES.keys() | {" "}
    assert len(set(TEXTS.values())) == len(TEXTS) == 10


@pytest.mark.parametrize("clips", [-1, 0, 13, 491_401])
def test_a_number_of_clips_out_of_range_is_refused_with_the_limits(clips: int, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"expected 14 to 491400 clips, got {clips}"):
        synthesise_corpus(tmp_path / "corpus.zip", clips=clips)
    assert not list(tmp_path.iterdir())


def test_a_negative_seed_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="expected a seed of at least 0, got -1"):
        synthesise_corpus(tmp_path / "corpus.zip", seed=-1)


def test_every_clip_is_reported(tmp_path: Path) -> None:
    seen: list[Progress] = []
    synthesise_corpus(tmp_path / "corpus.zip", clips=MIN_CLIPS, report=seen.append)
    assert seen == [Progress("synthesise", done, MIN_CLIPS, "clips") for done in range(1, MIN_CLIPS + 1)]


def test_an_interrupted_run_leaves_nothing_new_behind(tmp_path: Path) -> None:
    def interrupt(progress: Progress) -> None:
        if progress.done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        synthesise_corpus(tmp_path / "corpus.zip", clips=MIN_CLIPS, report=interrupt)
    assert not list(tmp_path.iterdir())

    (tmp_path / "corpus.zip").write_bytes(b"an older corpus")
    with pytest.raises(KeyboardInterrupt):
        synthesise_corpus(tmp_path / "corpus.zip", clips=MIN_CLIPS, report=interrupt)
    assert [path.name for path in tmp_path.iterdir()] == ["corpus.zip"]
    assert (tmp_path / "corpus.zip").read_bytes() == b"an older corpus"
