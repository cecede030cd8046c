"""The local serving container against sagemaker-containers, the toolkit of AWS's images: the same, byte by byte.

The oracle is the real sagemaker-containers 2.8.6, in an environment of its own that sees the packages of the jobs.
https://github.com/aws/sagemaker-containers, and serving.py of https://github.com/aws/sagemaker-xgboost-container
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from include.sagemaker_local.containers.model_server import SERVE, SKLEARN, XGBOOST
from tests.conftest import JOBS_PYTHON, free_port
from tests.kits.endpoint_kit import INFERENCE, wait_for

ROOT = Path(__file__).parents[2]
TOOLKIT, NEEDS = "sagemaker-containers==2.8.6.post2", ["flask==3.1.3", "protobuf==3.20.3"]

# What `main` of both images' serving.py does, with the requests of a test instead of gunicorn's.
ORACLE = """
import importlib, json, os, sys
sys.path.insert(0, os.path.join(os.environ["SAGEMAKER_BASE_DIR"], "model", "code"))
from sagemaker_containers.beta.framework import encoders, env, transformer, worker
import numpy
def sklearn_input(body, content_type):
    array = encoders.decode(body, content_type)
    return array.astype(numpy.float32) if content_type in ("text/csv", "application/json") else array
def output(prediction, accept): return worker.Response(encoders.encode(prediction, accept), mimetype=accept)
script = importlib.import_module("inference")
given = {name: getattr(script, name, None) for name in ("input_fn", "predict_fn", "output_fn")}
if getattr(script, "transform_fn", None):
    functions = {"transform_fn": script.transform_fn}
else:
    defaults = {"input_fn": sklearn_input, "predict_fn": lambda data, model: model.predict(data), "output_fn": output}
    functions = {name: function or defaults[name] for name, function in given.items()}
serving = transformer.Transformer(model_fn=script.model_fn, **functions)
serving.initialize()
client = worker.Worker(transform_fn=serving.transform, module_name="inference").test_client()
answers = []
for body, content_type, accept in json.load(sys.stdin):
    headers = {"Accept": accept} if accept else {}
    found = client.post("/invocations", data=body.encode("latin-1"), content_type=content_type, headers=headers)
    answers.append([found.status_code, found.headers["Content-Type"], found.get_data(as_text=True)])
print("\\n" + json.dumps(answers))
"""
ANSWERS = """
from werkzeug.wrappers import Response
def model_fn(model_dir): return None
def input_fn(body, content_type): return [type(body).__name__, content_type, body if isinstance(body, str) else ""]
def predict_fn(data, model): return data
def output_fn(data, accept):
    kind, content_type, body = data
    return {
        "text": lambda: "0.5", "bytes": lambda: b"0.5", "pair": lambda: ("0.5", "text/csv"), "dict": lambda: {"y": 1},
        "charset": lambda: ("0.5", "text/csv; charset=utf-8"), "teapot": lambda: Response("short", 418),
        "plain": lambda: Response("wrong", 400, mimetype="text/plain"), "none": lambda: None, "number": lambda: 0.5,
        "json pair": lambda: ('{"y": 1}', "application/json"), "raises": lambda: 1 / 0,
        "bare": lambda: (b"1", "application/octet-stream"),
    }.get(body, lambda: f"{kind} {content_type} {accept}")()
"""
TRANSFORM = """
def model_fn(model_dir): return 3
def transform_fn(model, body, content_type, accept): return f"{model} {type(body).__name__} {content_type}", accept
"""
DEFAULTS = """
import numpy
class Model:
    def predict(self, data): return numpy.atleast_2d(data).sum(axis=1)
