"""How input becomes requests and answers become output: filters, batches, and who says how large they are."""

from __future__ import annotations

import json
from http.client import HTTPMessage
from pathlib import Path
from typing import Any

import pytest

from include.sagemaker_local.containers.model_server import Answer
from include.sagemaker_local.jobs.jsonpath import JsonPath, SelectionError
from include.sagemaker_local.jobs.transform_data import DataError, DataProcessing, batches, parse_processing
from include.sagemaker_local.jobs.transform_settings import BatchSettings, container_environment

RECORD = {"id": 7, "a b": 1, "features": [10, 20, 30, 40]}


@pytest.mark.parametrize(
    ("expression", "value", "selected"),
    [
        ("$", RECORD, RECORD),
        ("$.id", RECORD, 7),
        ("$['a b']", RECORD, 1),
        ('$["id"]', RECORD, 7),
        ("$['id', 'a b']", RECORD, {"id": 7, "a b": 1}),
        ("$.features[1:]", RECORD, [20, 30, 40]),
        ("$.features[-1]", RECORD, 40),
        ("$[1:3]", [0, 1, 2, 3], [1, 2]),
        ("$[:2]", [0, 1, 2, 3], [0, 1]),
        ("$[0,2:]", [0, 1, 2, 3], [0, 2, 3]),
        ("$[2,0]", [0, 1, 2, 3], [2, 0]),
        ("$[9:]", [0, 1], []),
    ],
)
def test_what_a_path_selects(expression: str, value: Any, selected: Any) -> None:
    assert JsonPath.parse(expression).select(value) == selected


@pytest.mark.parametrize("expression", ["", "id", "$..id", "$.*", "$[?(@.id)]", "$[0,'id']", "$[0", "$[]", "$ "])
def test_what_is_no_path_here(expression: str) -> None:
    with pytest.raises(ValueError, match=r"is not of the form \$"):
        JsonPath.parse(expression)


@pytest.mark.parametrize(
    ("expression", "value"), [("$.no", RECORD), ("$[4]", [1]), ("$.id.x", RECORD), ("$[0]", RECORD), ("$['a']", [1])]
)
def test_what_a_value_does_not_have(expression: str, value: Any) -> None:
    with pytest.raises(SelectionError):
        JsonPath.parse(expression).select(value)


def processing(content_type: str = "text/csv", split: str = "Line", **members: str) -> DataProcessing:
    found = parse_processing(
        {
            "TransformInput": {"ContentType": content_type, "SplitType": split},
            "TransformOutput": {"AssembleWith": split},
            "DataProcessing": members,
        }
    )
    assert found is not None
    return found


def payloads(tmp_path: Path, content: bytes, **options: Any) -> list[bytes]:
    file = tmp_path / "input"
    file.write_bytes(content)
    found = batches(file, **{"lines": True, "single": False, "limit": 8, "processing": None, **options})
    return [batch.payload for batch in found]


def test_batches_hold_as_many_records_as_fit(tmp_path: Path) -> None:
    assert payloads(tmp_path, b"11\n22\n33\n4444\n") == [b"11\n22\n33", b"4444"]
    assert payloads(tmp_path, b"11\n22\n33\n4444", limit=0) == [b"11\n22\n33\n4444"]
    assert payloads(tmp_path, b"11\n22", single=True) == [b"11", b"22"]
    assert payloads(tmp_path, b"11\n22\n", lines=False) == [b"11\n22\n"]
    assert payloads(tmp_path, b"") == []


def test_a_record_that_is_too_large(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="Too much data for max payload size"):
        payloads(tmp_path, b"1\n123456789\n")
    assert payloads(tmp_path, b"123456789,1", processing=processing(InputFilter="$[1]")) == [b"1"], (
        "what counts is what is sent"
    )


def test_csv_of_several_rows_in_one_record_is_filtered_and_joined_by_row() -> None:
    work = processing(split="None", InputFilter="$[1:]", JoinSource="Input", OutputFilter="$[0,-1]")
    assert work.request(b"a,1,2\nb,3,4\n") == b"1,2\n3,4"
    assert work.output([b"a,1,2\nb,3,4\n"], b"3\n7\n") == b"a,3\nb,7"
    with pytest.raises(DataError, match="mismatched line count"):
        work.output([b"a,1,2\nb,3,4\n"], b"3\n")


def test_json_that_is_no_object_is_joined_under_a_name() -> None:
    work = processing("application/json", "None", JoinSource="Input")
    assert json.loads(work.output([b"[1, 2]"], b'{"y": 3}')) == {
        "SageMakerInput": [1, 2],
        "SageMakerOutput": {"y": 3},
    }
    with pytest.raises(DataError, match="not valid JSON"):
        work.output([b"[1, 2]"], b"nonsense")


@pytest.mark.aws_fact("transform-execution-parameters")
def test_the_request_comes_before_the_container_and_that_before_the_default() -> None:
    known = {"MaxConcurrentTransforms": 8, "BatchStrategy": "SINGLE_RECORD", "MaxPayloadInMB": 3}
    parameters = Answer(200, HTTPMessage(), json.dumps(known).encode())
    assert BatchSettings.of({}, None) == BatchSettings(1, 6, single=False)
    assert BatchSettings.of({}, Answer(404, HTTPMessage(), b"")) == BatchSettings(1, 6, single=False)
    assert BatchSettings.of({}, Answer(200, HTTPMessage(), b"no json")) == BatchSettings(1, 6, single=False)
    assert BatchSettings.of({}, parameters) == BatchSettings(8, 3, single=True)
    requested = {"MaxConcurrentTransforms": 0, "BatchStrategy": "MultiRecord", "MaxPayloadInMB": 0}
    assert BatchSettings.of(requested, parameters) == BatchSettings(8, 0, single=False)
    assert container_environment(requested) == {
        "SAGEMAKER_BATCH": "true",
        "SAGEMAKER_BATCH_STRATEGY": "MULTI_RECORD",
        "SAGEMAKER_MAX_PAYLOAD_IN_MB": "0",
    }
