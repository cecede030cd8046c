"""What a reviewer reads under Airflow's *Required Actions*, in Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sagemaker_retraining.gate import format_comparison
from sagemaker_retraining.gate.document import GateResult
from sagemaker_retraining.requests.approval import short_name

if TYPE_CHECKING:
    from mypy_boto3_sagemaker.type_defs import DescribeModelPackageOutputTypeDef


def review_body(package: DescribeModelPackageOutputTypeDef, gate: GateResult, *, report: str, version: str) -> str:
    """What the reviewer reads, in Markdown: both models' metrics, the interval of the difference, warnings, links."""
    facts = package.get("CustomerMetadataProperties", {})
    champion = facts.get("champion")
    against = short_name(champion) if champion else "none"
    lines = [
        f"**{facts.get('model', '')} {facts.get('period', '')}**: {gate['reason']}",
        "",
        f"| metric | {short_name(package['ModelPackageArn'])} | champion ({against}) | difference |",
        "|---|---|---|---|",
        *(metric_row(name, value, gate.get("champion")) for name, value in gate["challenger"].items()),
        "",
        *comparison_lines(gate),
        *(f"- ⚠ {warning}" for warning in gate.get("warnings", [])),
        "",
        f"[Report]({report}) · [Version in the registry]({version}) · run `{facts.get('run_id', '')}`",
        "",
        "Your answer is written into the Model Registry with your name. A rejection needs a reason.",
    ]
    return "\n".join(lines)


def metric_row(name: str, value: float | None, champion: dict[str, float | None] | None) -> str:
    """A line of the table; what is not known is a dash."""
    old = (champion or {}).get(name)
    difference = f"{value - old:+.4f}" if value is not None and old is not None else "-"
    formatted = [f"{number:.4f}" if number is not None else "-" for number in (value, old)]
    return f"| {name} | {formatted[0]} | {formatted[1]} | {difference} |"


def comparison_lines(gate: GateResult) -> list[str]:
    """The difference in the gate's metric, when evaluate compared, with its interval, when it measured one."""
    comparison = gate.get("comparison")
    if not comparison:
        return []
    count = comparison["samples"]
    samples = f" ({count} bootstrap samples of the same rows)" if count else ""
    return [f"Difference in {gate.get('metric', 'the metric')}: **{format_comparison(comparison)}**{samples}", ""]
