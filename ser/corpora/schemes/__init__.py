"""How a corpus names or describes its files, and what that says of each.

Each module with a class in `CORPORA` is one corpus, or one kind of manifest; adding a module adds a corpus.
"""
