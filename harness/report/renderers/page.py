"""The templates and the style of the page that `renderers.html` writes."""

PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{{ page.headline }}</title>
<style>{{ style }}</style>
</head>
<body>
<main>
{% block report %}
<header>
{% if page.warning %}<p class="warning">{{ page.warning }}</p>{% endif %}
<h1>{{ sweep }}</h1>
{% if page.summary %}<ul class="summary">{% for label, text in page.summary %}
<li><b>{{ label }}</b> {{ text }}</li>{% endfor %}</ul>{% endif %}
<p class="tally">{% for word, number in tally %}<span class="verdict {{ word|kind }}">\
{{ number }} {{ word }}</span> {% endfor %}</p>
</header>
{% for section in page.sections %}
<section>
{% if section.title %}<h2>{{ section.title }}</h2>{% endif %}
{% for block in section.blocks %}{{ draw(block) }}
{% endfor %}
</section>
{% endfor %}
{% endblock %}
</main>
</body>
</html>
"""

FRAGMENT = """\
<div class="sweep-report">
<style>.sweep-report { {{ style }} }</style>
{% if first %}<p class="note">{{ first }}</p>{% endif %}
{{ reports }}
{% if notes %}<details><summary>{{ about }}</summary><ul class="note">
{% for note in notes %}<li>{{ note }}</li>
{% endfor %}</ul></details>{% endif %}
</div>
"""
"""Reports within another page, a notebook's: the style applies to them alone, by nesting."""

TABLE = """\
<div class="wide"><table>
<thead><tr>{% for column in table.columns %}<th{% if column.right %} class="right"{% endif %}>\
{{ column.title }}</th>{% endfor %}</tr></thead>
<tbody>
{% for row in table.rows %}<tr>{% for cell in row %}<td\
{% if table.columns[loop.index0].right %} class="right"\
{% elif table.columns[loop.index0].wrap %} class="wrap"{% endif %}>\
{% if badges and loop.first %}<span class="verdict {{ cell|kind }}">{{ cell }}</span>\
{% else %}{{ cell }}{% endif %}</td>{% endfor %}</tr>
{% endfor %}</tbody>
</table></div>
{% if table.note %}<p class="note">{{ table.note }}</p>{% endif %}
"""

VERDICTS = """\
{% for verdict in verdicts %}
<article class="{{ verdict.verdict|kind }}">
<h3><span class="verdict {{ verdict.verdict|kind }}">{{ verdict.verdict }}</span> \
<code>{{ verdict.id }}</code></h3>
{% if verdict.question %}<p class="question">{{ verdict.question }}</p>{% endif %}
<p>{{ verdict.answer }}</p>
{% if verdict.needs %}<p>Needs: {% for need in verdict.needs %}<code>{{ need }}</code>\
{{ ", " if not loop.last }}{% endfor %}</p>{% endif %}
{% if verdict.method or verdict.details %}<ul class="note">
{% if verdict.method %}<li>{{ verdict.method }}</li>{% endif %}
{% if verdict.verdict == "refuted" %}<li>{{ verdict.reason }}</li>{% endif %}
{% for line in verdict.details %}<li>{{ line }}</li>{% endfor %}
</ul>{% endif %}
</article>
{% endfor %}
"""

