"""The version of the package; images are tagged with it and bundles record it."""

VERSION = "0.1.0"
