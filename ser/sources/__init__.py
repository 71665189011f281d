"""Where a corpus comes from, as a zip: each module with a class in `SOURCES` is a scheme, or some, of addresses.

base            what a source is, and which one an address names
http            a zip behind HTTP, and (remote_version) whether it has changed there
local           a zip or a folder of this machine
embedded        the corpus that SER synthesises
"""

from ser.sources.base import SOURCES, Source, open_source

__all__ = ["SOURCES", "Source", "open_source"]
