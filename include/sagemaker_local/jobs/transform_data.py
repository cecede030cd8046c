"""The data of a transform job: input files as requests of the right size, answers as output, joined and filtered."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from include.sagemaker_local.jobs.job import TransformJob
from include.sagemaker_local.jobs.jsonpath import JsonPath, SelectionError

CSV, JSON = "csv", "json"
MEGABYTE = 1024 * 1024
_FORMATS = {"text/csv": CSV, "application/json": JSON, "application/jsonlines": JSON}


class DataError(Exception):
    """An input file, or the answer to a part of it, cannot be used; the text goes to the job's data log."""


@dataclass(frozen=True)
class Batch:
    """One request: what is sent, and the records of the input file it was made of."""

    payload: bytes
    records: tuple[bytes, ...]


@dataclass(frozen=True)
class DataProcessing:
    """DataProcessing: what of a record is sent, and what of record and answer is stored."""

    kind: str
    """`csv` or `json`."""
    input_filter: JsonPath
    output_filter: JsonPath
    join: bool
    lines: bool
    """Each line is a record (SplitType Line)."""

    def request(self, record: bytes) -> bytes:
        """The part of a record that the model gets."""
        if self.input_filter.everything:
            return record
        return self._written([self._select(self.input_filter, document) for document in self._read(record)])

    def output(self, records: Sequence[bytes], answer: bytes) -> bytes:
        """What is stored for an answer."""
        if not self.join and self.output_filter.everything:
            return answer
        documents = self._read(answer)
        if self.join:
            inputs = [document for record in records for document in self._read(record)]
            if len(inputs) != len(documents):
                raise DataError("Fail to join data: mismatched line count between the input and the output")
            documents = [self._joined(before, after) for before, after in zip(inputs, documents, strict=True)]
        return self._written([self._select(self.output_filter, document) for document in documents])

    def _joined(self, before: Any, after: Any) -> Any:
        if self.kind == CSV:
            return before + after
        known = before if isinstance(before, dict) else {"SageMakerInput": before}
        return {**known, "SageMakerOutput": after}

    def _select(self, path: JsonPath, document: Any) -> Any:
        try:
            return path.select(document)
        except SelectionError as error:
            raise DataError(f"ClientError: the filter cannot be applied: {error}") from error

    def _read(self, data: bytes) -> list[Any]:
        """CSV: a list for each row. JSON: a value for each line, or one for everything when lines are no records."""
        try:
            text = data.decode()
            if self.kind == CSV:
                return [row for row in csv.reader(io.StringIO(text, newline="")) if row]
            parts = [line for line in text.splitlines() if line.strip()] if self.lines else [text]
            return [json.loads(part) for part in parts]
        except (ValueError, csv.Error) as error:
            raise DataError(f"ClientError: the data is not valid {self.kind.upper()}: {error}") from error

    def _written(self, documents: list[Any]) -> bytes:
        if self.kind == JSON:
            return "\n".join(json.dumps(document) for document in documents).encode()
        text = io.StringIO()
        rows = [document if isinstance(document, list) else [document] for document in documents]
        csv.writer(text, lineterminator="\n").writerows(rows)
        return text.getvalue().removesuffix("\n").encode()


def parse_processing(request: TransformJob) -> DataProcessing | None:
    """DataProcessing of a transform job, None when it changes nothing. Raises ValueError for what is not possible."""
    given = request.get("DataProcessing", {})
    input_filter, output_filter = (
        JsonPath.parse(given.get("InputFilter", "$")),
        JsonPath.parse(given.get("OutputFilter", "$")),
    )
    join = given.get("JoinSource") == "Input"
    if input_filter.everything and output_filter.everything and not join:
        return None
    source, target = request["TransformInput"], request["TransformOutput"]
    kind = _format("TransformInput.ContentType", source.get("ContentType"))
    if (accept := target.get("Accept")) and _format("TransformOutput.Accept", accept) != kind:
        raise ValueError(f"TransformOutput.Accept {accept} does not go with ContentType {source['ContentType']}")
    split = source.get("SplitType", "None")
    if join and split != target.get("AssembleWith", "None"):
        raise ValueError("JoinSource Input needs an AssembleWith that is the same as SplitType")
    return DataProcessing(kind, input_filter, output_filter, join, lines=split == "Line")


def _format(member: str, content_type: str | None) -> str:
    name = (content_type or "").partition(";")[0].strip().lower()
    if name not in _FORMATS:
        raise ValueError(f"{member} {content_type} is not one of {', '.join(_FORMATS)}, which DataProcessing needs")
    return _FORMATS[name]


def batches(file: Path, *, lines: bool, single: bool, limit: int, processing: DataProcessing | None) -> Iterator[Batch]:
    """The requests for one input file: of single records, or of as many as `limit` bytes hold (0: no limit).

    Raises DataError for a record that is larger than the limit.
    """
    records: list[bytes] = []
    parts: list[bytes] = []
    size = 0
    for record in _records(file, lines=lines):
        part = processing.request(record) if processing else record
        if limit and len(part) > limit:
            raise DataError("Too much data for max payload size")
        if parts and (single or (limit and size + len(part) > limit)):
            yield Batch(_payload(parts), tuple(records))
            records, parts, size = [], [], 0
        records.append(record)
        parts.append(part)
        size += len(part) + 1
    if parts:
        yield Batch(_payload(parts), tuple(records))


def _payload(parts: list[bytes]) -> bytes:
    """Several records keep a line each; a record alone is sent as it is."""
    return b"\n".join(parts)


def _records(file: Path, *, lines: bool) -> Iterator[bytes]:
    if not lines:
        yield file.read_bytes()
        return
    with file.open("rb") as content:
        for line in content:
            yield line.rstrip(b"\r\n")