STYLE = """
:root { --ink: #1d2327; --soft: #5c6a72; --paper: #fff; --line: #dfe4e7; --wash: #f5f7f8;
  --supported: #1a7f4b; --refuted: #c0362c; --inconclusive: #9a6700; --unanswerable: #7a4fb5;
  --not-judged: #5c6a72; --line0: #1f6fb5; --line1: #c2681d; --line2: #6d7a83; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e8ea; --soft: #9aa7ae; --paper: #15191c; --line: #2e363b; --wash: #1c2226;
    --supported: #4cc38a; --refuted: #ff7b70; --inconclusive: #e0b04a; --unanswerable: #b794f0;
    --not-judged: #9aa7ae; --line0: #62aef0; --line1: #f0a05c; --line2: #93a1aa; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, -apple-system, "Segoe UI", "Noto Sans", sans-serif; }
main { max-width: 56rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0.5rem 0; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 0.75rem; }
h3 { font-size: 1rem; margin: 0; font-weight: 500; overflow-wrap: anywhere; }
p { margin: 0.5rem 0; overflow-wrap: anywhere; }
code { font: 0.9em ui-monospace, "SF Mono", Menlo, Consolas, "DejaVu Sans Mono", monospace; }
.warning { background: var(--refuted); color: var(--paper); font-weight: 600; padding: 0.6rem 1rem;
  border-radius: 6px; }
.tally { display: flex; flex-wrap: wrap; gap: 0.4rem; }
.summary { list-style: none; padding: 0.6rem 1rem; margin: 0.75rem 0; background: var(--wash);
  border-left: 4px solid var(--line0); border-radius: 4px; overflow-wrap: anywhere; }
.summary li { margin: 0.15rem 0; }
.note, figcaption { color: var(--soft); font-size: 0.85rem; }
ul.note { padding-left: 1.2rem; margin: 0.5rem 0 0; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 0.9rem; }
th { text-align: left; font-weight: 500; color: var(--soft); vertical-align: bottom;
  border-bottom: 1px solid var(--line); }
th, td { padding: 0.25rem 1.1rem 0.25rem 0; white-space: nowrap; }
tbody tr:hover { background: var(--wash); }
.right { text-align: right; }
td.wrap { white-space: normal; min-width: 10rem; overflow-wrap: anywhere; }
.verdict { display: inline-block; border-radius: 999px; padding: 0 0.6rem; font-size: 0.85rem;
  font-weight: 600; border: 1px solid currentColor; }
.supported { color: var(--supported); } .refuted { color: var(--refuted); }
.inconclusive { color: var(--inconclusive); } .unanswerable { color: var(--unanswerable); }
.not-judged { color: var(--not-judged); }
article { border-left: 3px solid currentColor; padding: 0.1rem 0 0.1rem 1rem; margin: 1.25rem 0; }
article > *:not(h3) { color: var(--ink); } article > .note, article > .question {
  color: var(--soft); }
article h3 code { color: var(--ink); }
details > summary { cursor: pointer; color: var(--soft); font-size: 0.9rem; }
figure { margin: 1rem 0; }
svg { width: 100%; height: auto; display: block; }
svg text { font-size: 12px; fill: var(--soft); font-variant-numeric: tabular-nums; }
svg .grid { stroke: var(--line); } svg .zero { stroke: var(--soft); stroke-dasharray: 3 3; }
svg .error { stroke: var(--soft); stroke-opacity: 0.7; }
svg .good { fill: var(--supported); } svg .other { fill: var(--paper); stroke: var(--soft);
  stroke-width: 1.6; }
svg .behind { fill: none; stroke: var(--soft); stroke-opacity: 0.22; }
svg .mean { fill: none; stroke-width: 2.2; } svg .band { stroke: none !important;
  fill-opacity: 0.13; }
svg .line0 { stroke: var(--line0); } svg .dot.line0, svg .band.line0 { fill: var(--line0); }
svg .line1 { stroke: var(--line1); } svg .dot.line1, svg .band.line1 { fill: var(--line1); }
svg .line2 { stroke: var(--line2); } svg .dot.line2, svg .band.line2 { fill: var(--line2); }
svg .part0 { fill: var(--line0); } svg .part1 { fill: var(--line1); }
svg .part2 { fill: var(--line2); } svg .part3 { fill: var(--unanswerable); }
svg rect { fill-opacity: 0.45; } svg rect + text { fill: var(--ink); }
.key { display: inline-block; margin-right: 1rem; } .key i { display: inline-block; width: 0.7em;
  height: 0.7em; border-radius: 50%; margin-right: 0.4em; }
i.good { background: var(--supported); } i.other { border: 2px solid var(--soft); }
i.line0 { background: var(--line0); } i.line1 { background: var(--line1); }
i.line2 { background: var(--line2); }
i.part0 { background: var(--line0); } i.part1 { background: var(--line1); }
i.part2 { background: var(--line2); } i.part3 { background: var(--unanswerable); }
"""
