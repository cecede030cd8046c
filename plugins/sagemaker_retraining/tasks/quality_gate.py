"""The quality_gate task's work: read evaluation.json, decide, write the decision down, act on it."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable

from airflow.sdk.exceptions import AirflowFailException, AirflowSkipException

from sagemaker_retraining.gate import GateResult, QualityGateConfig, decide_gate, fill_report
from sagemaker_retraining.gate.document import GateRecord
from sagemaker_retraining.hooks import RetrainingHook
from sagemaker_retraining.outcomes import ProcessingResult
from sagemaker_retraining.requests.processing import EVALUATION, REPORT

log = logging.getLogger(__name__)
GATE = "gate.json"


def run_gate(
    hook: RetrainingHook,
    config: QualityGateConfig,
    evaluated: ProcessingResult,
    push: Callable[[GateResult], None],
) -> GateResult:
    """The decision as a dict, which is also in `evaluation/gate.json` and the report.

    `config` is the plan's `quality_gate`, `evaluated` the XCom of evaluate. `push` gets the decision before anything is
    raised: a refused model's numbers are an XCom, too. Raises AirflowFailException for an unusable evaluation.json and
    for a refused model with `on_failure: fail`, AirflowSkipException with `skip`; neither is retried.
    """
    outputs = evaluated["outputs"]
    uri = f"{outputs['evaluation']}{EVALUATION}"
    try:
        decision = decide_gate(hook.read_json(uri), config, uri)
    except ValueError as error:  # not there, not JSON, or not what the gate needs: the same on every try
        raise AirflowFailException(f"The quality gate cannot decide: {error}") from error
    log.info("Quality gate: %s: %s", "passed" if decision.passed else "refused", decision.reason)
    for warning in decision.warnings:
        log.warning("Quality gate: %s", warning)
    result = decision.to_dict()
    record: GateRecord = {**result, "config": config, "evaluation": uri}
    key, body = config.get("kms_key_arn"), json.dumps(record, indent=2).encode()
    hook.write_bytes(f"{outputs['evaluation']}{GATE}", body, kms_key=key, content_type="application/json")
    if "report" in outputs:
        update_report(hook, f"{outputs['report']}{REPORT}", result, kms_key=key)
    push(result)
    if not decision.passed and decision.on_failure == "fail":
        raise AirflowFailException(f"The quality gate refuses the model: {decision.reason}")
    if not decision.passed and decision.on_failure == "skip":
        raise AirflowSkipException(f"The quality gate refuses the model, the rest is skipped: {decision.reason}")
    return result


def update_report(hook: RetrainingHook, uri: str, decision: GateResult, *, kms_key: str | None) -> None:
    """Put the decision into the report, where the model's report has the marker for it."""
    if not hook.exists(uri):
        log.info("%s is not there: the decision is in %s only", uri, GATE)
        return
    page = fill_report(hook.read_bytes(uri), decision)
    if page is None:
        log.info("%s has no <!-- decision -->: the decision is in %s only", uri, GATE)
        return
    hook.write_bytes(uri, page, kms_key=kms_key, content_type="text/html")
