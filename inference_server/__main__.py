"""`python -m inference_server` is `ser-server`."""

from ser_inference_server.programs import server

server()
