"""The comparison as a page of its own: tables, and pictures drawn as SVG, so that the worker needs no plot library."""

from __future__ import annotations

import html
from collections.abc import Sequence

from sagemaker_retraining.shadow.document import ShadowDocument

PRODUCTION, SHADOW = "#1d4ed8", "#d97706"
WIDTH, HEIGHT, BINS = 440, 160, 40
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto; padding: 0 1rem; color: #1f2937 }
table { border-collapse: collapse; margin: 1rem 0 } th, td { padding: .25rem .9rem .25rem 0; text-align: left }
th { border-bottom: 1px solid #9ca3af } td + td { font-variant-numeric: tabular-nums }
code { font-size: .85em; overflow-wrap: anywhere }
figure { display: inline-block; margin: 0 1.5rem 1rem 0 } figcaption { color: #4b5563 }
"""


def shadow_report(result: ShadowDocument) -> str:
    """The page, in HTML."""
    versions, difference, same = result["versions"], result["difference"], result["same_share"]
    title = f"{versions['shadow']} in the shadow of {versions['production']}"
    facts = [
        ("requests captured of both", result["pairs"]),
        ("predictions compared", result["predictions"]),
        ("answers that are no numbers", result["not_numbers"]),
        ("the same", None if same is None else f"{100 * same:.2f} %"),
        ("mean difference, shadow minus production", difference["mean"]),
        ("difference without sign: median", difference["p50"]),
        ("90 % are below", difference["p90"]),
        ("99 % are below", difference["p99"]),
        ("largest", difference["max"]),
        ("correlation", result["correlation"]),
    ]
    return "".join(
        [
            f"<!doctype html><html lang=en><meta charset=utf-8><title>{html.escape(title)}</title>",
            f"<style>{STYLE}</style><h1>{html.escape(title)}</h1>",
            f"<p>Endpoint <code>{html.escape(result['endpoint'])}</code>, {_span(result['hours'])}. Production ",
            "answered everybody; the shadow got copies of a part of the requests, and nobody got its answers.</p>",
            "<h2>Both under the same requests</h2>",
            _traffic(result),
            "<h2>How the answers differ</h2>",
            _table((), [(name, formatted(value)) for name, value in facts]),
            _pictures(result["values"]),
            _largest(result["largest"]),
            "</html>\n",
        ]
    )


def formatted(value: float | str | None) -> str:
    """A number with six significant digits; a dash for what is not known."""
    if value is None:
        return "-"
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def histogram(series: Sequence[tuple[str, Sequence[float]]]) -> str:
    """SVG of one or more `(colour, values)` over the same bins, each as a line of steps."""
    low = min(min(values) for _, values in series)
    high = max(max(values) for _, values in series)
    span = (high - low) or 1.0
    counts = []
    for colour, values in series:
        bins = [0] * BINS
        for value in values:
            bins[min(BINS - 1, int((value - low) / span * BINS))] += 1
        counts.append((colour, bins))
    most = max(max(bins) for _, bins in counts)
    lines = []
    for colour, bins in counts:
        steps = "".join(
            f"H{index * WIDTH / BINS:.1f}V{HEIGHT - count / most * (HEIGHT - 10):.1f}"
            for index, count in enumerate(bins)
        )
        lines.append(
            f'<path d="M0 {HEIGHT}{steps}H{WIDTH}V{HEIGHT}" fill="{colour}" fill-opacity=".15" stroke="{colour}"/>'
        )
    labels = (
        f'<text x="0" y="{HEIGHT + 16}">{low:.4g}</text>'
        f'<text x="{WIDTH}" y="{HEIGHT + 16}" text-anchor="end">{high:.4g}</text>'
    )
    return (
        f'<svg width="{WIDTH}" height="{HEIGHT + 22}" font-size="12" role="img">{"".join(lines)}'
        f'<path d="M0 {HEIGHT}H{WIDTH}" stroke="#9ca3af"/>{labels}</svg>'
    )


def _span(hours: float) -> str:
    return f"{hours:.1f} hours" if hours >= 1 else f"{60 * hours:.1f} minutes"


def _traffic(result: ShadowDocument) -> str:
    heads = ("", "version", "requests", "4xx", "5xx", "mean latency", "longest")
    rows = []
    for variant, colour in (("production", PRODUCTION), ("shadow", SHADOW)):
        found = result["traffic"][variant]
        latencies = (found["latency_ms"], found["max_latency_ms"])
        times = [f"{latency:.1f} ms" if latency is not None else "-" for latency in latencies]
        name = f'<span style="color: {colour}">■</span> {variant}'
        counts = [formatted(count) for count in (found["invocations"], found["errors_4xx"], found["errors_5xx"])]
        rows.append((name, html.escape(result["versions"][variant]), *counts, *times))
    return _table(heads, rows)


def _pictures(values: Sequence[Sequence[float]]) -> str:
    if not values:
        return "<p>No request was captured of both variants.</p>"
    old, new = ([pair[side] for pair in values] for side in (0, 1))
    answers = histogram([(PRODUCTION, old), (SHADOW, new)])
    apart = histogram([(SHADOW, [pair[1] - pair[0] for pair in values])])
    return (
        f"<figure>{answers}<figcaption>Predictions of production and of its shadow</figcaption></figure>"
        f"<figure>{apart}<figcaption>Shadow minus production</figcaption></figure>"
    )


def _largest(rows: Sequence[tuple[str, float, float]]) -> str:
    if not rows:
        return ""
    cells = [(f"<code>{html.escape(row[0][:200])}</code>", formatted(row[1]), formatted(row[2])) for row in rows]
    return "<h2>The largest differences</h2>" + _table(("request", "production", "shadow"), cells)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = f"<thead><tr>{''.join(f'<th>{name}</th>' for name in heads)}</tr></thead>" if heads else ""
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table>{head}<tbody>{body}</tbody></table>"
