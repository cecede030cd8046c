"""Large archives: unpacked and packed in about the time that plain tarfile takes, while the server answers."""

from __future__ import annotations

import io
import tarfile
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from include.sagemaker_local.containers import archives
from tests.kits.endpoint_kit import Kit, model_archive

ZEROS = 150 << 20


def with_zeros(archive: bytes, target: Path) -> Path:
    """The archive with a file of zeros beside the others: they compress to a thousandth, so that each block of the
    archive holds very many blocks of the file."""
    with tarfile.open(fileobj=io.BytesIO(archive)) as old, tarfile.open(target, "w:gz", compresslevel=6) as new:
        for member in old.getmembers():
            new.addfile(member, old.extractfile(member))
        zeros = tarfile.TarInfo("weights.bin")
        zeros.size = ZEROS
        with Path("/dev/zero").open("rb") as source:
            new.addfile(zeros, source)
    return target


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return with_zeros(model_archive(factor=2), tmp_path_factory.mktemp("large") / "model.tar.gz")


def plain_seconds(archive: Path, folder: Path) -> float:
    """What plain tarfile takes."""
    started = time.perf_counter()
    with tarfile.open(archive, "r:gz") as tar:
        tar.extractall(folder, filter="data")
    return time.perf_counter() - started


def test_a_large_model_is_served_soon_while_s3_answers(sagemaker_local: Any, large: Path, tmp_path: Path) -> None:
    kit = Kit(sagemaker_local)
    plain = plain_seconds(large, tmp_path)
    config = kit.config("ep-large", factor=2)
    kit.s3.put_object(
        Bucket=sagemaker_local.bucket, Key="endpoint-tests/ep-large/model.tar.gz", Body=large.read_bytes()
    )
    slowest, done = [0.0], threading.Event()

    def ask() -> None:
        while not done.wait(0.01):
            started = time.perf_counter()
            kit.s3.list_objects_v2(Bucket=sagemaker_local.bucket, Prefix="endpoint-tests/", MaxKeys=1)
            slowest[0] = max(slowest[0], time.perf_counter() - started)

    asking = threading.Thread(target=ask)
    asking.start()
    started = time.perf_counter()
    try:
        assert kit.create("ep-large", config)["EndpointStatus"] == "InService"
    finally:
        seconds = time.perf_counter() - started
        done.set()
        asking.join()
    assert seconds < 10 * plain + 10, f"{seconds:.1f} s to serve what tarfile unpacks in {plain:.1f} s"
    assert slowest[0] < 2, f"S3 needed {slowest[0]:.1f} s for an answer meanwhile"
    assert kit.invoke("ep-large", "1") == "2.0"


def test_a_folder_comes_back_as_it_was(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub/run.sh").write_text("echo hello")
    (folder / "sub/run.sh").chmod(0o755)
    archives.pack(folder, tmp_path / "a.tar.gz")
    (tmp_path / "back").mkdir()
    archives.unpack(tmp_path / "a.tar.gz", tmp_path / "back")
    assert (tmp_path / "back/sub/run.sh").read_text() == "echo hello"
    assert (tmp_path / "back/sub/run.sh").stat().st_mode & 0o777 == 0o755


def test_an_archive_cannot_lead_out_of_its_folder(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "evil.tar.gz", "w:gz") as tar:
        tar.addfile(tarfile.TarInfo("../outside"), io.BytesIO(b""))
    with pytest.raises(archives.ArchiveError, match="outside the destination"):
        archives.unpack(tmp_path / "evil.tar.gz", tmp_path / "in")
    assert not (tmp_path / "outside").exists()


def test_what_is_no_archive_says_so(tmp_path: Path) -> None:
    (tmp_path / "a.tar.gz").write_bytes(b"not gzip")
    with pytest.raises(archives.ArchiveError, match="not a gzip file"):
        archives.unpack(tmp_path / "a.tar.gz", tmp_path)
