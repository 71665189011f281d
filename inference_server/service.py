"""The RPCs: convert, call, convert. Nothing here knows whether a call came by gRPC or by HTTP."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, TypeVar

from google.api import httpbody_pb2

from inference_server import checks, convert, metrics, models
from inference_server.calls import Call, Calls
from inference_server.failures import CancelledJobError, StoppingError
from inference_server.jobs.store import Job, JobStore, State
from inference_server.paths import resolve_inside
from inference_server.recordings import Recordings
from inference_server.roots import Roots
from inference_server.settings import Settings
from ser.access import shown_address
from ser.bundle import Bundle
from ser.config import parse
from ser.corpus_set import is_corpora_file
from ser.errors import ConfigError, FieldViolation, NotFoundError, SerError
from ser.model_store import delete_bundle, find_bundle
from ser.predictor import Predictor
from ser.request import TrainRequest
from ser.sources import open_source
from ser.stores import is_address
from ser.streaming import StreamConfig, StreamingPredictor
from ser_api.v1 import ser_pb2

_SECONDS_BETWEEN_LOOKS = 0.2
Result = TypeVar("Result")


class _OfModel(Protocol):
    """A request that names a model."""

    model_save_path: str
    model_id: str


class SpeechEmotionRecognition:
    """The service of proto/ser/v1/ser.proto; a method an RPC, under its name."""

    def __init__(self, settings: Settings, calls: Calls, jobs: JobStore) -> None:
        self._settings = settings
        self._calls = calls
        self._jobs = jobs
        self._roots = Roots(settings)
        self._model_root = resolve_inside(settings.model_root, "", field="model_save_path")
        self._models = models.ModelStore(settings.max_loaded_models, settings.refresh_seconds)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="predict")
        self._recordings = Recordings(settings, self._in_thread)

    async def Train(self, request: ser_pb2.TrainRequest, call: Call) -> ser_pb2.TrainResponse:  # noqa: N802
        """See the proto."""
        job = await self._submit(request)
        call.facts["job_id"] = job.job_id
        try:
            async for state in self._follow(job.job_id):
                job = state
        except asyncio.CancelledError:
            if not request.detach:
                self._jobs.cancel(job.job_id)
            raise
        if job.state is State.CANCELLED:
            raise CancelledJobError(f"training job {job.job_id} was cancelled")
        return convert.train_response(job)

    async def StartTraining(self, request: ser_pb2.TrainRequest, call: Call) -> ser_pb2.TrainingJob:  # noqa: N802
        """See the proto."""
        job = await self._submit(request)
        call.facts["job_id"] = job.job_id
        return self._shown(job)

    async def GetTrainingJob(self, request: ser_pb2.GetTrainingJobRequest, call: Call) -> ser_pb2.TrainingJob:  # noqa: ARG002, N802
        """See the proto."""
        return self._shown(self._jobs.get(request.job_id))

    async def ListTrainingJobs(  # noqa: N802
        self,
        request: ser_pb2.ListTrainingJobsRequest,
        call: Call,  # noqa: ARG002
    ) -> ser_pb2.ListTrainingJobsResponse:
        """See the proto."""
        size, token = checks.page_size(request), request.page_token
        jobs = self._jobs.newest(size + 1, before=int(token) if token else None)
        page = jobs[:size]
        return ser_pb2.ListTrainingJobsResponse(
            jobs=[self._shown(job) for job in page],
            next_page_token=str(page[-1].number) if len(jobs) > size else "",
        )

    async def CancelTrainingJob(self, request: ser_pb2.CancelTrainingJobRequest, call: Call) -> ser_pb2.TrainingJob:  # noqa: ARG002, N802
        """See the proto."""
        return self._shown(self._jobs.cancel(request.job_id))

    async def WatchTrainingJob(  # noqa: N802
        self,
        request: ser_pb2.WatchTrainingJobRequest,
        call: Call,  # noqa: ARG002
    ) -> AsyncIterator[ser_pb2.TrainingJob]:
        """See the proto."""
        async for job in self._follow(request.job_id):
            yield self._shown(job)

    async def Predict(self, request: ser_pb2.PredictRequest, call: Call) -> ser_pb2.PredictResponse:  # noqa: N802
        """See the proto."""
        threshold = request.uncertain_below
        predictor = await self._predictor(request)
        call.facts["model_id"] = request.model_id
        if request.sample_name:
            of_sample = predictor.predict_sample(request.sample_name, threshold=threshold)
            return convert.predict_response(of_sample, predictor.bundle)
        self._recordings.check_number(request.clips, "clips")
        heard = await self._recordings.listen(request.enrollment_clips, "enrollment_clips", predictor, call)
        if request.audio:
            prediction = (await self._recordings.predict([_clip_of(request)], ["audio"], predictor, heard, call))[0]
            return convert.predict_response(prediction.or_uncertain(threshold), predictor.bundle)
        fields = [f"clips[{number}].audio" for number in range(len(request.clips))]
        predictions = await self._recordings.predict(list(request.clips), fields, predictor, heard, call)
        return convert.predict_response_of_clips([one.or_uncertain(threshold) for one in predictions], predictor.bundle)

    async def StreamPredict(  # noqa: N802
        self, requests: AsyncIterator[ser_pb2.StreamPredictRequest], call: Call
    ) -> AsyncIterator[ser_pb2.StreamPredictResponse]:
        """See the proto."""
        first = await anext(requests, None)
        if first is None or first.WhichOneof("message") != "config":
            raise _wrong("config", "expected the configuration in the first message, and only there")
        fields, wrong = StreamConfig.model_fields, checks.Gathered()
        given = {field.name: value for field, value in first.config.ListFields() if field.name in fields}
        with wrong:
            checks.check(first.config, at="config")
        with wrong:
            config = parse(StreamConfig, given, at="config")
        wrong.end()
        predictor, about = await self._predictor(first.config), convert.about(first.config)
        call.facts["model_id"] = first.config.model_id
        heard = await self._recordings.listen(first.config.enrollment_clips, "config.enrollment_clips", predictor, call)
        stream = await self._in_thread(lambda: StreamingPredictor(predictor, config, about, heard))
        model: Bundle | None = predictor.bundle
        async for request in self._until_stop(requests):
            if request is not None and request.WhichOneof("message") != "pcm":
                raise _wrong("pcm", "expected samples in every message after the first")
            windows = stream.finish() if request is None else stream.feed(request.pcm)
            for window in windows:
                yield convert.stream_response(window, model)
                model = None
                await asyncio.sleep(0)  # one window at a time: others want their turn

    async def ListModels(self, request: ser_pb2.ListModelsRequest, call: Call) -> ser_pb2.ListModelsResponse:  # noqa: ARG002, N802
        """See the proto."""
        place = self._model_place(request.model_save_path)
        found = await self._in_thread(lambda: models.manifests(place))
        return ser_pb2.ListModelsResponse(models=[convert.model_summary(manifest) for manifest in found])

    async def GetModel(self, request: ser_pb2.GetModelRequest, call: Call) -> ser_pb2.Model:  # noqa: ARG002, N802
        """See the proto."""
        return convert.model((await self._predictor(request)).bundle)

    async def DeleteModel(self, request: ser_pb2.DeleteModelRequest, call: Call) -> ser_pb2.DeleteModelResponse:  # noqa: ARG002, N802
        """See the proto."""
        place, model_id = self._model_place(request.model_save_path), request.model_id
        await self._in_thread(lambda: delete_bundle(place, model_id))
        return ser_pb2.DeleteModelResponse(model_id=request.model_id)

    async def EnrollSpeaker(self, request: ser_pb2.EnrollSpeakerRequest, call: Call) -> ser_pb2.Speaker:  # noqa: N802
        """See the proto."""
        predictor = await self._predictor(request)
        call.facts["model_id"] = request.model_id
        name, speakers = request.speaker, predictor.speakers
        heard = await self._recordings.listen(request.clips, "clips", predictor, call)
        assert heard is not None  # noqa: S101 - there are clips
        return convert.speaker(await self._in_thread(lambda: speakers.enroll(name, heard, replace=request.replace)))

    async def ListSpeakers(self, request: ser_pb2.ListSpeakersRequest, call: Call) -> ser_pb2.ListSpeakersResponse:  # noqa: ARG002, N802
        """See the proto."""
        size = checks.page_size(request)
        speakers = (await self._predictor(request)).speakers
        found = await self._in_thread(lambda: speakers.list(after=request.page_token, at_most=size + 1))
        return ser_pb2.ListSpeakersResponse(
            speakers=[convert.speaker(known) for known in found[:size]],
            next_page_token=found[size - 1].speaker if len(found) > size else "",
        )

    async def DeleteSpeaker(self, request: ser_pb2.DeleteSpeakerRequest, call: Call) -> ser_pb2.DeleteSpeakerResponse:  # noqa: ARG002, N802
        """See the proto."""
        speakers, name = (await self._predictor(request)).speakers, request.speaker
        await self._in_thread(lambda: speakers.delete(name))
        return ser_pb2.DeleteSpeakerResponse(speaker=name)

    async def GetReport(self, request: ser_pb2.GetReportRequest, call: Call) -> httpbody_pb2.HttpBody:  # noqa: ARG002, N802
        """See the proto."""
        place, model_id = self._model_place(request.model_save_path), request.model_id
        page = await self._in_thread(lambda: find_bundle(place, model_id)) / "report" / "report.html"
        if not page.is_file():
            raise NotFoundError(f"model_id: model {request.model_id} was not evaluated, it has no report")
        return httpbody_pb2.HttpBody(content_type="text/html; charset=utf-8", data=page.read_bytes())

    async def refresh(self) -> None:
        """Compares the open models with their object store, again and again; returns at once where there is none."""
        while is_address(self._model_root):
            await asyncio.sleep(self._settings.refresh_seconds)
            await self._in_thread(self._models.refresh)

    def close(self) -> None:
        """Ends the thread."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    async def _submit(self, message: ser_pb2.TrainRequest) -> Job:
        settings = self._settings
        wrong = checks.Gathered()
        with wrong:
            request = parse(TrainRequest, convert.train_fields(message))
        if message.remote_url:
            with wrong:
                source = open_source(message.remote_url, settings.access)
        with wrong:
            data_path = resolve_inside(settings.data_root, message.data_path, field="data_path")
        with wrong:
            model_save_path = self._model_place(message.model_save_path)
        wrong.end()
        if settings.training_backend == "kubeflow" and is_corpora_file(request.remote_url):
            # Its addresses are known once a step has read it, and steps do not know what this server must not fetch.
            reason = "expected a zip: this server hands trainings to Kubeflow, where a corpora file is not taken"
            raise ConfigError([FieldViolation("remote_url", f"{reason}, got {shown_address(request.remote_url)!r}")])
        await self._in_thread(source.check)
        folders = {"data_path": data_path, "model_save_path": model_save_path}
        content = {**request.model_dump(mode="json", by_alias=True), **folders}
        return self._jobs.add(content, max_queued=settings.max_queued_jobs)

    def _shown(self, job: Job) -> ser_pb2.TrainingJob:
        return convert.training_job(job, self._settings, self._roots)

    async def _follow(self, job_id: str) -> AsyncIterator[Job]:
        """A job as it stands, then at each change, until its end."""
        seen: tuple[int, int] | None = None
        while True:
            job = self._jobs.get(job_id)
            if (job.revision, job.ahead) != seen:
                seen = job.revision, job.ahead
                yield job
            if job.state.is_over:
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._calls.stopping.wait(), _SECONDS_BETWEEN_LOOKS)
            if self._calls.stopping.is_set():
                raise StoppingError(f"the server is stopping; training job {job_id} goes on when it is back")

    async def _until_stop(
        self, requests: AsyncIterator[ser_pb2.StreamPredictRequest]
    ) -> AsyncIterator[ser_pb2.StreamPredictRequest | None]:
        """What comes, then None at its end; ends with an error when the server stops."""
        stop = asyncio.ensure_future(self._calls.stopping.wait())
        try:
            while True:
                coming = asyncio.ensure_future(anext(requests, None))
                await asyncio.wait({coming, stop}, return_when=asyncio.FIRST_COMPLETED)
                if not coming.done():
                    coming.cancel()
                    raise StoppingError("the server is stopping; open the stream again")
                request = coming.result()
                yield request
                if request is None:
                    return
        finally:
            stop.cancel()

    async def _in_thread(self, work: Callable[[], Result]) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._thread, work)

    async def _predictor(self, request: _OfModel) -> Predictor:
        place, model_id = self._model_place(request.model_save_path), request.model_id
        predictor = self._models.held(place, model_id)
        if predictor is None:
            predictor = await self._in_thread(lambda: self._models.open(place, model_id))
        metrics.MODELS.set(len(self._models))
        return predictor

    def _model_place(self, path: str) -> str:
        return resolve_inside(self._model_root, path, field="model_save_path") if path else self._model_root


def _clip_of(request: ser_pb2.PredictRequest) -> ser_pb2.Clip:
    return ser_pb2.Clip(
        audio=request.audio, name=request.sample_name, speaker=request.speaker, gender=request.gender, text=request.text
    )


def _wrong(field: str, description: str) -> SerError:
    return ConfigError([FieldViolation(field, description)])
