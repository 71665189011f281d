"""The pitch tracker: tones and glides whose pitch is known, noise that has none, and pYIN on real speech."""

from __future__ import annotations

from pathlib import Path
from zipfile import ZipFile

import librosa
import numpy as np
import pytest

from ser.acoustics import HOP_SAMPLES, track_pitch
from ser.audio.recordings import SAMPLE_RATE_HZ, decode

TIME = np.arange(SAMPLE_RATE_HZ) / SAMPLE_RATE_HZ
N_FRAMES = SAMPLE_RATE_HZ // HOP_SAMPLES


def voice(hz: np.ndarray | float) -> np.ndarray:
    """Ten harmonics, as a voice has them, of a pitch that may change."""
    phase = 2 * np.pi * np.cumsum(np.broadcast_to(hz, TIME.shape)) / SAMPLE_RATE_HZ
    return sum(np.sin(number * phase) / number for number in range(1, 11)).astype(np.float32) / 3


@pytest.mark.parametrize("hz", [75.0, 110.0, 196.0, 330.0, 600.0])
def test_a_steady_voice_has_its_pitch(hz: float) -> None:
    pitch = track_pitch(voice(hz), HOP_SAMPLES, N_FRAMES)
    inner = slice(3, -3)
    assert pitch.voiced[inner].all()
    np.testing.assert_allclose(pitch.hz[inner], hz, rtol=0.01)
    assert pitch.strength[inner].min() > 0.9


def test_a_glide_is_followed_without_leaps() -> None:
    hz = 120 * 2**TIME
    pitch = track_pitch(voice(hz), HOP_SAMPLES, N_FRAMES)
    middle = hz[HOP_SAMPLES // 2 :: HOP_SAMPLES]
    np.testing.assert_allclose(pitch.hz[3:-3], middle[3:-3], rtol=0.02)


def test_noise_and_silence_have_no_pitch() -> None:
    noise = np.random.default_rng(1).standard_normal(SAMPLE_RATE_HZ).astype(np.float32)
    assert track_pitch(noise, HOP_SAMPLES, N_FRAMES).voiced.mean() < 0.1
    assert not track_pitch(np.zeros(SAMPLE_RATE_HZ, np.float32), HOP_SAMPLES, N_FRAMES).voiced.any()


def test_it_agrees_with_pyin_on_real_speech(emodb_zip: Path) -> None:
    cents, agreement = [], []
    with ZipFile(emodb_zip) as archive:
        names = sorted(name for name in archive.namelist() if name.endswith(".wav"))[::90]
        for name in names:
            samples = decode(archive.read(name), name=name).samples
            n_frames = len(samples) // HOP_SAMPLES
            ours = track_pitch(samples, HOP_SAMPLES, n_frames)
            # pYIN's frames lie around their starts, ours around the middle of the hop.
            shifted = np.concatenate([samples[HOP_SAMPLES // 2 :], np.zeros(HOP_SAMPLES // 2, np.float32)])
            hz, voiced, _ = librosa.pyin(
                shifted, fmin=70, fmax=650, sr=SAMPLE_RATE_HZ, frame_length=1024, hop_length=HOP_SAMPLES
            )
            hz, voiced = hz[:n_frames], voiced[:n_frames]
            both = ours.voiced & voiced
            cents.append(1200 * np.abs(np.log2(ours.hz[both] / hz[both])))
            agreement.append((ours.voiced == voiced).mean())
    assert np.median(np.concatenate(cents)) < 25
    assert np.mean(agreement) > 0.8
