"""A plan as one HTML page that needs nothing beside it: no script, no address of elsewhere.

Source: docs/reference/configuration.md#plan
"""

from __future__ import annotations

from typing import Final

import jinja2

from liftlock.domain.configuration.difference import Plan
from liftlock.domain.configuration.shown import plan_wire, summary

_PAGE: Final = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Plan of {{ name }}</title>
<style>
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif; }
body { max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
code, pre { font-family: ui-monospace, monospace; overflow-wrap: anywhere; white-space: pre-wrap; }
article { border-left: .4rem solid #8888; padding: .2rem 1rem; margin: 1rem 0; }
article.widens { border-color: #d33; }
ins { text-decoration: none; background: #d333; } del { background: #3a33; }
.mark { border: 1px solid; border-radius: .3rem; padding: 0 .4rem; font-size: .85rem; }
</style>
<h1>Plan of {{ name }}</h1>
<p>{{ summary }}</p>
<p>Digest: <code>{{ plan.digest }}</code></p>
{% for title, wanted in [("Lets somebody do more than before", true), ("Other changes", false)] %}
{% set chosen = plan.changes | selectattr("widens") | list if wanted else plan.changes | rejectattr("widens") | list %}
{% if chosen %}
<h2>{{ title }} ({{ chosen | length }})</h2>
{% for change in chosen %}
<article{% if change.widens %} class="widens"{% endif %}>
<h3><code>{{ change.resource }}</code></h3>
<p><span class="mark">{{ change.change }}</span>
{% if change.widens %}<span class="mark">widens</span>{% endif %}
{% if change.drift %}<span class="mark">changed beside the files</span>{% endif %}
{{ change.place or "" }}</p>
<ul>
{% for words in change.widens %}<li><ins><code>+ {{ words }}</code></ins></li>{% endfor %}
{% for words in change.narrows %}<li><del><code>- {{ words }}</code></del></li>{% endfor %}
</ul>
<details><summary>Before and after</summary>
<pre>{{ change.before | tojson(indent=2) }}</pre><pre>{{ change.after | tojson(indent=2) }}</pre></details>
</article>
{% endfor %}
{% endif %}
{% endfor %}
</html>
"""
_TEMPLATE: Final = jinja2.Environment(
    autoescape=True, trim_blocks=True, undefined=jinja2.StrictUndefined
).from_string(_PAGE)


def page(name: str, plan: Plan) -> str:
    """Return the page; everything that files and the server say is escaped."""
    return _TEMPLATE.render(name=name, plan=plan_wire(plan), summary=summary(plan))
