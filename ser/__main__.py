"""`python -m ser` is `ser`."""

from ser.cli.main import main

main()
