"""The command line `ser`: it parses, calls one function, and prints."""