def model_fn(model_dir): return Model()
"""
TRAIN = """
import json, sys, numpy, xgboost
folder, names = sys.argv[1], sys.argv[2].split(",")
values = numpy.random.default_rng(1).random((200, len(names)))
data = xgboost.DMatrix(values, (values.sum(axis=1) > len(names) / 2).astype(int))
xgboost.train({"objective": "binary:logistic", "max_depth": 2}, data, 3).save_model(folder + "/model.ubj")
json.dump({"columns": names, "encodings": {}}, open(folder + "/features.json", "w"))
"""
KINDS = ("text", "bytes", "pair", "dict", "charset", "teapot", "plain", "none", "number", "json pair", "raises", "bare")
Case = tuple[str, str, str]
ROWS: list[Case] = [
    (body, kind, accept)
    for body in ("0.1,0.2,0.3", "0.1,0.2,0.3\n0.3,,0.1\n", "a,b,c", "0.1", "", "\xff")
    for kind, accept in (("text/csv", "text/csv"), ("text/csv; charset=utf-8", "*/*"), ("text/csv", ""))
] + [
    ("0.1,0.2,0.3", "text/csv", "image/png"),
    ('{"instances": [{"a": 1, "b": null, "c": 0.5}]}', "application/json", "application/json"),
    ('{"instances": [{"a": 1}]}', "application/json", "text/csv"),
    ("{", "application/json", "application/json"),
    ("0.1", "image/png", "text/csv"),
]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def oracle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of an environment with the toolkit; skips the tests where it cannot be installed."""
    folder = tmp_path_factory.mktemp("oracle")
    subprocess.run([JOBS_PYTHON, "-m", "venv", folder / "v"], check=True)
    python = folder / "v/bin/python"
    where = "import sysconfig; print(sysconfig.get_path('purelib'))"
    ours, theirs = (subprocess.check_output([p, "-c", where], text=True).strip() for p in (python, JOBS_PYTHON))
    (Path(ours) / "jobs.pth").write_text(theirs)
    for packages in (["setuptools<81", "wheel", *NEEDS], ["--no-deps", "--no-build-isolation", TOOLKIT]):
        command = [python, "-m", "pip", "install", "-q", *packages]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        if done.returncode:
            pytest.skip(f"{packages[-1]} cannot be installed here: {done.stderr[-300:]}")
    mapping = Path(ours) / "sagemaker_containers" / "_mapping.py"  # what the image's Dockerfile does with sed
    mapping.write_text(mapping.read_text().replace("collections.Mapping", "collections.abc.Mapping"))
    mapping.write_text(mapping.read_text().replace("import collections\n", "import collections.abc\n"))
    return python


def environment(base: Path, module: str) -> dict[str, str]:
    """Of a serving container."""
    return {
        "PATH": os.defpath,
        "HOME": str(base),
        "SAGEMAKER_BASE_DIR": str(base),
        "SAGEMAKER_PROGRAM": "inference.py",
        "SAGEMAKER_SUBMIT_DIRECTORY": "/opt/ml/model/code",
        "SAGEMAKER_SERVING_MODULE": module,
    }


