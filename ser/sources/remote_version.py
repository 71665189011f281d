"""Whether a file behind HTTP still is what it was: asked at every run, without fetching it."""

from __future__ import annotations

import re
from collections.abc import Mapping

import urllib3

from ser.errors import DownloadError
from ser.storage.access import Access, shown_address

# A run waits for an answer, and goes on without one where the file is there already: half a minute at most.
_TIMEOUT = urllib3.Timeout(connect=4.0, read=6.0)
_RETRY = urllib3.Retry(total=6, connect=1, read=1, status=1, backoff_factor=0.5, status_forcelist=(429, 502, 503, 504))
_TELLING = ("ETag", "Last-Modified")
NO_ADDRESS = "the server redirected to what is no address"
_AGENT = {"User-Agent": "ser"}


def remote_version(url: str, access: Access, description: str) -> dict[str, str]:
    """What a server says of the version that it has now.

    It is asked by HEAD; where that does not tell, because it is refused or no name of a version comes with it, for the
    first byte.

    Args:
        url: The file's address.
        access: What may be fetched.
        description: What to call it in errors.

    Returns:
        `ETag`, `Last-Modified` and `bytes`, as far as the server tells them; empty if it tells nothing.

    Raises:
        DownloadError: If it cannot be reached, or says that there is no such file.
        ForbiddenError: If it must not be fetched.
    """
    try:
        with access.pool(retries=_RETRY, timeout=_TIMEOUT) as pool:
            answer = pool.request("HEAD", url, headers=_AGENT)
            if answer.status == 200 and (told := _told(answer.headers)):
                return told
            answer = pool.request("GET", url, headers={**_AGENT, "Range": "bytes=0-0"}, preload_content=False)
            answer.close()  # whatever else is on its way
    except urllib3.exceptions.HTTPError as error:
        raise DownloadError(f"{description}: {reason_of(error)}") from error
    except ValueError as error:  # of urllib.parse
        raise DownloadError(f"{description}: {NO_ADDRESS}") from error
    if answer.status not in (200, 206):
        raise DownloadError(f"{description}: expected a zip, the server answered {answer.status} {answer.reason}")
    return _told(answer.headers)


def reason_of(error: urllib3.exceptions.HTTPError) -> str:
    """What went wrong, in words."""
    match error:
        case urllib3.exceptions.MaxRetryError(reason=reason) if reason is not None:
            return f"no usable answer after several tries: {reason}"
        case urllib3.exceptions.LocationParseError(location=location):
            return f"the server redirected to {shown_address(location)!r}, which is no address"
        case urllib3.exceptions.ProtocolError():
            return f"the download was cut short: {error}"
        case _:
            return str(error)


def _told(headers: Mapping[str, str]) -> dict[str, str]:
    told = {name: headers[name] for name in _TELLING if headers.get(name)}
    ranged = re.fullmatch(r"bytes 0-0/(\d+)", headers.get("Content-Range", ""))
    size = ranged[1] if ranged else "" if "Content-Range" in headers else headers.get("Content-Length", "")
    # Some servers answer HEAD with a length of 0, whatever there is.
    return {**told, "bytes": size} if size.isdigit() and size != "0" else told
