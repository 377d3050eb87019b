"""Downloads that are there in full, or not at all."""

import gzip
import hashlib
import http.client
import os
import threading
import zlib
from collections.abc import Sequence
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

TIMEOUT_S = 10  # to connect, and between two pieces of an answer
PIECE = 1 << 16


class DownloadError(Exception):
    """Why a file could not be had, in one sentence."""


def fetch_unpacked(
    name: str, mirrors: Sequence[str], md5_packed: str, size: int, target: Path
) -> str:
    """Download `name`.gz from the first mirror that has it; return the content's md5.

    What arrives must have the md5 given, and its content the size in bytes. The
    target appears only when all of it is on the disk, so neither an interruption
    nor a second process at the same time can leave half a file.
    """
    part = target.with_name(f"{target.name}.{os.getpid()}-{threading.get_ident()}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with open(part, "wb") as file:
            content = _first_sound_content(f"{name}.gz", mirrors, md5_packed, size)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, target)
    except OSError as error:
        raise DownloadError(
            f"{target.name} cannot be written to {target.parent.parent.name}/ "
            f"({error.strerror or error})."
        ) from error
    finally:
        _remove(part)
    return hashlib.md5(content).hexdigest()


def md5_of(path: Path) -> str:
    """Return the md5 of a file."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest()


def _first_sound_content(name, mirrors, md5_packed, size):
    """Return the unpacked file from the first mirror whose answer is what it should."""
    reasons = []
    for mirror in mirrors:
        try:
            packed = _download(f"{mirror.rstrip('/')}/{name}", name)
        except (OSError, http.client.HTTPException) as error:
            reasons.append(_reason(error))
            continue
        if hashlib.md5(packed).hexdigest() != md5_packed:
            reasons.append(f"the answer ({len(packed):,} bytes) is not the file")
            continue
        try:
            content = gzip.decompress(packed)
        except (OSError, EOFError, zlib.error):
            content = b""
        if len(content) == size:
            return content
        reasons.append("the file does not unpack to its known size")
    raise DownloadError(f"{name} could not be downloaded ({'; '.join(reasons)}).")


def _download(url, name):
    """Return what a URL answers, with a progress bar where it takes a while."""
    from tqdm.auto import tqdm

    request = Request(url, headers={"User-Agent": "pytorch-by-hand"})
    with urlopen(request, timeout=TIMEOUT_S) as answer:
        total = int(answer.headers.get("Content-Length") or 0) or None
        bar = tqdm(total=total, desc=name, unit="B", unit_scale=True, delay=1)
        with bar:
            pieces = []
            while piece := answer.read(PIECE):
                pieces.append(piece)
                bar.update(len(piece))
    return b"".join(pieces)


def _reason(error):
    """Say in a few words why a mirror gave no answer."""
    if isinstance(error, HTTPError):
        return f"the server answered {error.code}"
    error = getattr(error, "reason", error)  # what urllib has wrapped
    if isinstance(error, TimeoutError):
        return f"no answer within {TIMEOUT_S} seconds"
    if isinstance(error, http.client.HTTPException | ConnectionError):
        return "the connection broke off"
    return "no connection"


def _remove(path):
    try:
        os.remove(path)
    except OSError:
        return  # it was put in place, or never made
