"""The page of a card."""

from __future__ import annotations

import re

import card_pages
from halftone.card import page

CARD = """\
---
license: other
---

# Model card: a &lt;b&gt;

Version `v`.

| class | images |
| --- | ---: |
| cat | 1 |

```yaml
name: <b>
```
"""


def test_the_page_shows_the_card_without_its_front_matter() -> None:
    text = page.render_page(CARD)
    assert text.split("<body>")[1] == (
        """
<h1>Model card: a &lt;b&gt;</h1>
<p>Version <code>v</code>.</p>
<div class="scroll">
<table>
<thead>
<tr>
<th>class</th>
<th style="text-align: right;">images</th>
</tr>
</thead>
<tbody>
<tr>
<td>cat</td>
<td style="text-align: right;">1</td>
</tr>
</tbody>
</table>
</div>
<pre><code class="language-yaml">name: &lt;b&gt;
</code></pre>
</body>
</html>
"""
    )
    assert "<title>Model card: a &lt;b&gt;</title>" in text


def test_the_page_loads_nothing() -> None:
    text = page.render_page(CARD)
    assert "default-src 'none'" in text
    assert not re.search(r"<script|https?:|url\(|@import", text)
    assert re.findall(r'(?:src|href)="([^"]*)"', text) == ["data:,"]


def test_a_card_without_a_heading_has_a_title() -> None:
    assert "<title>Card</title>" in page.render_page("text\n")
    assert card_pages.read("text\n").blocks == [("p", "text")]
