"""The client for programs without asyncio."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc

from ser.predictor import AudioFile
from ser.speakers.enrolment import KnownSpeaker
from ser_api.v1 import ser_pb2, ser_pb2_grpc
from ser_client import answers
from ser_client.answers import Recording, ServerPrediction, TrainResult
from ser_client.channel import Connection
from ser_client.errors import server_error


class Client:
    """Calls a server over gRPC. Use it as a context manager, or `close` it; threads may share it.

    Every method raises `ServerError` where the server refuses or does not answer. Calls that change nothing are tried
    up to five times while the server is UNAVAILABLE.
    """

    def __init__(
        self,
        target: str = "localhost:50051",
        *,
        token: str | None = None,
        tls: bool = False,
        tls_ca: Path | None = None,
        tls_cert: Path | None = None,
        tls_key: Path | None = None,
        timeout: float | None = 60.0,
    ) -> None:
        """Opens a channel; the server is first asked by the first call.

        Args:
            target: host:port.
            token: Bearer token; only over TLS, or to this machine.
            tls: TLS with the authorities that the system trusts.
            tls_ca: PEM file of the server's authority; implies TLS.
            tls_cert: PEM file of a certificate of one's own, for mutual TLS.
            tls_key: PEM file of its key.
            timeout: Seconds that a call may take; trainings, watching and streams take what they take.

        Raises:
            ConfigError: If a token would go out in the clear, or the TLS files do not fit.
        """
        connection = Connection(target, token, tls_ca, tls_cert, tls_key, tls)
        credentials, options = connection.credentials, list(connection.options)
        self._channel = (
            grpc.secure_channel(target, credentials, options) if credentials else grpc.insecure_channel(target, options)
        )
        self._stub = ser_pb2_grpc.SpeechEmotionRecognitionStub(self._channel)
        self._target = target
        self._metadata = tuple(connection.metadata)
        self._timeout = timeout

    def close(self) -> None:
        """Closes the channel."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def predict(
        self,
        audio: AudioFile,
        *,
        model_id: str,
        model_save_path: str = "",
        name: str | None = None,
        speaker: str = "",
        gender: str = "",
        text: str = "",
        uncertain_below: float = 0.0,
        enrollment_clips: Iterable[AudioFile] = (),
    ) -> ServerPrediction:
        """The emotion of a recording: a file's path, or the bytes of one.

        A model that adapts does so to what it knows of the speaker, and to the enrollment clips: unlabelled recordings
        of who speaks.
        """
        recording = Recording(audio, name, speaker, gender, text)
        request = answers.predict_request(recording, model_id, model_save_path, enrollment_clips, uncertain_below)
        return answers.one(self._call(self._stub.Predict, request), recording)

    def predict_many(
        self,
        recordings: Iterable[Recording],
        *,
        model_id: str,
        model_save_path: str = "",
        enrollment_clips: Iterable[AudioFile] = (),
        uncertain_below: float = 0.0,
        adapt: bool = False,
    ) -> list[ServerPrediction]:
        """The emotions of several recordings, in one call.

        With `adapt` a model that adapts does so to all of them together: recordings of one person, call or archive.
        """
        request = answers.predict_many_request(
            recordings, model_id, model_save_path, enrollment_clips, uncertain_below, adapt=adapt
        )
        return answers.many(self._call(self._stub.Predict, request))

    def predict_sample(
        self, sample_name: str, *, model_id: str, model_save_path: str = "", uncertain_below: float = 0.0
    ) -> ServerPrediction:
        """The emotion of one of the model's validation samples."""
        request = ser_pb2.PredictRequest(
            model_save_path=model_save_path, model_id=model_id, sample_name=sample_name, uncertain_below=uncertain_below
        )
        return answers.one(self._call(self._stub.Predict, request))

    def stream(self, pcm: Iterable[bytes], *, model_id: str, **config: Any) -> Iterator[ser_pb2.StreamPredictResponse]:
        """The emotion of each window of a stream, while it comes.

        Args:
            pcm: Mono, 16-bit, little-endian; in chunks of whole samples.
            model_id: Which model.
            config: Fields of `StreamConfig`: sample_rate_hz, window_seconds, hop_seconds, speaker and others;
                enrollment_clips are files' paths, or the bytes of some.
        """

        def requests() -> Iterator[ser_pb2.StreamPredictRequest]:
            yield answers.stream_config(model_id, config)
            for chunk in pcm:
                yield ser_pb2.StreamPredictRequest(pcm=chunk)

        with self._errors():
            yield from self._stub.StreamPredict(requests(), metadata=self._metadata)

    def enroll_speaker(
        self,
        speaker: str,
        clips: Iterable[AudioFile],
        *,
        model_id: str,
        model_save_path: str = "",
        replace: bool = False,
    ) -> KnownSpeaker:
        """Lets a model know a speaker, so that predictions that name that speaker adapt.

        Args:
            speaker: A name of up to 128 letters, digits, `.`, `_` and `-`.
            clips: Unlabelled recordings of that speaker: files' paths, or the bytes of some. The server keeps sums over
                their features, no sound.
            model_id: Which model; one that adapts to speakers.
            model_save_path: Folder of the model's folder.
            replace: Forget what was enrolled before.

        Returns:
            How many clips of the speaker are known now.
        """
        request = answers.enroll_request(speaker, clips, model_id, model_save_path, replace=replace)
        return answers.speaker(self._call(self._stub.EnrollSpeaker, request))

    def speakers(self, model_id: str, *, model_save_path: str = "") -> Iterator[KnownSpeaker]:
        """The speakers that a model knows, sorted: those who enrolled, and those of its training."""
        request = ser_pb2.ListSpeakersRequest(model_id=model_id, model_save_path=model_save_path)
        while True:
            page = self._call(self._stub.ListSpeakers, request)
            for known in page.speakers:
                yield answers.speaker(known)
            request.page_token = page.next_page_token
            if not request.page_token:
                return

    def delete_speaker(self, speaker: str, *, model_id: str, model_save_path: str = "") -> None:
        """Forgets what a speaker enrolled."""
        request = ser_pb2.DeleteSpeakerRequest(model_id=model_id, model_save_path=model_save_path, speaker=speaker)
        self._call(self._stub.DeleteSpeaker, request)

    def train(self, **fields: Any) -> TrainResult:
        """Trains a model and waits for it; interrupted, it cancels the training, unless `detach=True`.

        Args:
            fields: Those of `/train`: data_path, remote_url, model_type, model_save_path and others, as JSON has them.
        """
        return answers.train_result(self._call(self._stub.Train, answers.train_request(fields), timeout=None))

    def start_training(self, **fields: Any) -> ser_pb2.TrainingJob:
        """Puts a training into the queue."""
        answer: ser_pb2.TrainingJob = self._call(self._stub.StartTraining, answers.train_request(fields))
        return answer

    def job(self, job_id: str) -> ser_pb2.TrainingJob:
        """A job as it stands."""
        answer: ser_pb2.TrainingJob = self._call(
            self._stub.GetTrainingJob, ser_pb2.GetTrainingJobRequest(job_id=job_id)
        )
        return answer

    def jobs(self) -> Iterator[ser_pb2.TrainingJob]:
        """All jobs, the newest first."""
        token = ""
        while True:
            page = self._call(self._stub.ListTrainingJobs, ser_pb2.ListTrainingJobsRequest(page_token=token))
            yield from page.jobs
            token = page.next_page_token
            if not token:
                return

    def watch(self, job_id: str) -> Iterator[ser_pb2.TrainingJob]:
        """A job as it stands, then at each change, until its end."""
        with self._errors():
            yield from self._stub.WatchTrainingJob(
                ser_pb2.WatchTrainingJobRequest(job_id=job_id), metadata=self._metadata
            )

    def cancel(self, job_id: str) -> ser_pb2.TrainingJob:
        """Cancels a job."""
        answer: ser_pb2.TrainingJob = self._call(
            self._stub.CancelTrainingJob, ser_pb2.CancelTrainingJobRequest(job_id=job_id)
        )
        return answer

    def models(self, model_save_path: str = "") -> list[ser_pb2.ModelSummary]:
        """The models of a folder, sorted by id."""
        return list(
            self._call(self._stub.ListModels, ser_pb2.ListModelsRequest(model_save_path=model_save_path)).models
        )

    def model(self, model_id: str, *, model_save_path: str = "") -> ser_pb2.Model:
        """All that a model says of itself."""
        answer: ser_pb2.Model = self._call(
            self._stub.GetModel, ser_pb2.GetModelRequest(model_id=model_id, model_save_path=model_save_path)
        )
        return answer

    def delete_model(self, model_id: str, *, model_save_path: str = "") -> None:
        """Deletes a model with its report."""
        request = ser_pb2.DeleteModelRequest(model_id=model_id, model_save_path=model_save_path)
        self._call(self._stub.DeleteModel, request)

    def report(self, model_id: str, *, model_save_path: str = "") -> str:
        """The report of a model's evaluation, HTML."""
        request = ser_pb2.GetReportRequest(model_id=model_id, model_save_path=model_save_path)
        return str(self._call(self._stub.GetReport, request).data.decode())

    def _call(self, method: Any, request: Any, **options: Any) -> Any:
        with self._errors():
            return method(request, metadata=self._metadata, **{"timeout": self._timeout, **options})

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except grpc.RpcError as error:
            raise server_error(error, self._target) from None
