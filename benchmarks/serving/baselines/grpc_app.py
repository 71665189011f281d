"""(b) A plain grpcio server, a `tf.function`, librosa. `python grpc_app.py BUNDLE PORT`."""

from __future__ import annotations

import json
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc
from librosa_model import LibrosaModel

model = LibrosaModel(sys.argv[1], compiled=True)


def predict(audio: bytes, context: grpc.ServicerContext) -> bytes:  # noqa: ARG001 - as gRPC calls it
    """Label to probability as JSON; the message is the recording."""
    return json.dumps(model(audio)).encode()


server = grpc.server(ThreadPoolExecutor(8))
handlers = {"Predict": grpc.unary_unary_rpc_method_handler(predict)}
server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler("Baseline", handlers),))
server.add_insecure_port(f"127.0.0.1:{sys.argv[2]}")
server.start()
server.wait_for_termination()
