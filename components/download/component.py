"""Download: an address in, a corpus out."""

from kfp import dsl

from ser_components.images import image


@dsl.component(base_image=image("download"), install_kfp_package=False)
def download(
    data_path: str,
    remote_url: str,
    dataset_force: bool,
    corpus: dsl.Output[dsl.Dataset],
) -> None:
    """Fetches a corpus zip, unpacks it and checks every recording.

    Args:
        data_path: Folder that keeps the zip and the corpus for the next run.
        remote_url: Where the corpus zip resides.
        dataset_force: Redo every stage though its result is there.
        corpus: Folder with the audio files and corpus.json.
    """
    from pathlib import Path

    from ser.cli.console import step_console
    from ser.config import parse
    from ser.request import DownloadConfig
    from ser.steps.download import download

    with step_console() as report:
        config = parse(
            DownloadConfig,
            {"data_path": data_path, "remote_url": remote_url, "dataset_force": dataset_force},
        )
        download(config, Path(corpus.path), report=report)
