"""The feature extraction step."""
