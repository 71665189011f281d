"""A client of SER's server."""
