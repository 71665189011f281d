"""`python -m inference_server` is `ser-server`."""

from inference_server.cli import main

main()
