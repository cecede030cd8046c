"""inference.py, out of the artefact: both formats, missing and unknown values, and errors that say what is right."""

from __future__ import annotations

from pathlib import Path

from tests.kits import flight_delay_kit as kit

SETUP = """
import importlib.util, json, math
import numpy as np, pandas as pd
model_dir, test_dir = sys.argv[1:3]
spec = importlib.util.spec_from_file_location("served", model_dir + "/code/inference.py")
served = importlib.util.module_from_spec(spec); sys.modules["served"] = served; spec.loader.exec_module(served)
model = served.model_fn(model_dir)
rows = pd.read_parquet(test_dir)[model.columns].head(300).astype(object)
rows = rows.where(rows.notna(), None)
def csv(frame): return frame.to_csv(header=False, index=False)
def respond(body, kind, accept="text/csv"):
    return served.output_fn(served.predict_fn(served.input_fn(body, kind), model), accept)
def answer(body, kind, accept="text/csv"):
    text, wanted = respond(body, kind, accept)
    assert wanted == accept
    return text
JSON = "application/json"
def error(body, kind="text/csv", accept="text/csv"):
    response = respond(body, kind, accept)
    return [response.status_code, response.mimetype, response.get_data(as_text=True)]
"""

BAD_REQUESTS = {
    "error('1,2,3')": "400 row 1 has 3 columns; expected 28: carrier, origin, dest, month,",
    "error(csv(rows.head(2)) + 'x')": "400 row 3 has 1 columns; expected 28",
    "error(csv(rows.head(1).assign(temp='warm')))": "400 row 1, column temp: 'warm' is not a number",
    "error('')": "400 the request holds no rows",
    "error('a', 'text/plain')": "415 content type 'text/plain' is not supported; send text/csv or application/json",
    "error('[1]', 'application/json')": '400 a JSON request must look like {"instances"',
    "error('{', 'application/json')": "400 the request is no application/json: Expecting property name",
    "error(csv(rows.head(1)), accept='image/png')": "406 accept 'image/png' is not offered; ask for text/csv",
    "error(json.dumps({'instances': [{'tmp': 3}]}), 'application/json')": "400 row 1 has no carrier, origin, dest,",
    "error(bytes([0xff]))": "400 the request is no text/csv: 'utf-8' codec can't decode",
    "error(json.dumps({'instances': [rows.iloc[0].to_dict() | {'temp': 10**400}]}), JSON)": "400 row 1, column temp",
}


def test_csv_and_json_one_and_many_rows_agree(trained: Path, sets: Path) -> None:
    """The same flight has the same probability to the last digit, however it is asked for; equal to XGBoost's own."""
    found = kit.jobs_python(
        SETUP
        + """
import train
many = answer(csv(rows), "text/csv").splitlines()
single = [answer(csv(rows.iloc[[i]]), "text/csv; charset=utf-8").strip() for i in range(len(rows))]
body = json.dumps({"instances": rows.to_dict("records")}).encode()
by_name = json.loads(answer(body, "application/json", "application/json"))["predictions"]
encodings = json.load(open(model_dir + "/features.json"))["encodings"]
own = model.booster.predict(train.matrix(pd.read_parquet(test_dir).head(300), encodings))
print(json.dumps([many == single, [float(m) for m in many] == [p["probability"] for p in by_name],
                  [float(m) for m in many] == own.astype(float).tolist(), len(set(many)) > 250]))
""",
        trained / "model", sets / "test",
    )  # fmt: skip
    assert found == [True, True, True, True]


def test_missing_and_unknown_values(trained: Path, sets: Path) -> None:
    """An empty field and null are the same, an unknown airport counts as missing, an unknown column is ignored."""
    found = kit.jobs_python(
        SETUP
        + """
row = rows.iloc[0].to_dict()
empty = answer(csv(pd.DataFrame([row | {"dest": "", "temp": ""}])), "text/csv")
null = answer(json.dumps({"instances": [row | {"dest": None, "temp": None}]}), "application/json")
extra = answer(json.dumps({"instances": [row | {"dest": None, "temp": None, "tailnum": "N1"}]}), "application/json")
unknown = answer(json.dumps({"instances": [row | {"dest": "XXX", "temp": None}]}), "application/json")
print(json.dumps([empty, null, extra, unknown]))
""",
        trained / "model", sets / "test",
    )  # fmt: skip
    assert len(set(found)) == 1


def test_bad_requests_say_what_is_right(trained: Path, sets: Path) -> None:
    """Each is answered with a status 4xx and its reason, which the endpoint passes on as ModelError."""
    calls = f"print(json.dumps([{', '.join(BAD_REQUESTS)}]))"
    found = kit.jobs_python(SETUP + calls, trained / "model", sets / "test")
    for (call, expected), (status, mimetype, said) in zip(BAD_REQUESTS.items(), found, strict=True):
        wanted_status, message = expected.split(maxsplit=1)
        assert (status, mimetype) == (int(wanted_status), "text/plain"), call
        assert message in said, call
