"""The same model served in other ways. They import neither SER nor each other's frameworks."""
