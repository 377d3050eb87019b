"""Downloads from a small server on this machine, which misbehaves on demand."""

import contextlib
import errno
import gzip
import hashlib
import multiprocessing
import os
import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
import torch
from torchvision import datasets

from helpers import data, downloads
from helpers.data import load_mnist


def idx_bytes(array):
    """Return an array of bytes in MNIST's file format."""
    header = bytes([0, 0, 8, array.dim()])
    header += b"".join(size.to_bytes(4, "big") for size in array.shape)
    return header + array.to(torch.uint8).numpy().tobytes()


def make_files():
    generator = torch.Generator().manual_seed(0)
    arrays = {}
    for part, rows in (("train", 20), ("t10k", 10)):
        images = torch.randint(256, (rows, 28, 28), generator=generator)
        arrays[f"{part}-images-idx3-ubyte"] = images
        arrays[f"{part}-labels-idx1-ubyte"] = torch.arange(rows) % 10
    return {name: idx_bytes(array) for name, array in arrays.items()}


FILES = make_files()
PACKED = {
    f"{name}.gz": gzip.compress(content, mtime=0) for name, content in FILES.items()
}


class Mirror(ThreadingHTTPServer):
    """A server of the four files; `behaviour` changes how it answers."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Answer)
        self.behaviour = "sound"
        self.asked = []
        self.url = f"http://127.0.0.1:{self.server_port}/files/"

    def handle_error(self, request, client_address):
        """Keep quiet about clients that have gone away."""


class Answer(BaseHTTPRequestHandler):
    def do_GET(self):
        name = self.path.rsplit("/", 1)[-1]
        behaviour = self.server.behaviour
        self.server.asked.append(name)
        content = PACKED[name]
        if behaviour.isdigit():
            self.send_error(int(behaviour))
            return
        if behaviour == "silent":
            time.sleep(1.0)
            return
        length = len(content)
        if behaviour == "html":
            content = b"<html><body>Please log in</body></html>"
            length = len(content)
        elif behaviour == "half":
            content = content[: length // 2]
        elif behaviour == "half with its own length":
            content = content[: length // 2]
            length = len(content)
        elif behaviour == "endless":
            length = 10**12
            content = bytes(10**7)
        elif behaviour == "drip":
            self.send_response(200)
            self.end_headers()
            for _ in range(40):
                self.wfile.write(b"x")
                self.wfile.flush()
                time.sleep(0.05)
            return
        elif behaviour == "redirect to nonsense":
            self.send_response(302)
            self.send_header("Location", "http://[::1")
            self.end_headers()
            return
        elif behaviour == "nothing":
            content, length = b"", 0
        self.send_response(200)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args):
        """Keep quiet."""


@pytest.fixture
def mirror():
    server = Mirror()
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def folder(mirror, monkeypatch, tmp_path):
    """Point the loader to the server, to small files and to an empty folder."""
    sizes = {
        name: (len(content), hashlib.md5(content).hexdigest())
        for name, content in FILES.items()
    }
    resources = [(n, hashlib.md5(content).hexdigest()) for n, content in PACKED.items()]
    monkeypatch.setattr(data, "MNIST_FILES", sizes)
    for source in (datasets.MNIST, datasets.FashionMNIST):
        monkeypatch.setattr(source, "mirrors", [mirror.url])
        monkeypatch.setattr(source, "resources", resources)
    monkeypatch.setattr(downloads, "TIMEOUT_S", 0.3)
    monkeypatch.setattr(downloads, "DEADLINE_S", 1.0)
    monkeypatch.delenv("HELPERS_OFFLINE", raising=False)
    monkeypatch.setenv("HELPERS_DATA", str(tmp_path))
    monkeypatch.setenv("no_proxy", "*")
    return tmp_path


def test_connecting_takes_ten_seconds_at_most():
    assert downloads.TIMEOUT_S <= 10


def files_in(folder):
    return {
        path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }


@pytest.mark.parametrize("dataset", ["MNIST", "FashionMNIST"])
def test_missing_files_are_downloaded_once(folder, mirror, dataset, capsys):
    images = load_mnist(dataset)

    assert images.name == dataset
    assert capsys.readouterr().out == ""
    assert images.train.x.shape == (20, 1, 28, 28)
    assert images.test.y.tolist() == list(range(10))
    assert mirror.asked == list(PACKED)
    files = files_in(folder / dataset)
    files.pop("MD5SUMS", None)
    assert files == FILES

    again = load_mnist(dataset)
    assert torch.equal(again.train.x, images.train.x)
    assert len(mirror.asked) == 4


@pytest.mark.parametrize("dataset", ["MNIST", "FashionMNIST"])
@pytest.mark.parametrize("damage", ["cut short", "one byte changed", "empty"])
def test_damaged_file_is_fetched_again_and_the_others_are_not(
    folder, mirror, dataset, damage
):
    load_mnist(dataset)
    path = folder / dataset / "raw" / "t10k-images-idx3-ubyte"
    content = bytearray(path.read_bytes())
    if damage == "one byte changed":
        content[-1] ^= 1
    else:
        content = content[:-100] if damage == "cut short" else b""
    path.write_bytes(content)

    load_mnist(dataset)

    assert path.read_bytes() == FILES[path.name]
    assert mirror.asked[4:] == ["t10k-images-idx3-ubyte.gz"]


BAD_ANSWERS = {
    "403": "the server answered 403",
    "404": "the server answered 404",
    "503": "the server answered 503",
    "html": r"the answer \(39 bytes\) is not the file",
    "half": "the connection broke off|is not the file",
    "half with its own length": "is not the file",
    "nothing": r"the answer \(0 bytes\) is not the file",
    "silent": "no answer in time",
    "endless": "too long to be the file",
    "drip": "no answer in time",
    "redirect to nonsense": "no sound answer",
}


@pytest.mark.parametrize("behaviour", BAD_ANSWERS)
def test_bad_answer_gets_a_sentence_and_the_offline_default(
    folder, mirror, behaviour, capsys
):
    mirror.behaviour = behaviour

    images = load_mnist()

    assert images.name == "digits"
    printed = capsys.readouterr().out
    assert printed.count("\n") == 1
    assert "MNIST is not here in full, and train-images-idx3-ubyte.gz could" in printed
    assert "stand in" in printed
    assert re.search(BAD_ANSWERS[behaviour], printed), printed
    assert files_in(folder) == {}

    mirror.behaviour = "sound"
    assert load_mnist().name == "MNIST"


def test_server_that_is_not_there_gets_a_sentence(folder, monkeypatch, capsys):
    monkeypatch.setattr(datasets.MNIST, "mirrors", ["http://127.0.0.1:9/"])
    assert load_mnist().name == "digits"
    assert "could not be downloaded (" in capsys.readouterr().out


def test_second_mirror_serves_where_the_first_fails(folder, mirror, monkeypatch):
    monkeypatch.setattr(datasets.MNIST, "mirrors", ["http://127.0.0.1:9/", mirror.url])
    assert load_mnist().name == "MNIST"


def test_failure_half_way_keeps_what_is_whole(folder, mirror):
    class Flaky(dict):
        def __getitem__(self, name):
            if name.startswith("t10k"):
                raise ConnectionError
            return super().__getitem__(name)

    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(globals(), "PACKED", Flaky(PACKED))
        assert load_mnist().name == "digits"
    kept = files_in(folder)
    assert kept == {n: c for n, c in FILES.items() if n.startswith("train")}
    mirror.asked.clear()
    assert load_mnist().name == "MNIST"
    assert all(name.startswith("t10k") for name in mirror.asked)


def test_full_disk_gets_a_sentence_and_leaves_nothing(folder, monkeypatch, capsys):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    assert load_mnist().name == "digits"
    assert "cannot be written to MNIST/ (No space left on device)" in (
        capsys.readouterr().out
    )
    assert files_in(folder) == {}


def test_folder_that_cannot_be_written_is_known_before_any_download(
    folder, mirror, monkeypatch, capsys
):
    (folder / "file").write_text("in the way")
    monkeypatch.setenv("HELPERS_DATA", str(folder / "file"))
    assert load_mnist().name == "digits"
    assert "cannot be written to MNIST/ (" in capsys.readouterr().out
    assert mirror.asked == []


def make_read_only(monkeypatch):
    """Refuse every way in which a file could be made or changed."""

    def refuse(*args, **kwargs):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    def read_only_open(file, mode="r", *args, **kwargs):
        return real(file, mode, *args, **kwargs) if "r" in mode else refuse()

    real = open
    monkeypatch.setattr("builtins.open", read_only_open)
    for name in ("replace", "mkdir", "unlink", "utime"):
        monkeypatch.setattr(os, name, refuse)
    monkeypatch.setattr(Path, "touch", refuse)


def test_read_only_folder_gets_a_sentence(folder, mirror, monkeypatch, capsys):
    make_read_only(monkeypatch)
    assert load_mnist().name == "digits"
    assert "(Read-only file system)" in capsys.readouterr().out
    assert mirror.asked == []


def test_read_only_folder_with_sound_files_is_enough(folder, monkeypatch):
    load_mnist()
    make_read_only(monkeypatch)
    assert load_mnist().name == "MNIST"


@pytest.mark.parametrize("network", ["sound", "503"])
def test_files_put_in_place_by_hand_serve_where_no_hash_is_known(
    folder, mirror, network
):
    raw = folder / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for name, content in FILES.items():
        (raw / name).write_bytes(content)
    mirror.behaviour = network
    assert load_mnist("FashionMNIST").name == "FashionMNIST"


def test_damaged_file_without_a_known_hash_is_fetched_again(folder, mirror, capsys):
    raw = folder / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    for name, content in FILES.items():
        (raw / name).write_bytes(bytes(len(content)))
    mirror.behaviour = "503"
    assert load_mnist("FashionMNIST").name == "digits"
    assert "FashionMNIST is not here in full, and its files are damaged" in (
        capsys.readouterr().out
    )
    mirror.behaviour = "sound"
    assert load_mnist("FashionMNIST").name == "FashionMNIST"


def test_note_beside_the_files_cannot_vouch_for_mnist(folder, mirror):
    load_mnist()
    path = folder / "MNIST" / "raw" / "t10k-labels-idx1-ubyte"
    path.write_bytes(bytes(len(FILES[path.name])))
    note = f"{hashlib.md5(path.read_bytes()).hexdigest()}  {path.name}\n"
    path.with_name("MD5SUMS").write_text(note)
    load_mnist()
    assert path.read_bytes() == FILES[path.name]


def test_unreadable_note_is_written_anew(folder, mirror):
    load_mnist("FashionMNIST")
    note = folder / "FashionMNIST" / "raw" / "MD5SUMS"
    expected = sorted(note.read_text().splitlines())
    note.write_bytes(b"\xff\xfe garbage without an end")
    load_mnist("FashionMNIST")
    assert sorted(note.read_text().splitlines()) == expected


def test_processed_files_of_an_older_torchvision_are_not_taken(folder):
    load_mnist()
    processed = folder / "MNIST" / "processed"
    processed.mkdir()
    for name in ("training.pt", "test.pt"):
        torch.save((torch.zeros(7, 28, 28), torch.zeros(7)), processed / name)
    assert load_mnist().train.x.shape == (20, 1, 28, 28)


@pytest.mark.parametrize("content", [b"no gzip at all", gzip.compress(b"too short")])
def test_packed_file_with_other_content_is_refused(
    folder, monkeypatch, content, capsys
):
    name = "train-images-idx3-ubyte.gz"
    monkeypatch.setitem(PACKED, name, content)
    resources = [(n, hashlib.md5(packed).hexdigest()) for n, packed in PACKED.items()]
    monkeypatch.setattr(datasets.MNIST, "resources", resources)
    assert load_mnist().name == "digits"
    assert "does not unpack to its known size" in capsys.readouterr().out
    assert files_in(folder) == {}


def test_leftovers_of_killed_processes_are_cleared_away(folder):
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    old, new = (raw / f"train-images-idx3-ubyte.{i}.part" for i in (1, 2))
    for part in (old, new):
        part.write_bytes(b"half")
    os.utime(old, (1, 1))
    load_mnist()
    assert not old.exists()
    assert new.exists()


def test_progress_is_shown_in_bytes(folder, monkeypatch):
    seen = []

    class Bar(contextlib.nullcontext):
        def __init__(self, **options):
            super().__init__(self)
            self.total = options["total"]

        def update(self, count):
            seen.append(count / self.total)

    monkeypatch.setattr("tqdm.auto.tqdm", Bar)
    load_mnist()
    assert sum(seen) == pytest.approx(4)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_two_processes_at_once_do_no_harm(folder, mirror):
    context = multiprocessing.get_context("fork")
    torch.set_num_threads(1)
    with context.Pool(2) as pool:
        names = pool.map(_name_of_loaded, range(2), chunksize=1)
    assert names == ["MNIST", "MNIST"]
    assert files_in(folder) == FILES


def _name_of_loaded(_):
    return load_mnist().name


def test_offline_variable_forbids_the_download(folder, mirror, monkeypatch, capsys):
    monkeypatch.setenv("HELPERS_OFFLINE", "1")
    assert load_mnist().name == "digits"
    assert "HELPERS_OFFLINE forbids a download" in capsys.readouterr().out
    assert mirror.asked == []


def test_several_downloads_at_once_do_no_harm(folder):
    with ThreadPoolExecutor(4) as pool:
        names = list(pool.map(lambda _: load_mnist().name, range(4)))
    assert set(names) == {"MNIST"}
    assert files_in(folder) == FILES


def test_interruption_leaves_no_half_file(folder, monkeypatch):
    def interrupted(descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", interrupted)
    with pytest.raises(KeyboardInterrupt):
        load_mnist()
    assert files_in(folder) == {}


def test_unknown_data_set_is_refused_in_words():
    with pytest.raises(ValueError, match="must be MNIST or FashionMNIST, not 'CIFAR'"):
        load_mnist("CIFAR")
