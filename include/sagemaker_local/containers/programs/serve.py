"""The model server of one endpoint variant: what runs where AWS would run the serving container.

Run under the job environment's Python as `python serve.py`. It follows SageMaker's contract for such a container: the
model is in /opt/ml/model (`SAGEMAKER_BASE_DIR` replaces /opt/ml), the code in its `code/` folder or where
`SAGEMAKER_SUBMIT_DIRECTORY` says, `GET /ping` answers 200 once the model is loaded, `POST /invocations` predicts.

What can be seen from outside is that of sagemaker-containers 2.8.6 (Flask behind gunicorn and nginx), with which AWS's
XGBoost and scikit-learn images serve: `_transformer.py`, `_worker.py` and `_encoders.py` of
https://github.com/aws/sagemaker-containers, and the defaults of `serving.py` of the image's own package. It wants Flask
1.1.1, which does not install beside the packages here, so it is no dependency; a test compares the two. This file needs
nothing of the project, so that it can run in an environment that has only what an image has.
"""

from __future__ import annotations

import csv
import importlib
import io
import json
import os
import signal
import sys
import tarfile
import tempfile
import threading
import time
import traceback
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from socketserver import TCPServer, ThreadingMixIn
from typing import Any

import numpy as np
from werkzeug.exceptions import InternalServerError
from werkzeug.wrappers import Response

ML = "/opt/ml"
BASE = Path(os.environ.get("SAGEMAKER_BASE_DIR", ML))
CSV, JSON, NPY = "text/csv", "application/json", "application/x-npy"
LIBSVM = ("text/libsvm", "text/x-libsvm")
CUSTOM_ATTRIBUTES = "X-Amzn-SageMaker-Custom-Attributes"


class UnsupportedFormatError(Exception):
    """The image's defaults know no such content type."""


def decode(body: Any, content_type: str) -> Any:
    """`_encoders.decode`: an array of what a request holds."""
    if content_type == NPY:
        return np.load(io.BytesIO(body))
    if content_type == JSON:
        return np.array(json.loads(body))
    if content_type == CSV:
        return np.array(list(csv.reader(io.StringIO(body), strict=True))).squeeze().astype(float)
    raise UnsupportedFormatError(f"Content type {content_type} is not supported by this framework.")


def encode(prediction: Any, accept: str) -> str | bytes:
    """`_encoders.encode`: a prediction in the wanted format."""
    if accept == NPY:
        np.save(buffer := io.BytesIO(), prediction)
        return buffer.getvalue()
    if accept == JSON:
        return json.dumps(prediction, default=lambda array: array.tolist())
    if accept == CSV:
        rows = np.array(prediction)
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows.reshape(-1, 1) if rows.ndim == 1 else rows)
        return text.getvalue()
    raise UnsupportedFormatError(f"Content type {accept} is not supported by this framework.")


def output_fn(prediction: Any, accept: str) -> Response:
    """Both images' default."""
    return Response(encode(prediction, accept), mimetype=accept)


class ScikitLearn:
    """What the scikit-learn image does where the script says nothing."""

    @staticmethod
    def input_fn(body: Any, content_type: str) -> Any:
        """CSV, JSON or NPY."""
        array = decode(body, content_type)
        return array.astype(np.float32) if content_type in (CSV, JSON) else array

    @staticmethod
    def predict_fn(data: Any, model: Any) -> Any:
        """`model.predict`."""
        return model.predict(data)


class XGBoost:
    """What the XGBoost image does where the script says nothing."""

    @staticmethod
    def input_fn(body: Any, content_type: str) -> Any:
        """CSV or LIBSVM as a DMatrix; the image's third, RecordIO, is not known here."""
        import xgboost

        kind = content_type.partition(";")[0].strip()
        text = body.decode() if isinstance(body, bytes) else body
        if kind == CSV:
            delimiter = csv.Sniffer().sniff(text.split("\n")[0][:512]).delimiter
            split = "," if delimiter.isalnum() else delimiter
            rows = [["nan" if field == "" else field for field in line.split(split)] for line in text.split("\n")]
            return xgboost.DMatrix(np.array(rows).astype(float))
        if kind in LIBSVM:
            return xgboost.DMatrix(_libsvm(text))
        raise UnsupportedFormatError(f"Content type {kind} is not supported by this framework.")

    @staticmethod
    def predict_fn(data: Any, model: Any) -> Any:
        """`Booster.predict`."""
        return model.predict(data, validate_features=False)


def _libsvm(text: str) -> np.ndarray:
    rows = [dict(pair.split(":") for pair in line.split() if ":" in pair) for line in text.strip().split("\n")]
    numbers = [{int(index): float(value) for index, value in row.items()} for row in rows]
    indices = [index for row in numbers for index in row]
    offset = 1 if indices and min(indices) >= 1 else 0
    data = np.zeros((len(rows), max(indices, default=offset - 1) - offset + 1))
    for number, row in enumerate(numbers):
        for index, value in row.items():
            data[number, index - offset] = value
    return data


