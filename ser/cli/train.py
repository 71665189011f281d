"""`ser train`: all four steps in this process."""

from __future__ import annotations

from ser.bundles.manifest import REPORT
from ser.bundles.model_store import bundle_folder
from ser.cli import request_options as options
from ser.cli.console import progress_display
from ser.cli.options import AsJson, print_json, print_model
from ser.evaluation.report import REPORT_HTML
from ser.request import TrainRequest
from ser.trainer import run


def command(
    request: options.RequestFile = None,
    remote_url: options.RemoteUrl = None,
    data_path: options.DataPath = None,
    model_save_path: options.ModelSavePath = None,
    model_type: options.ModelType = None,
    model_config: options.ModelConfig = None,
    random_state: options.RandomState = None,
    dataset_load_split_at: options.SplitAt = None,
    dataset_load_normalize: options.Normalize = None,
    dataset_feature_extract_methods: options.Methods = None,
    dataset_virtual_speakers: options.VirtualSpeakers = None,
    dataset_force: options.Force = None,
    as_json: AsJson = False,
) -> None:
    """Train a model on a corpus and evaluate it.

    Every flag is a field of /train, under the same name.
    """
    flags = {name: value for name, value in locals().items() if name not in ("request", "as_json")}
    parsed = options.read_request(request, TrainRequest, **flags)
    with progress_display() as report:
        result = run(parsed, report=report)
    if as_json:
        print_json(result.to_dict())
    else:
        place = parsed.model_save_path
        report_page = bundle_folder(place, result.model_id) / REPORT / REPORT_HTML
        print_model(place, result.model_id, report_page, result.metrics, result.seconds)
        options.print_purpose(parsed.model_type)
