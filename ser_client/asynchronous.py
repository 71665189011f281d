"""The client for asyncio: the methods of `ser_client.client.Client`, awaited."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import grpc
import grpc.aio

from ser.predictor import AudioFile
from ser.speakers.enrolment import KnownSpeaker
from ser_api.v1 import ser_pb2, ser_pb2_grpc
from ser_client import answers
from ser_client.answers import Recording, ServerPrediction, TrainResult
from ser_client.channel import Connection
from ser_client.errors import server_error


class AsyncClient:
    """See `ser_client.client.Client`. To be made and used within one event loop."""

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
        """See `Client`."""
        connection = Connection(target, token, tls_ca, tls_cert, tls_key, tls)
        credentials, options = connection.credentials, list(connection.options)
        self._channel = (
            grpc.aio.secure_channel(target, credentials, options)
            if credentials
            else grpc.aio.insecure_channel(target, options)
        )
        self._stub: Any = ser_pb2_grpc.SpeechEmotionRecognitionStub(self._channel)
        self._target = target
        self._metadata = tuple(connection.metadata)
        self._timeout = timeout

    async def close(self) -> None:
        """See `Client.close`."""
        await self._channel.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def predict(
        self,
        audio: AudioFile,
        *,
        model_id: str,
        model_save_path: str = "",
        name: str | None = None,
        speaker: str = "",
        gender: str = "",
        text: str = "",
        enrollment_clips: Iterable[AudioFile] = (),
        uncertain_below: float = 0.0,
    ) -> ServerPrediction:
        """See `Client.predict`."""
        recording = Recording(audio, name, speaker, gender, text)
        request = answers.predict_request(recording, model_id, model_save_path, enrollment_clips, uncertain_below)
        return answers.one(await self._call(self._stub.Predict, request), recording)

    async def predict_many(
        self,
        recordings: Iterable[Recording],
        *,
        model_id: str,
        model_save_path: str = "",
        enrollment_clips: Iterable[AudioFile] = (),
        uncertain_below: float = 0.0,
        adapt: bool = False,
    ) -> list[ServerPrediction]:
        """See `Client.predict_many`."""
        request = answers.predict_many_request(
            recordings, model_id, model_save_path, enrollment_clips, uncertain_below, adapt=adapt
        )
        return answers.many(await self._call(self._stub.Predict, request))

    async def predict_sample(
        self, sample_name: str, *, model_id: str, model_save_path: str = "", uncertain_below: float = 0.0
    ) -> ServerPrediction:
        """See `Client.predict_sample`."""
        request = ser_pb2.PredictRequest(
            model_save_path=model_save_path, model_id=model_id, sample_name=sample_name, uncertain_below=uncertain_below
        )
        return answers.one(await self._call(self._stub.Predict, request))

    async def stream(
        self, pcm: AsyncIterable[bytes], *, model_id: str, **config: Any
    ) -> AsyncIterator[ser_pb2.StreamPredictResponse]:
        """See `Client.stream`."""

        async def requests() -> AsyncIterator[ser_pb2.StreamPredictRequest]:
            yield answers.stream_config(model_id, config)
            async for chunk in pcm:
                yield ser_pb2.StreamPredictRequest(pcm=chunk)

        with self._errors():
            async for answer in self._stub.StreamPredict(requests(), metadata=self._metadata):
                yield answer

    async def enroll_speaker(
        self,
        speaker: str,
        clips: Iterable[AudioFile],
        *,
        model_id: str,
        model_save_path: str = "",
        replace: bool = False,
    ) -> KnownSpeaker:
        """See `Client.enroll_speaker`."""
        request = answers.enroll_request(speaker, clips, model_id, model_save_path, replace=replace)
        return answers.speaker(await self._call(self._stub.EnrollSpeaker, request))

    async def speakers(self, model_id: str, *, model_save_path: str = "") -> AsyncIterator[KnownSpeaker]:
        """See `Client.speakers`."""
        request = ser_pb2.ListSpeakersRequest(model_id=model_id, model_save_path=model_save_path)
        while True:
            page = await self._call(self._stub.ListSpeakers, request)
            for known in page.speakers:
                yield answers.speaker(known)
            request.page_token = page.next_page_token
            if not request.page_token:
                return

    async def delete_speaker(self, speaker: str, *, model_id: str, model_save_path: str = "") -> None:
        """See `Client.delete_speaker`."""
        request = ser_pb2.DeleteSpeakerRequest(model_id=model_id, model_save_path=model_save_path, speaker=speaker)
        await self._call(self._stub.DeleteSpeaker, request)

    async def train(self, **fields: Any) -> TrainResult:
        """See `Client.train`."""
        return answers.train_result(await self._call(self._stub.Train, answers.train_request(fields), timeout=None))

    async def start_training(self, **fields: Any) -> ser_pb2.TrainingJob:
        """See `Client.start_training`."""
        answer: ser_pb2.TrainingJob = await self._call(self._stub.StartTraining, answers.train_request(fields))
        return answer

    async def job(self, job_id: str) -> ser_pb2.TrainingJob:
        """See `Client.job`."""
        answer: ser_pb2.TrainingJob = await self._call(
            self._stub.GetTrainingJob, ser_pb2.GetTrainingJobRequest(job_id=job_id)
        )
        return answer

    async def jobs(self) -> AsyncIterator[ser_pb2.TrainingJob]:
        """See `Client.jobs`."""
        token = ""
        while True:
            page = await self._call(self._stub.ListTrainingJobs, ser_pb2.ListTrainingJobsRequest(page_token=token))
            for job in page.jobs:
                yield job
            token = page.next_page_token
            if not token:
                return

    async def watch(self, job_id: str) -> AsyncIterator[ser_pb2.TrainingJob]:
        """See `Client.watch`."""
        request = ser_pb2.WatchTrainingJobRequest(job_id=job_id)
        with self._errors():
            async for job in self._stub.WatchTrainingJob(request, metadata=self._metadata):
                yield job

    async def cancel(self, job_id: str) -> ser_pb2.TrainingJob:
        """See `Client.cancel`."""
        answer: ser_pb2.TrainingJob = await self._call(
            self._stub.CancelTrainingJob, ser_pb2.CancelTrainingJobRequest(job_id=job_id)
        )
        return answer

    async def models(self, model_save_path: str = "") -> list[ser_pb2.ModelSummary]:
        """See `Client.models`."""
        request = ser_pb2.ListModelsRequest(model_save_path=model_save_path)
        return list((await self._call(self._stub.ListModels, request)).models)

    async def model(self, model_id: str, *, model_save_path: str = "") -> ser_pb2.Model:
        """See `Client.model`."""
        request = ser_pb2.GetModelRequest(model_id=model_id, model_save_path=model_save_path)
        answer: ser_pb2.Model = await self._call(self._stub.GetModel, request)
        return answer

    async def delete_model(self, model_id: str, *, model_save_path: str = "") -> None:
        """See `Client.delete_model`."""
        request = ser_pb2.DeleteModelRequest(model_id=model_id, model_save_path=model_save_path)
        await self._call(self._stub.DeleteModel, request)

    async def report(self, model_id: str, *, model_save_path: str = "") -> str:
        """See `Client.report`."""
        request = ser_pb2.GetReportRequest(model_id=model_id, model_save_path=model_save_path)
        return str((await self._call(self._stub.GetReport, request)).data.decode())

    async def _call(self, method: Any, request: Any, **options: Any) -> Any:
        with self._errors():
            return await method(request, metadata=self._metadata, **{"timeout": self._timeout, **options})

    @contextlib.contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except grpc.RpcError as error:
            raise server_error(error, self._target) from None
