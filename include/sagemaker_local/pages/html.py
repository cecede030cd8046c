"""Small pieces of HTML for the pages that people read. Text goes in as it is; every function here escapes it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from include.sagemaker_local.http.wsgi import Reply

STYLE = """
:root { color-scheme: light dark; --ink: #16191f; --soft: #5f6b7a; --line: #e3e7ec; --page: #f5f7f9; --card: #fff;
  --good: #107c41; --bad: #c62828; --busy: #0b62c4; --odd: #9a6200; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8ebf0; --soft: #9aa6b5; --line: #2b333e; --page: #12161c;
  --card: #1a2029; --good: #4cc38a; --bad: #ff7b72; --busy: #6cb0ff; --odd: #e3b341; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 28px 24px 64px; max-width: 1080px; background: var(--page); color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", "Helvetica Neue", Arial, sans-serif; }
nav { color: var(--soft); }
a { color: var(--busy); text-decoration: none; } a:hover { text-decoration: underline; }
h1 { margin: 4px 0 20px; font-size: 24px; line-height: 1.3; overflow-wrap: anywhere; }
h2 { margin: 0 0 12px; font-size: 16px; }
section { margin: 0 0 18px; padding: 18px 20px; background: var(--card); border: 1px solid var(--line);
  border-radius: 8px; }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(220px, 1fr)); gap: 14px 24px; margin: 0; }
dt { color: var(--soft); font-size: 13px; } dd { margin: 0; overflow-wrap: anywhere; }
.wide { grid-column: 1 / -1; }
.scroll { overflow-x: auto; }
table { width: 100%; border-collapse: collapse; }
th { color: var(--soft); font-size: 13px; font-weight: 500; text-align: left; }
th, td { padding: 7px 16px 7px 0; border-bottom: 1px solid var(--line); vertical-align: top; }
td { font-variant-numeric: tabular-nums; } tr:last-child td { border-bottom: 0; }
h3 { margin: 14px 0 6px; font: 500 13px ui-monospace, Menlo, Consolas, monospace; color: var(--soft); }
pre { margin: 0; padding: 12px 14px; max-height: 560px; overflow: auto; background: var(--page);
  border: 1px solid var(--line); border-radius: 6px; font: 13px/1.5 ui-monospace, Menlo, Consolas, monospace; }
.status { display: inline-block; padding: 0 9px; border: 1px solid; border-radius: 10px; font-size: 13px;
  font-weight: 600; line-height: 20px; vertical-align: 3px; white-space: nowrap; color: var(--odd); }
td .status { vertical-align: baseline; }
.Completed, .Approved { color: var(--good); } .Failed, .Rejected { color: var(--bad); }
.InProgress { color: var(--busy); }
p { margin: 0; white-space: pre-wrap; overflow-wrap: anywhere; } .failure { border-left: 4px solid var(--bad); }
"""
WIDE = 40
"""Characters above which a value does not fit beside others."""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"


class Markup(str):
    """Text that is HTML already."""

    __slots__ = ()


def text(value: object) -> Markup:
    """The value as HTML text; Markup stays as it is."""
    return value if isinstance(value, Markup) else Markup(escape(str(value)))


def link(address: str, label: str) -> Markup:
    """A link to a page of this server."""
    return Markup(f'<a href="{escape(address)}">{escape(label)}</a>')


def badge(status: str) -> Markup:
    """A status in its colour."""
    return Markup(f'<span class="status {escape(status)}">{escape(status)}</span>')


def facts(pairs: Iterable[tuple[str, object]]) -> Markup:
    """Labelled values, several in a row; a long one has a row of its own."""
    cells = (
        f'<div class="{"wide" if len(str(value)) > WIDE else ""}"><dt>{text(label)}</dt><dd>{text(value)}</dd></div>'
        for label, value in pairs
    )
    return Markup("<dl>" + "".join(cells) + "</dl>")


def paragraph(content: str) -> Markup:
    """Running text; its line breaks are kept."""
    return Markup(f"<p>{text(content)}</p>")


def table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> Markup:
    """A table with a head."""
    head = "".join(f"<th>{text(name)}</th>" for name in columns)
    body = "".join("<tr>" + "".join(f"<td>{text(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return Markup(f'<div class="scroll"><table><tr>{head}</tr>{body}</table></div>')


def block(content: str, heading: str = "") -> Markup:
    """Text in a fixed-width font, line by line."""
    above = f"<h3>{text(heading)}</h3>" if heading else ""
    return Markup(f"{above}<pre>{text(content)}</pre>")


def section(heading: str, *parts: object, css: str = "") -> Markup:
    """A card of the page; `#final-metrics` in an address leads to the card *Final metrics*."""
    anchor = heading.lower().replace(" ", "-")
    opening = f'<section id="{escape(anchor)}" class="{escape(css)}"><h2>{text(heading)}</h2>'
    return Markup(opening + "".join(text(p) for p in parts) + "</section>")


def page(title: str, *parts: object, status: int = 200, refresh_seconds: int = 0) -> Reply:
    """A complete page, reloaded every so many seconds when given. It runs no script and loads nothing."""
    refresh = f'<meta http-equiv="refresh" content="{refresh_seconds}">' if refresh_seconds else ""
    html = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"{refresh}<title>{text(title)}</title><style>{STYLE}</style></head><body>"
        + "".join(text(part) for part in parts)
        + "</body></html>"
    )
    headers = [("Content-Type", "text/html; charset=utf-8"), ("Content-Security-Policy", _POLICY)]
    return status, headers, html.encode()