class Model:
    """The script and, from the first request on, its model. One at a time, as in a worker of gunicorn's."""

    def __init__(self, script: Any) -> None:
        framework = ScikitLearn if "sklearn" in os.environ.get("SAGEMAKER_SERVING_MODULE", "") else XGBoost
        found = {name: getattr(script, name, None) for name in ("input_fn", "predict_fn", "output_fn")}
        self._transform = getattr(script, "transform_fn", None)
        self._contradicts = self._transform is not None and any(found.values())
        self._input = found["input_fn"] or framework.input_fn
        self._predict = found["predict_fn"] or framework.predict_fn
        self._output = found["output_fn"] or output_fn
        self._script = script
        self._lock = threading.Lock()
        self._loaded = False
        self._model: Any = None
        self._default_accept = os.environ.get("SAGEMAKER_DEFAULT_INVOCATIONS_ACCEPT", JSON)

    def load(self) -> None:
        """Call model_fn, again after it has failed. Raises what it raises."""
        if self._contradicts:
            raise ValueError("Cannot use transform_fn implementation with input_fn, predict_fn, and/or output_fn")
        if self._loaded:
            return
        with self._lock:
            if not self._loaded:
                started = time.monotonic()
                self._model = self._script.model_fn(str(BASE / "model"))
                self._loaded = True
                print(f"model loaded in {time.monotonic() - started:.2f} s, serving", flush=True)

    def answer(self, body: bytes, content_type: str, accept: str) -> Response:
        """To one request. Raises what the script raises, and TypeError where it returns what is no answer."""
        # As _worker.Request does: a type with parameters comes as bytes.
        content: Any = body.decode(errors="replace") if content_type in (CSV, JSON) else body
        wanted = self._default_accept if accept in ("", "*/*") else accept
        with self._lock:
            if self._transform is not None:
                result = self._transform(self._model, content, content_type, wanted)
            else:
                result = self._output(self._predict(self._input(content, content_type), self._model), wanted)
        return as_response(result)


def as_response(result: Any) -> Response:
    """As `Transformer.transform` and then Flask take a result: text without a type is HTML, a dict JSON."""
    if isinstance(result, Response):
        return result
    if isinstance(result, tuple):
        return Response(result[0], mimetype=result[1])
    if isinstance(result, str | bytes | bytearray):
        return Response(result if isinstance(result, str) else bytes(result), mimetype="text/html")
    if isinstance(result, dict | list):
        return Response(json.dumps(result, separators=(",", ":"), sort_keys=True) + "\n", mimetype=JSON)
    raise TypeError(f"The view function returned {type(result).__name__}, which is no response")


class Handler(BaseHTTPRequestHandler):
    """HTTP/1.1 with keep-alive; an answer leaves in one write: no client waits for a delayed acknowledgement."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    model: Model

    def do_GET(self) -> None:
        """`GET /ping`: 200 when the model is loaded, which the first one makes it."""
        if self.path != "/ping":
            self._answer(Response("{}", 404, mimetype="application/octet-stream"))
            return
        try:
            self.model.load()
        except Exception:
            self._answer(failed("Error handling request /ping"))
        else:
            self._answer(Response(mimetype=JSON))

    def do_POST(self) -> None:
        """`POST /invocations`; an exception of the script is a page that does not say why, its traceback in the log."""
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        if self.path != "/invocations":
            self._answer(Response("{}", 404, mimetype="application/octet-stream"))
            return
        try:
            self.model.load()
            answer = self.model.answer(body, self.headers.get("Content-Type", JSON), self.headers.get("Accept", ""))
            answer.get_data()
        except Exception:
            answer = failed("Exception on /invocations [POST]")
        self._answer(answer)

    def _answer(self, answer: Response) -> None:
        data = answer.get_data()
        self.send_response(answer.status_code)
        self.send_header("Content-Type", answer.content_type or "application/octet-stream")
        if attributes := answer.headers.get(CUSTOM_ATTRIBUTES):
            self.send_header(CUSTOM_ATTRIBUTES, attributes)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *args: Any) -> None:
        """No access log: at hundreds of requests a second it would be all that the log group holds."""


def failed(what: str) -> Response:
    """Flask's page for an exception, whose traceback goes to the log."""
    print(f"{what}\n{traceback.format_exc()}", end="", flush=True)
    return Response(InternalServerError().get_body(), 500, mimetype="text/html")


class Server(ThreadingMixIn, TCPServer):
    """Listens on a port that the local SageMaker has reserved (hence SO_REUSEPORT), on loopback only."""

    daemon_threads = True
    allow_reuse_address = True
    allow_reuse_port = True
    request_queue_size = 128


def code_dir(submitted: str) -> Path:
    """The folder of the user's code; an archive in S3, as the SDK's `fit` leaves it, is fetched to /opt/ml/code."""
    if submitted.startswith("s3://"):
        folder = BASE / "code"
        fetch(submitted, folder)
        return folder
    folder = Path(submitted) if submitted else BASE / "model" / "code"
    return folder if folder.is_dir() else BASE / "model" / "code"


def fetch(url: str, folder: Path) -> None:
    """Unpack a tar.gz of S3 into the folder. Where /opt/ml is not the container's own, its code names the real one."""
    import boto3

    bucket, _, key = url.removeprefix("s3://").partition("/")
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(suffix=".tar.gz") as file:
        boto3.client("s3").download_file(bucket, key, file.name)
        with tarfile.open(file.name, "r:gz") as archive:
            archive.extractall(folder, filter="data")
    for path in folder.rglob("*.py") if str(BASE) != ML else ():
        path.write_bytes(path.read_bytes().replace(ML.encode(), str(BASE).encode()))


def main() -> None:
    """Import the script, then listen. One that cannot be imported ends the process, with a traceback in the log."""
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))  # needed where this is PID 1, which ignores it otherwise
    sys.path.insert(0, str(code_dir(os.environ.get("SAGEMAKER_SUBMIT_DIRECTORY", ""))))
    program = os.environ.get("SAGEMAKER_PROGRAM", "inference.py")
    Handler.model = Model(importlib.import_module(program.removesuffix(".py").replace("/", ".")))
    server = Server(("127.0.0.1", int(os.environ["SAGEMAKER_BIND_TO_PORT"])), Handler)
    server.serve_forever()


if __name__ == "__main__":
    main()
