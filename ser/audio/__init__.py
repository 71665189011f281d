"""Sound as samples.

recordings        audio files and bytes to samples, and what is refused
virtual_speakers  the same words by a voice that nobody has
"""
