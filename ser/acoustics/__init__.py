"""What is measured of speech frame by frame: pitch, spectrum, energy. NumPy and SciPy only, as serving needs it."""

from ser.acoustics.descriptors import CHANNELS, HOP_SAMPLES, Descriptors, delta, describe, describe_all
from ser.acoustics.pitch import Pitch, track_pitch

__all__ = ["CHANNELS", "HOP_SAMPLES", "Descriptors", "Pitch", "delta", "describe", "describe_all", "track_pitch"]
