"""Downloads that are there in full, or not at all."""

import gzip
import hashlib
import http.client
import os
import threading
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import Request, urlopen

TIMEOUT_S = 10  # to connect, and between two pieces of an answer
DEADLINE_S = 600  # for all of one file
STALE_S = 3600  # after which a temporary file belongs to a process that was killed
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
        _remove_stale_parts(target)
        part.touch()  # fails now, not after the download, where writing is forbidden
        content = _first_sound_content(f"{name}.gz", mirrors, md5_packed, size)
        with open(part, "wb") as file:
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
            packed = _download(f"{mirror.rstrip('/')}/{name}", name, size + PIECE)
        except (OSError, http.client.HTTPException, ValueError) as error:
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


def _download(url, name, limit):
    """Return what a URL answers, with a progress bar where it takes a while."""
    from tqdm.auto import tqdm

    request = Request(url, headers={"User-Agent": "pytorch-by-hand"})
    ends = time.monotonic() + DEADLINE_S
    pieces, received = [], 0
    with (
        urlopen(request, timeout=TIMEOUT_S) as answer,
        tqdm(total=answer.length, desc=name, unit="B", unit_scale=True, delay=1) as bar,
    ):
        while piece := answer.read1(PIECE):
            pieces.append(piece)
            received += len(piece)
            bar.update(len(piece))
            if received > limit:
                raise ValueError("the answer is too long to be the file")
            if time.monotonic() > ends:
                raise TimeoutError
    return b"".join(pieces)


def _reason(error):
    """Say in a few words why a mirror gave no answer."""
    if isinstance(error, HTTPError):
        return f"the server answered {error.code}"
    error = getattr(error, "reason", error)  # what urllib has wrapped
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, ValueError):
        return f"no sound answer: {error}"
    if isinstance(error, ConnectionRefusedError):
        return "the connection was refused"
    if isinstance(error, http.client.HTTPException | ConnectionError):
        return "the connection broke off"
    return "no connection"


def _remove_stale_parts(target):
    """Clear away what killed processes have left of this file."""
    for part in target.parent.glob(f"{target.name}.*.part"):
        try:
            if time.time() - part.stat().st_mtime > STALE_S:
                part.unlink()
        except OSError:
            continue  # another process was faster


def _remove(path):
    try:
        path.unlink(missing_ok=True)
    except OSError:
        return  # its folder was never made
