"""Serves models: gRPC, an HTTP gateway made from the same descriptors, training as jobs."""
