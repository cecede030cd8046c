"""The summary for people at the end of `make run`."""

from __future__ import annotations

import os
import re

from rich.console import Console

from include.laptop.layout import LAST_RUN
from include.laptop.run.jobs import JobSummary
from include.laptop.run.result import Result


def print_summary(console: Console, result: Result) -> None:
    """Everything that is known about the run, a line each; on failure the reason comes last, where the eye is."""
    console.print()
    for heading, text in lines(result):
        console.print(f"{heading:<12} {text}", highlight=False, markup=False, soft_wrap=True)
    console.print(f"{'for programs':<12} {os.path.relpath(LAST_RUN)}", highlight=False)
    if result.error:
        console.print(f"\n{result.error}", style="red", highlight=False, markup=False, soft_wrap=True)


def lines(result: Result) -> list[tuple[str, str]]:
    """(heading, text) of what is known."""
    found = [("run", f"{result.run_id}: {result.state}")]
    if result.metrics["challenger"]:
        found.append(("challenger", metrics_text(result.metrics["challenger"])))
        found.append(("champion", champion_text(result)))
    found += [spot_line(job) for job in result.jobs if job["step"] == "train"]
    if result.resumed:
        found.append(("", result.resumed))
    if result.model_package_arn:
        found.append(("version", result.model_package_arn))
    if result.approval and result.approval["by"]:
        found.append(("approval", "{status} by {by}: {reason}".format(**result.approval)))
    if result.endpoint:
        found.append(
            ("endpoint", "{name} is {status} on {config}; {capture_objects} capture objects".format(**result.endpoint))
        )
    if result.prediction:
        found.append(("prediction", "{online} (the evaluation computed {offline})".format(**result.prediction)))
    if result.predictions:
        found.append(("predictions", result.predictions))
    if result.memory_bytes:
        found.append(("memory", f"local SageMaker {result.memory_bytes / 1000**2:.0f} MB"))
    found.append(("time", time_text(result)))
    if result.report:
        found.append(("report", os.path.relpath(result.report)))
    return found


def champion_text(result: Result) -> str:
    """Its metrics; or that there is none; or which one there is, and why it was not compared with."""
    if result.not_compared:
        return f"not compared with {result.not_compared}"
    champion = result.metrics["champion"]
    return metrics_text(champion) if champion else "none to compare with"


def metrics_text(metrics: dict[str, float | None]) -> str:
    """`auc 0.6712, accuracy 0.8123`: the first four; all are in the report. None is a metric that was not finite."""
    first = list(metrics.items())[:4]
    return ", ".join(f"{name} nan" if value is None else f"{name} {value:.4f}" for name, value in first)


def spot_line(job: JobSummary) -> tuple[str, str]:
    """What Spot did to the training and what it saved, or that it was left."""
    count = job["instance_count"]
    training = f"{job['training_seconds']} s of training on {count} instance{'s' if count > 1 else ''}"
    if not job["spot"]:
        why = ", because Spot had no capacity" if re.search(r"-g\d+$", job["name"]) else ""
        return "on demand", f"{training}, all billed{why}"
    times = "once" if job["interruptions"] == 1 else f"{job['interruptions']} times"
    return "spot", (
        f"{training}, {job['billable_seconds']} s billed: {job['savings_pct']:.0f} % saved; interrupted {times}"
    )


def time_text(result: Result) -> str:
    """Total, phases, and the tasks that took a second or more."""
    phases = ", ".join(f"{name} {seconds:.0f} s" for name, seconds in result.phases.items())
    tasks = ", ".join(f"{name} {task['seconds']:.0f} s" for name, task in result.tasks.items() if task["seconds"] >= 1)
    return f"{result.seconds:.0f} s: {phases}" + (f" ({tasks})" if tasks else "")
