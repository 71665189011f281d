"""A container's probe, `python -m ser_inference_server.health`: does the server on this machine take calls?"""

from __future__ import annotations

import http.client
import ssl
import sys

from ser_inference_server.settings import Settings

_SECONDS = 4.0


def main() -> None:
    """Exits with 0 if it does. Settings are those of the server, so that it finds its port and its TLS."""
    settings = Settings()
    host = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}.get(settings.host, settings.host)  # noqa: S104
    connection = http.client.HTTPConnection(host, settings.http_port, timeout=_SECONDS)
    if settings.tls_cert and settings.tls_key:
        # It asks itself: its certificate is for the names by which others know it.
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        if settings.tls_client_ca:
            context.load_cert_chain(settings.tls_cert, settings.tls_key)
        connection = http.client.HTTPSConnection(host, settings.http_port, timeout=_SECONDS, context=context)
    try:
        connection.request("GET", "/readyz")
        answer = connection.getresponse()
    except (OSError, http.client.HTTPException) as error:
        sys.exit(f"{host}:{settings.http_port}: {error}")
    sys.exit(0 if answer.status == http.client.OK else f"{host}:{settings.http_port}: {answer.status}")


if __name__ == "__main__":
    main()