def of_toolkit(python: Path, base: Path, module: str, cases: list[Case]) -> list[Any]:
    """What sagemaker-containers answers: status, content type, body."""
    command, environ = [python, "-c", ORACLE], environment(base, module)
    done = subprocess.run(command, check=False, input=json.dumps(cases), capture_output=True, text=True, env=environ)
    assert done.returncode == 0, done.stderr
    found: list[Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def of_ours(base: Path, module: str, cases: list[Case]) -> list[Any]:
    """What the local container answers."""
    port = free_port()
    environ = environment(base, module) | {"SAGEMAKER_BIND_TO_PORT": str(port)}
    process = subprocess.Popen([JOBS_PYTHON, "-P", SERVE], env=environ, stdout=subprocess.DEVNULL)

    def answer(method: str, path: str, *request: Any) -> list[Any]:
        connection = HTTPConnection("127.0.0.1", port, timeout=60)
        try:
            connection.request(method, path, *request)
            found = connection.getresponse()
            return [found.status, found.headers["Content-Type"], found.read().decode(errors="replace")]
        finally:
            connection.close()

    def healthy() -> bool:
        try:
            return answer("GET", "/ping")[0] == 200
        except OSError:
            return False

    try:
        wait_for(healthy, "the container", 60)
        return [
            answer("POST", "/invocations", body.encode("latin-1"), {"Content-Type": kind, "Accept": accept})
            for body, kind, accept in cases
        ]
    finally:
        process.kill()
        process.wait()


def compare(oracle: Path, base: Path, cases: list[Case], module: str = XGBOOST) -> list[Any]:
    """The answers of the local container, which are the toolkit's."""
    ours, theirs = of_ours(base, module, cases), of_toolkit(oracle, base, module, cases)
    for case, mine, real in zip(cases, ours, theirs, strict=True):
        assert mine == real, case
    return ours


def with_script(folder: Path, text: str, columns: str = "") -> Path:
    """A container's /opt/ml with this script, and a model of XGBoost with these columns."""
    (folder / "model/code").mkdir(parents=True)
    (folder / "model/code/inference.py").write_text(text)
    if columns:
        subprocess.run([JOBS_PYTHON, "-c", TRAIN, folder / "model", columns], check=True)
    return folder


@pytest.mark.aws_fact("image-html-content-type")
@pytest.mark.aws_fact("image-exception-is-500")
@pytest.mark.aws_fact("invocation-container-defaults")
def test_whatever_a_script_returns(oracle: Path, tmp_path: Path) -> None:
    """A text without a type is HTML, whatever was asked for; an exception is a 500 that does not say why."""
    cases = [(kind, "text/csv", "text/csv") for kind in KINDS]
    types = [("a", "text/csv; charset=utf-8", ""), ("a", "application/json", "*/*"), ("a", "x/y", "text/csv;q=1")]
    found = compare(oracle, with_script(tmp_path, ANSWERS), [*cases, *types])
    answers = dict(zip(KINDS, found, strict=False))
    assert answers["text"] == [200, "text/html; charset=utf-8", "0.5"]
    assert answers["pair"] == [200, "text/csv; charset=utf-8", "0.5"]
    assert answers["plain"] == [400, "text/plain; charset=utf-8", "wrong"]
    assert answers["raises"][:2] == [500, "text/html; charset=utf-8"]
    assert "ZeroDivisionError" not in answers["raises"][2]


def test_transform_fn(oracle: Path, tmp_path: Path) -> None:
    compare(oracle, with_script(tmp_path, TRANSFORM), [("1", "text/csv", "text/csv"), ("1", "a/b", "")])


def test_the_defaults(oracle: Path, tmp_path: Path) -> None:
    """Of the scikit-learn image, which has its functions from the toolkit."""
    rows = [(body, kind, accept) for body, kind, accept in ROWS if kind == "text/csv"]
    more = [("[[1, 2], [3, 4]]", "application/json", accept) for accept in ("application/json", "text/csv", "a/b")]
    compare(oracle, with_script(tmp_path, DEFAULTS), [*rows, *more], SKLEARN)


@pytest.mark.parametrize("script", ["flight_delay", "skeleton", "the tests' own"])
def test_our_scripts(oracle: Path, tmp_path: Path, script: str) -> None:
    """Answers keep their type, and a wrong request is a 4xx with a reason, in AWS's container as in ours."""
    if script == "the tests' own":
        base = with_script(tmp_path, INFERENCE)
        (base / "model/model.json").write_text('{"factor": 2}')
        compare(oracle, base, [("1,2", "text/csv", "text/csv"), ("-1", "text/csv", "text/csv")])
        return
    source = {
        "flight_delay": "include/models/flight_delay/inference.py",
        "skeleton": "plugins/sagemaker_retraining/cli/skeleton/inference.py.txt",
    }[script]
    found = compare(oracle, with_script(tmp_path, (ROOT / source).read_text(), "a,b,c"), ROWS)
    assert {status for status, _, _ in found} <= {200, 400, 406, 415}, "no request is the model's own failure"
    assert found[0][:2] == [200, "text/csv; charset=utf-8"]
    assert all(said for status, _, said in found if status >= 400)
    shutil.rmtree(tmp_path / "model")
