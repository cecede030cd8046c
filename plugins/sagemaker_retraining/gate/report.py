"""The decision as a block of the run's HTML report."""

from __future__ import annotations

import html
import re

from sagemaker_retraining.gate.document import GateCheck, GateResult

BLOCK = re.compile(rb"<!-- decision -->(?:.*?<!-- /decision -->)?", re.DOTALL)
REFUSED = {
    "fail": "The run fails; nothing is registered.",
    "skip": "The rest of the run is skipped; nothing is registered.",
    "register_rejected": "The version is registered as Rejected, for the record.",
}
GREEN, RED = "#15803d", "#b91c1c"


def fill_report(page: bytes, decision: GateResult) -> bytes | None:
    """The page with the decision where `<!-- decision -->` is, in place of one that was filled in before.

    None when the page has no such comment. Bytes, because the page may have any encoding: the block is ASCII.
    """
    if not BLOCK.search(page):
        return None
    block = decision_block(decision).encode("ascii", "xmlcharrefreplace")
    return BLOCK.sub(lambda _: b"<!-- decision -->" + block + b"<!-- /decision -->", page, count=1)


def decision_block(decision: GateResult) -> str:
    """A section with verdict, reason, every check and every warning."""
    passed = decision["passed"]
    after = "" if passed else f" {REFUSED[decision['on_failure']]}"
    rows = "".join(check_row(check) for check in decision["checks"])
    warnings = "".join(f"<li>{html.escape(text)}</li>" for text in decision["warnings"])
    return (
        '<section class="decision">'
        f'<h2>Quality gate: <span style="color: {GREEN if passed else RED}">{"passed" if passed else "refused"}</span>'
        f"</h2><p>{html.escape(decision['reason'])}.{after}</p>"
        "<table><thead><tr><th>Check</th><th>Found</th><th>Required</th><th></th></tr></thead>"
        f"<tbody>{rows}</tbody></table>" + (f"<p>Warnings</p><ul>{warnings}</ul>" if warnings else "") + "</section>"
    )


def check_row(check: GateCheck) -> str:
    """One check as a line of the table; colour is never the only sign."""
    cells = "".join(f"<td>{html.escape(check[key])}</td>" for key in ("subject", "found", "required"))
    colour, word = (GREEN, "met") if check["met"] else (RED, "not met")
    return f'<tr>{cells}<td style="color: {colour}">{word}</td></tr>'
