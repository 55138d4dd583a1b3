"""A card as an HTML page without network access, scripts or fonts."""

from __future__ import annotations

import re

from halftone import printable

_FRONT_MATTER = re.compile(r"\A---\n.*?\n---\n+", re.DOTALL)
_TITLE = re.compile(r"^<h1>(.*?)</h1>", re.MULTILINE)

_STYLE = """\
:root { --ink: #1c1f23; --soft: #59616a; --rule: #d5d9de; --paper: #fff; --panel: #f5f6f8; }
@media screen and (prefers-color-scheme: dark) {
  :root { --ink: #e6e8ea; --soft: #a3abb3; --rule: #41464d; --paper: #16181b; --panel: #202327; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 52rem; padding: 1.5rem 1rem 4rem; background: var(--paper);
  color: var(--ink); font: 1rem/1.5 system-ui, "Segoe UI", Roboto, "Liberation Sans", Arial,
  sans-serif; overflow-wrap: anywhere; }
h1 { margin: 0 0 1rem; font-size: 1.9rem; line-height: 1.2; }
h2 { margin: 2.25rem 0 .75rem; padding-top: .75rem; border-top: 1px solid var(--rule);
  font-size: 1.25rem; }
p, ul { margin: .6rem 0; max-width: 42rem; }
ul { padding-left: 1.25rem; }
.scroll { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .3rem 1.25rem .3rem 0; border-bottom: 1px solid var(--rule); text-align: left;
  vertical-align: top; overflow-wrap: break-word; }
th { color: var(--soft); font-size: .875rem; font-weight: 600; }
th:last-child, td:last-child { padding-right: 0; }
td[style] { white-space: nowrap; }  /* of numbers: aligned to the right */
td:first-child { min-width: 6rem; max-width: 18rem; }
code, pre { font-family: ui-monospace, "Cascadia Mono", Menlo, Consolas, "Liberation Mono",
  monospace; font-size: .85em; }
pre { padding: .75rem 1rem; overflow-x: auto; background: var(--panel); }
pre code { font-size: .95em; }
a { color: inherit; }
@media (max-width: 30rem) { table { font-size: .875rem; } th, td { padding-right: .6rem; }
  td:first-child { max-width: 9rem; } pre { white-space: pre-wrap; } }
@media print { @page { margin: 15mm; } body { max-width: none; padding: 0; font-size: 10pt; }
  h2 { break-after: avoid; } tr { break-inside: avoid; } }
"""

_PAGE = """\
<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>
{style}</style>
</head>
<body>
{body}
</body>
</html>
"""


def render_page(text: str) -> str:
    """Return a card as HTML; its front matter is left out.

    Args:
        text: Markdown with one heading of the first level. It must hold no HTML, see
            `markdown_text.escape`.
    """
    import markdown  # here: most jobs write no card before their end

    body: str = markdown.markdown(
        _FRONT_MATTER.sub("", text), extensions=["tables", "fenced_code", "sane_lists"]
    )
    body = body.replace("<table>", '<div class="scroll">\n<table>')
    body = body.replace("</table>", "</table>\n</div>")
    heading = _TITLE.search(body)
    title = re.sub(r"<[^>]+>", "", heading[1]) if heading else printable.escape_html("Card")
    return _PAGE.format(title=title, style=_STYLE, body=body)
