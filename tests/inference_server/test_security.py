"""Who may call, from where, and what the server shows of itself."""

from __future__ import annotations

import datetime
import ipaddress
import os
import subprocess
import sys
from pathlib import Path

import grpc
import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from ser_api.v1 import ser_pb2, ser_pb2_grpc
from tests.inference_server.harness import Server, serve


def test_tokens(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens"
    tokens.write_text("# ours\nsecret-one\nsecret-two\n")
    with serve(tmp_path / "server", token_file=tokens) as server, server.client() as client, server.stub() as stub:
        for header in (None, "Bearer wrong", "Bearer", "Basic secret-one", "secret-one", "Bearer secret-one2"):
            headers = {"authorization": header} if header else {}
            answer = client.get("/models", headers=headers)
            assert answer.status_code == 401
            assert answer.headers["www-authenticate"] == "Bearer"
            assert client.get("/metrics", headers=headers).status_code == 401
            with pytest.raises(grpc.RpcError) as failed:
                stub.ListModels(ser_pb2.ListModelsRequest(), metadata=list(headers.items()))
            assert failed.value.code() is grpc.StatusCode.UNAUTHENTICATED  # type: ignore[attr-defined]
        for token in ("secret-one", "secret-two"):
            assert client.get("/models", headers={"authorization": f"Bearer {token}"}).status_code == 200
            assert client.get("/metrics", headers={"authorization": f"bearer {token}"}).status_code == 200
            stub.ListModels(ser_pb2.ListModelsRequest(), metadata=[("authorization", f"Bearer {token}")])
        for open_path in ("/healthz", "/readyz", "/openapi.json", "/"):
            assert client.get(open_path).status_code == 200
        assert "secret" not in server.log.read_text()


def certificate(folder: Path, name: str, issuer: str | None = None) -> None:
    """Writes name.pem and name.key, signed by itself or by another."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    signer, by = key, subject
    if issuer:
        signer = serialization.load_pem_private_key((folder / f"{issuer}.key").read_bytes(), None)  # type: ignore[assignment]
        by = x509.load_pem_x509_certificate((folder / f"{issuer}.pem").read_bytes()).subject
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject).issuer_name(by).public_key(key.public_key()).serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1)).not_valid_after(now + datetime.timedelta(hours=1))
        .add_extension(x509.BasicConstraints(ca=issuer is None, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(
            x509.KeyUsage(True, False, False, False, False, issuer is None, issuer is None, False, False), critical=True
        )
        .sign(signer, hashes.SHA256())
    )  # fmt: skip
    (folder / f"{name}.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    plain = serialization.NoEncryption()
    (folder / f"{name}.key").write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
    )


def test_tls_and_mutual_tls(tmp_path: Path) -> None:
    import ssl

    for name, issuer in (("ca", None), ("server", "ca"), ("client", "ca"), ("stranger", None)):
        certificate(tmp_path, name, issuer)
    files = {"tls_cert": tmp_path / "server.pem", "tls_key": tmp_path / "server.key"}
    ca = (tmp_path / "ca.pem").read_bytes()

    def listed(server: Server, own: str | None) -> list[bool]:
        """Whether HTTP and gRPC let in who shows this certificate."""
        trust = ssl.create_default_context(cadata=ca.decode())
        pair = (None, None)
        if own:
            trust.load_cert_chain(tmp_path / f"{own}.pem", tmp_path / f"{own}.key")
            pair = ((tmp_path / f"{own}.key").read_bytes(), (tmp_path / f"{own}.pem").read_bytes())
        try:
            with httpx.Client(verify=trust, trust_env=False) as client:
                over_http = client.get(f"{server.http}/models").status_code == 200
        except httpx.TransportError:
            over_http = False
        with grpc.secure_channel(server.grpc, grpc.ssl_channel_credentials(ca, *pair)) as channel:
            try:
                ser_pb2_grpc.SpeechEmotionRecognitionStub(channel).ListModels(ser_pb2.ListModelsRequest(), timeout=10)
            except grpc.RpcError:
                return [over_http, False]
        return [over_http, True]

    with serve(tmp_path / "one", **files) as server:
        assert server.http.startswith("https://")
        assert listed(server, None) == [True, True]
    with serve(tmp_path / "two", **files, tls_client_ca=tmp_path / "ca.pem") as server:
        assert listed(server, "client") == [True, True]
        assert listed(server, None) == [False, False]
        assert listed(server, "stranger") == [False, False]


def refused(tmp_path: Path, **settings: object) -> str:
    environment = {name: value for name, value in os.environ.items() if not name.startswith("SER_")}
    environment |= {f"SER_{name.upper()}": str(value) for name, value in settings.items()}
    result = subprocess.run(
        [sys.executable, "-m", "inference_server"], env=environment, capture_output=True, text=True, cwd=tmp_path,
        timeout=60,
    )  # fmt: skip
    assert result.returncode == 2, result.stderr
    assert "Traceback" not in result.stderr
    return result.stderr


def test_settings_that_do_not_fit_are_refused_by_name(tmp_path: Path) -> None:
    assert "host: 0.0.0.0 is public" in refused(tmp_path, host="0.0.0.0")  # noqa: S104
    assert "host: :: is public" in refused(tmp_path, host="::")
    assert "ser-server: SER_HTTP_PORT (--http-port): Input should be" in refused(tmp_path, http_port="many")
    assert "SER_WORKERS" in refused(tmp_path, workers=0)
    assert "token_file" in refused(tmp_path, token_file=tmp_path / "none")
    assert "tls_key" in refused(tmp_path, tls_cert=__file__)
    assert "tls_cert" in refused(tmp_path, tls_cert=__file__, tls_key=__file__)
    assert "tls_client_ca" in refused(tmp_path, tls_client_ca=__file__)  # without TLS it would check nobody
    assert "SER_ALLOWED_SCHEMES" in refused(tmp_path, allowed_schemes="ftp")
    (tmp_path / "empty").write_text("\n")
    assert "at least one token" in refused(tmp_path, token_file=tmp_path / "empty")


def test_a_public_address_is_taken_where_it_is_allowed(tmp_path: Path) -> None:
    with serve(tmp_path, host="0.0.0.0", allow_insecure=True) as server:  # noqa: S104
        assert httpx.get(f"http://127.0.0.1:{server.http.rpartition(':')[2]}/readyz", trust_env=False).is_success


def test_a_port_that_is_taken_ends_in_one_line(server: Server, tmp_path: Path) -> None:
    for name, address in (("http_port", server.http), ("grpc_port", server.grpc)):
        environment = {**os.environ, "SER_HTTP_PORT": "0", "SER_GRPC_PORT": "0"}
        environment[f"SER_{name.upper()}"] = address.rpartition(":")[2]
        result = subprocess.run(
            [sys.executable, "-m", "inference_server"], env=environment, capture_output=True, text=True, cwd=tmp_path,
            timeout=60,
        )  # fmt: skip
        assert result.returncode == 7
        assert result.stderr.count("\n") == 1
        assert f"{name}: cannot listen" in result.stderr


def test_a_page_of_another_site_cannot_call(server: Server) -> None:
    with server.client() as client:
        assert client.get("/models", headers={"origin": "https://elsewhere.example"}).status_code == 403
        assert client.get("/models", headers={"origin": "null"}).status_code == 403
        assert client.get("/models", headers={"origin": server.http}).status_code == 200
        assert client.get("/models").headers["x-content-type-options"] == "nosniff"


def test_health_and_reflection(server: Server) -> None:
    with grpc.insecure_channel(server.grpc) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for service in ("", "ser.v1.SpeechEmotionRecognition"):
            answer = health.Check(health_pb2.HealthCheckRequest(service=service))
            assert answer.status == health_pb2.HealthCheckResponse.SERVING
        reflection = reflection_pb2_grpc.ServerReflectionStub(channel)
        ask = reflection_pb2.ServerReflectionRequest(list_services="")
        listed = next(reflection.ServerReflectionInfo(iter([ask]))).list_services_response.service
        assert "ser.v1.SpeechEmotionRecognition" in {service.name for service in listed}
        ask = reflection_pb2.ServerReflectionRequest(file_containing_symbol="ser.v1.SpeechEmotionRecognition")
        assert next(reflection.ServerReflectionInfo(iter([ask]))).file_descriptor_response.file_descriptor_proto
