"""The RPCs: convert, call, convert. Nothing here knows whether a call came by gRPC or by HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Iterator
from functools import partial
from typing import Protocol

from google.api import httpbody_pb2

from ser.audio.recordings import SAMPLE_RATE_HZ
from ser.bundles.bundle import Bundle
from ser.bundles.model_store import delete_bundle, load_report
from ser.config import parse
from ser.corpora.corpora_file import is_corpora_file
from ser.errors import ConfigError, DamagedError, FieldViolation, SerError
from ser.predictor import Prediction
from ser.request import TrainRequest
from ser.sources import open_source
from ser.speakers.statistics import together
from ser.steps.feature_extraction import check_encoders
from ser.storage.access import shown_address
from ser.storage.stores import is_address
from ser.streaming import StreamConfig, StreamingPredictor, Window
from ser_api.v1 import ser_pb2
from ser_inference_server import checks, convert, metrics, models
from ser_inference_server.calls import Call, Calls
from ser_inference_server.cost import LOOP_SECONDS
from ser_inference_server.failures import CancelledJobError, HeldUpError, StoppingError
from ser_inference_server.jobs.errors import QueueError
from ser_inference_server.jobs.queue import JobQueue
from ser_inference_server.jobs.store import Job, State
from ser_inference_server.listing import summaries
from ser_inference_server.models import ServedModel
from ser_inference_server.paths import resolve_inside
from ser_inference_server.recordings import Recordings, Sound
from ser_inference_server.roots import Roots
from ser_inference_server.settings import Settings

_SECONDS_BETWEEN_LOOKS = 0.2
_SECONDS_WITHOUT_QUEUE = 30.0
_FEW_BYTES = 256 << 10
"""Of samples in a message: to copy so many takes no time that counts."""


class _OfModel(Protocol):
    """A request that names a model."""

    model_save_path: str
    model_id: str


class SpeechEmotionRecognition:
    """The service of proto/ser/v1/ser.proto; a method an RPC, under its name."""

    def __init__(self, settings: Settings, calls: Calls, jobs: JobQueue) -> None:
        self._settings = settings
        self._calls = calls
        self._jobs = jobs
        self._roots = Roots(settings)
        self._model_root = resolve_inside(settings.model_root, "", field="model_save_path")
        self._models = models.ModelStore(settings.max_loaded_models, settings.refresh_seconds)
        self._threads = calls.threads
        self._recordings = Recordings(settings, self._threads)

    async def Train(self, request: ser_pb2.TrainRequest, call: Call) -> ser_pb2.TrainResponse:  # noqa: N802
        """See the proto."""
        job = await self._submit(request, call, keep=request.detach)
        call.facts["job_id"] = job.job_id
        try:
            async for state in self._follow(job.job_id):
                job = state
        except asyncio.CancelledError:
            if not request.detach:
                self._jobs.abandon(job.job_id)
            raise
        if job.state is State.CANCELLED:
            raise CancelledJobError(f"training job {job.job_id} was cancelled")
        return convert.train_response(job)

    async def StartTraining(self, request: ser_pb2.TrainRequest, call: Call) -> ser_pb2.TrainingJob:  # noqa: N802
        """See the proto."""
        job = await self._submit(request, call, keep=True)
        call.facts["job_id"] = job.job_id
        return self._shown(job)

    async def GetTrainingJob(self, request: ser_pb2.GetTrainingJobRequest, call: Call) -> ser_pb2.TrainingJob:  # noqa: ARG002, N802
        """See the proto."""
        return self._shown(await self._jobs.get(request.job_id))

    async def ListTrainingJobs(  # noqa: N802
        self,
        request: ser_pb2.ListTrainingJobsRequest,
        call: Call,  # noqa: ARG002
    ) -> ser_pb2.ListTrainingJobsResponse:
        """See the proto."""
        size, token = checks.page_size(request), request.page_token
        jobs = await self._jobs.newest(size + 1, before=int(token) if token else None)
        page = jobs[:size]
        return ser_pb2.ListTrainingJobsResponse(
            jobs=[self._shown(job) for job in page],
            next_page_token=str(page[-1].number) if len(jobs) > size else "",
        )

    async def CancelTrainingJob(self, request: ser_pb2.CancelTrainingJobRequest, call: Call) -> ser_pb2.TrainingJob:  # noqa: ARG002, N802
        """See the proto."""
        return self._shown(await self._jobs.cancel(request.job_id))

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
        audio = request.audio  # a copy each time
        threshold = request.uncertain_below
        model = await self._model(request, call)
        call.facts["model_id"] = request.model_id
        bundle = model.predictor.bundle
        if request.sample_name:
            return convert.predict_response(await self._of_sample(request, threshold, call), bundle)
        self._recordings.check_number(request.clips, "clips")
        heard = await self._recordings.listen(request.enrollment_clips, "enrollment_clips", model, call)
        if audio:
            sound = Sound(audio, "audio", request.sample_name, convert.about(request))
            prediction = (await self._recordings.predict([sound], model, heard, call))[0]
            return convert.predict_response(prediction.or_uncertain(threshold), bundle)
        if request.adapt:
            all_clips = [clip.audio for clip in request.clips]
            heard = together(heard, await self._recordings.listen(all_clips, "clips", model, call, of_each=".audio"))
        sounds = [Sound.of(clip, f"clips[{number}].audio") for number, clip in enumerate(request.clips)]
        predictions = await self._recordings.predict(sounds, model, heard, call)
        return convert.predict_response_of_clips([one.or_uncertain(threshold) for one in predictions], bundle)

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
        served, about = await self._model(first.config, call), convert.about(first.config)
        predictor = served.predictor
        call.facts["model_id"] = first.config.model_id
        heard = await self._recordings.listen(first.config.enrollment_clips, "config.enrollment_clips", served, call)
        stream = await self._threads.files(
            lambda: StreamingPredictor(predictor, config, about, heard), call, served.words
        )
        cost = 2 * served.cost.of_samples(math.ceil(config.window_seconds * SAMPLE_RATE_HZ))  # a window may adapt too
        model: Bundle | None = predictor.bundle
        async for request in self._until_stop(requests):
            if request is not None and request.WhichOneof("message") != "pcm":
                raise _wrong("pcm", "expected samples in every message after the first")
            cheap = cost <= LOOP_SECONDS and (request is None or len(request.pcm) <= _FEW_BYTES)
            cheap = cheap and config.sample_rate_hz == SAMPLE_RATE_HZ
            pcm = None if request is None else request.pcm
            windows = stream.finish(check=call.check) if pcm is None else stream.feed(pcm, check=call.check)
            # One window at a time: others want their turn.
            while (window := await self._next(windows, call, in_loop=cheap)) is not None:
                yield convert.stream_response(window, model)
                model = None

    async def ListModels(self, request: ser_pb2.ListModelsRequest, call: Call) -> ser_pb2.ListModelsResponse:  # noqa: N802
        """See the proto."""
        place = self._model_place(request.model_save_path)
        return ser_pb2.ListModelsResponse(models=await summaries(place, self._threads, call))

    async def GetModel(self, request: ser_pb2.GetModelRequest, call: Call) -> ser_pb2.Model:  # noqa: N802
        """See the proto."""
        model = await self._model(request, call)
        return await self._threads.files(lambda: convert.model(model.predictor.bundle), call, model.words)

    async def DeleteModel(self, request: ser_pb2.DeleteModelRequest, call: Call) -> ser_pb2.DeleteModelResponse:  # noqa: N802
        """See the proto."""
        place, model_id = self._model_place(request.model_save_path), request.model_id
        await self._threads.files(lambda: delete_bundle(place, model_id), call, f"model {model_id}")
        return ser_pb2.DeleteModelResponse(model_id=request.model_id)

    async def EnrollSpeaker(self, request: ser_pb2.EnrollSpeakerRequest, call: Call) -> ser_pb2.Speaker:  # noqa: N802
        """See the proto."""
        model = await self._model(request, call)
        call.facts["model_id"] = request.model_id
        name, speakers = request.speaker, model.predictor.speakers
        heard = await self._recordings.listen(request.clips, "clips", model, call)
        assert heard is not None  # noqa: S101 - there are clips
        known = await self._threads.files(
            lambda: speakers.enroll(name, heard, replace=request.replace), call, model.words
        )
        return convert.speaker(known)

    async def ListSpeakers(self, request: ser_pb2.ListSpeakersRequest, call: Call) -> ser_pb2.ListSpeakersResponse:  # noqa: N802
        """See the proto."""
        size = checks.page_size(request)
        model = await self._model(request, call)
        speakers = model.predictor.speakers
        found = await self._threads.files(
            lambda: speakers.list(after=request.page_token, at_most=size + 1), call, model.words
        )
        return ser_pb2.ListSpeakersResponse(
            speakers=[convert.speaker(known) for known in found[:size]],
            next_page_token=found[size - 1].speaker if len(found) > size else "",
        )

    async def DeleteSpeaker(self, request: ser_pb2.DeleteSpeakerRequest, call: Call) -> ser_pb2.DeleteSpeakerResponse:  # noqa: N802
        """See the proto."""
        model, name = await self._model(request, call), request.speaker
        speakers = model.predictor.speakers
        await self._threads.files(lambda: speakers.delete(name), call, model.words)
        return ser_pb2.DeleteSpeakerResponse(speaker=name)

    async def GetReport(self, request: ser_pb2.GetReportRequest, call: Call) -> httpbody_pb2.HttpBody:  # noqa: N802
        """See the proto."""
        place, model_id = self._model_place(request.model_save_path), request.model_id
        page = await self._threads.files(lambda: load_report(place, model_id), call, f"the report of model {model_id}")
        return httpbody_pb2.HttpBody(content_type="text/html; charset=utf-8", data=page)

    async def refresh(self) -> None:
        """Compares the open models with their object store, again and again; returns at once where there is none."""
        while is_address(self._model_root):
            await asyncio.sleep(self._settings.refresh_seconds)
            with contextlib.suppress(HeldUpError):  # next time
                await self._threads.files(self._models.refresh, self._calls.of_server("refresh"), "the object store")

    def close(self) -> None:
        """Ends the threads."""
        self._threads.close()

    async def _submit(self, message: ser_pb2.TrainRequest, call: Call, *, keep: bool) -> Job:
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
        if settings.training_backend == "local" and settings.training_slots:
            # What trains elsewhere has encoders of its own, and tells there of one that is missing.
            await self._threads.files(lambda: check_encoders(request), call, "the encoders")
        await self._threads.files(source.check, call, "remote_url")
        folders = {"data_path": data_path, "model_save_path": model_save_path}
        content = {**request.model_dump(mode="json", by_alias=True), **folders}
        return await self._jobs.add(content, max_queued=settings.max_queued_jobs, keep=keep)

    def _shown(self, job: Job) -> ser_pb2.TrainingJob:
        return convert.training_job(job, self._settings, self._roots)

    async def _follow(self, job_id: str) -> AsyncIterator[Job]:
        """A job as it stands, then at each change, until its end."""
        seen: tuple[int, int] | None = None
        while True:
            job = await self._look_at(job_id)
            if (job.revision, job.ahead) != seen:
                seen = job.revision, job.ahead
                yield job
            if job.state.is_over:
                return
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._calls.stopping.wait(), _SECONDS_BETWEEN_LOOKS)
            if self._calls.stopping.is_set():
                raise StoppingError(f"the server is stopping; training job {job_id} goes on when it is back")

    async def _look_at(self, job_id: str) -> Job:
        """A job; while the queue cannot be read, whoever follows the job waits for it for a while."""
        give_up = time.monotonic() + _SECONDS_WITHOUT_QUEUE
        while True:
            try:
                return await self._jobs.get(job_id)
            except QueueError:
                if time.monotonic() > give_up or self._calls.stopping.is_set():
                    raise
                await asyncio.sleep(_SECONDS_BETWEEN_LOOKS)

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

    async def _next(self, windows: Iterator[Window], call: Call, *, in_loop: bool) -> Window | None:
        if not in_loop:
            return await self._threads.compute(lambda: next(windows, None), call)
        await asyncio.sleep(0)
        return next(windows, None)

    async def _of_sample(self, request: ser_pb2.PredictRequest, threshold: float, call: Call) -> Prediction:
        """The prediction of a held-out sample; the first one reads the file that they are in."""
        while True:
            model = await self._model(request, call)
            predict = partial(model.predictor.predict_sample, request.sample_name, threshold=threshold)
            try:
                return await self._threads.files(predict, call, model.words)
            except (DamagedError, FileNotFoundError):
                # Deleted or replaced meanwhile? Then `_model` says so, or opens what is there now.
                if self._models.held(*self._key(request)) is model:
                    raise

    async def _model(self, request: _OfModel, call: Call) -> ServedModel:
        place, model_id = self._key(request)
        model = self._models.held(place, model_id)
        if model is None:
            model = await self._threads.shared(
                ("model", place, model_id),
                lambda: self._models.open(place, model_id),
                call,
                f"model {model_id} to be opened",
                keep=lambda opened: self._models.keep(place, model_id, opened),
            )
            metrics.MODELS.set(len(self._models))
        return model

    def _key(self, request: _OfModel) -> tuple[str, str]:
        return self._model_place(request.model_save_path), request.model_id

    def _model_place(self, path: str) -> str:
        return resolve_inside(self._model_root, path, field="model_save_path") if path else self._model_root


def _wrong(field: str, description: str) -> SerError:
    return ConfigError([FieldViolation(field, description)])
