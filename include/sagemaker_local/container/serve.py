"""The model server of one endpoint variant: what runs where AWS would run the serving container.

Run under the job environment's Python as `python serve.py`. It follows SageMaker's contract for such a container: the
model is in /opt/ml/model (`SAGEMAKER_BASE_DIR` replaces /opt/ml), the code in its `code/` folder or where
`SAGEMAKER_SUBMIT_DIRECTORY` says, `GET /ping` answers 200 once the model is loaded, `POST /invocations` predicts. The
prediction itself is AWS's sagemaker-inference toolkit, with the framework containers' own default for `predict_fn`.
This file needs nothing of the project, so that it can run in an environment that has only the toolkit.
"""

from __future__ import annotations

import os
import signal
import sys
import tarfile
import tempfile
import threading
import time
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import TCPServer, ThreadingMixIn
from typing import Any

from sagemaker_inference import environment
from sagemaker_inference.default_handler_service import DefaultHandlerService
from sagemaker_inference.default_inference_handler import DefaultInferenceHandler
from sagemaker_inference.transformer import Transformer

ML = "/opt/ml"
PASSED_ON = ("Content-Type", "Accept", "X-Amzn-SageMaker-Custom-Attributes", "X-Amzn-SageMaker-Inference-Id")


class ModelContext:
    """The part of the multi-model-server's context that the toolkit and user code read and write, for one request."""

    def __init__(self, model_dir: str) -> None:
        self.system_properties = {"model_dir": model_dir, "gpu_id": None}
        self.request_processor = [self]
        self.begin({})

    def begin(self, headers: dict[str, str]) -> None:
        """Forget the last request."""
        self.headers = headers
        self.status = 200
        self.phrase = "OK"
        self.content_type = "application/json"

    def get_request_properties(self) -> dict[str, str]:
        """The request's headers."""
        return self.headers

    def set_response_content_type(self, index: int, value: str) -> None:
        """The Content-Type of the answer; `index` is the place in the batch, always 0 here."""
        self.content_type = value

    def set_response_status(self, code: int = 200, phrase: str = "", idx: int = 0) -> None:
        """The HTTP status of the answer."""
        self.status = code
        self.phrase = phrase


class FrameworkHandler(DefaultInferenceHandler):  # type: ignore[misc]  # the toolkit has no types
    """What the scikit-learn and XGBoost containers do where the user's code says nothing."""

    def default_predict_fn(self, data: Any, model: Any, context: Any = None) -> Any:
        """`model.predict`, of a DMatrix when the model is a Booster."""
        if type(model).__name__ == "Booster":
            import numpy
            import xgboost

            data = xgboost.DMatrix(numpy.atleast_2d(data))
        return model.predict(data)


class Model:
    """A loaded model. Predictions run one at a time, as in a worker of AWS's: user code need not be thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._context = ModelContext(environment.model_dir)
        self._service = DefaultHandlerService(Transformer(FrameworkHandler()))
        self._service.initialize(self._context)

    def predict(self, body: bytes, headers: dict[str, str]) -> tuple[int, str, bytes]:
        """(HTTP status, content type, body) of the answer; an exception in user code is a 500 with its traceback."""
        with self._lock:
            self._context.begin(headers)
            answer: Any = self._service.handle([{"body": body}], self._context)[0]
            status, content_type = self._context.status, self._context.content_type
        data = answer if isinstance(answer, bytes | bytearray) else str(answer).encode()
        return status, content_type, bytes(data)


class Handler(BaseHTTPRequestHandler):
    """HTTP/1.1 with keep-alive; an answer leaves in one write: no client waits for a delayed acknowledgement."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    model: Model

    def do_GET(self) -> None:
        """`GET /ping`: the server listens only after the model is loaded, so the answer is always 200."""
        self._answer(200 if self.path == "/ping" else 404, "application/json", b"")

    def do_POST(self) -> None:
        """`POST /invocations`."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path != "/invocations":
            self._answer(404, "application/json", b"")
            return
        headers = {name: value for name in PASSED_ON if (value := self.headers.get(name)) is not None}
        status, content_type, data = self.model.predict(body, headers)
        if status >= 400:
            print(f"POST /invocations {status}: {data.decode(errors='replace')}", flush=True)
        self._answer(status, content_type, data)

    def _answer(self, status: int, content_type: str, data: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """No access log: at hundreds of requests a second it would be all that the log group holds."""


class Server(ThreadingMixIn, TCPServer):
    """Listens on a port that the local SageMaker has reserved (hence SO_REUSEPORT), on loopback only."""

    daemon_threads = True
    allow_reuse_address = True
    allow_reuse_port = True
    request_queue_size = 128


def code_dir(submitted: str) -> Path:
    """The folder of the user's code; an archive in S3, as the SDK's `fit` leaves it, is fetched to /opt/ml/code."""
    if submitted.startswith("s3://"):
        folder = Path(environment.base_dir) / "code"
        fetch(submitted, folder)
        return folder
    folder = Path(submitted or environment.code_dir)
    return folder if folder.is_dir() else Path(environment.code_dir)


def fetch(url: str, folder: Path) -> None:
    """Unpack a tar.gz of S3 into the folder. Where /opt/ml is not the container's own, its code names the real one."""
    import boto3

    bucket, _, key = url.removeprefix("s3://").partition("/")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(suffix=".tar.gz") as file:
        boto3.client("s3").download_file(bucket, key, file.name)
        with tarfile.open(file.name, "r:gz") as archive:
            archive.extractall(folder, filter="data")
    for path in folder.rglob("*.py") if environment.base_dir != ML else ():
        path.write_bytes(path.read_bytes().replace(ML.encode(), environment.base_dir.encode()))


def main() -> None:
    """Load the model, then listen. A model that does not load ends the process, with a traceback on standard output."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # needed where this is PID 1, which ignores it otherwise
    sys.path.insert(0, str(code_dir(os.environ.get("SAGEMAKER_SUBMIT_DIRECTORY", ""))))
    started = time.monotonic()
    Handler.model = Model()
    server = Server(("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Handler)
    print(f"model loaded in {time.monotonic() - started:.2f} s, serving", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
