#!/usr/bin/env python3
"""Writes tests/vectors/templates.jsonl: the variables, then small templates, one or more for each
construct, and what PyPI's jinja2 renders them to in the settings of `transformers`.

    make_template_vectors.py > tests/vectors/templates.jsonl"""
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "unit" / "text"))
from template_vectors import reference  # noqa: E402

VARIABLES = {
    "t": "Hello, World", "e": "", "n": None, "i": 7, "f": 2.5, "yes": True, "no": False,
    "u": "\u00c4rger \u4f60\u597d \U0001f600 \u00df\u0130\u03a3\u03a3", "q": "a'b\"c\\d\n\t\u0007\u200b\u00a0",
    "l": [3, 1, 2], "w": ["b", "A", "c", "a"], "m": [1, "x", None, True, 1.5, [2], {"k": "v"}],
    "d": {"b": 1, "a": [1, 2], "C": {"x": "y"}, "items": 5},
    "people": [{"name": "Ann", "age": 30, "job": {"title": "cook"}}, {"name": "Bob", "age": 25},
               {"name": "cid", "age": 30, "job": {"title": "smith"}}],
    "html": "<a href=\"x\">'&'</a>", "lines": "one\ntwo\r\n\n  three\x0bfour\n", "zero": 0,
    "big": 9007199254740993, "floats": [1.0, 0.1, 1e16, 1e-5, 123456789.125, 1e22, -0.0, 1e100, 5e-324],
}

SNIPPETS = r"""
a{{ t }}b
{{ undefined_name }}|{{ n }}|{{ yes }}|{{ i }}|{{ f }}|{{ l }}|{{ d }}|{{ m }}|{{ floats }}|{{ big }}
{{ q }}|{{ [q] }}|{{ [u] }}|{{ {"k": q} }}
{{ "a" "b" 'c' }}|{{ 'x\n\t\\\'\"\x41\u00e9\U0001F600\101\q' }}
{{ 1 + 2 * 3 - 4 / 2 }}|{{ 7 // 2 }}|{{ -7 // 2 }}|{{ 7 % 3 }}|{{ -7 % 3 }}|{{ 2 ** 10 }}|{{ 2 ** -1 }}|{{ 7.5 // 2 }}|{{ -7.5 % 2 }}
{{ -2 ** 2 }}|{{ 1 - -1 }}|{{ +i }}|{{ -f }}|{{ 10 - 3 - 2 }}|{{ 1_000 + 0x1f + 0b11 + 0o17 }}|{{ 1.5e3 }}|{{ 2 / 4 }}
{{ "a" + "b" ~ 1 ~ n ~ yes ~ undefined_name }}|{{ "ab" * 3 }}|{{ 2 * "x" }}|{{ [1] + [2] }}|{{ [0] * 3 }}|{{ (1, 2) + (3,) }}
{{ "%s is %d and %5.2f|%-5s|%05d|%x|%%" % ("a", 7, 2.5, "b", 42, 255) }}|{{ "%s" % t }}|{{ "{} {1}{{x}} {k}".format("a", "b", k="c") if false else "{} {}".format(1, "b") }}
{{ 1 == 1.0 }}|{{ 1 == true }}|{{ "1" == 1 }}|{{ [1, [2]] == [1, [2]] }}|{{ (1,) == [1] }}|{{ {"a": 1, "b": 2} == {"b": 2, "a": 1} }}|{{ n == none }}|{{ undefined_name == undefined_other }}
{{ 1 < 2 < 3 }}|{{ 1 < 3 < 2 }}|{{ "a" < "b" }}|{{ [1, 2] < [1, 3] }}|{{ 2 >= 2 }}|{{ 1 != 2 }}|{{ "Z" < "a" }}
{{ 1 in l }}|{{ 9 not in l }}|{{ "World" in t }}|{{ "b" in d }}|{{ "z" in undefined_name }}|{{ "" in "" }}|{{ not 1 in l }}
{{ yes and no or 5 }}|{{ e or "empty" }}|{{ not e }}|{{ l and t }}|{{ n and undefined_name.x }}
{{ "x" if yes else "y" }}|{{ "x" if no }}|{{ 1 if no else 2 if no else 3 }}|{{ (1 if yes else 2) + 1 }}
{{ l[0] }}|{{ l[-1] }}|{{ t[4] }}|{{ u[1] }}|{{ u[-1] }}|{{ l[9] is defined }}|{{ d["a"][1] }}|{{ d.C.x }}|{{ d["zz"] is undefined }}|{{ l.0 }}|{{ d.items is callable }}
{{ l[1:] }}|{{ l[:-1] }}|{{ l[::-1] }}|{{ t[1:4] }}|{{ t[::-1] }}|{{ u[2:8] }}|{{ u[::2] }}|{{ t[-3:] }}|{{ t[5:2] }}|{{ l[-100:100] }}|{{ (1, 2, 3)[1:] }}|{{ t[8:1:-2] }}
{{ [1, 2,] }}|{{ (1,) }}|{{ () }}|{{ {"a": 1, 2: "b", none: 3, } }}|{{ 1, 2 }}|{{ [] }}{{ {} }}
{{ {"a": {"b": {"c": 1}}}.a.b.c }}|{{ {'x': '}}'} }}
{% if no %}a{% elif yes %}b{% else %}c{% endif %}{% if no %}a{% else %}c{% endif %}{% if e %}x{% endif %}
{% for x in l %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }}{{ x }};{% endfor %}
{% for x in [] %}a{% else %}none{% endfor %}|{% for x in undefined_name %}a{% else %}none{% endfor %}|{% for c in u %}[{{ c }}]{% endfor %}
{% for k in d %}{{ k }}{% endfor %}|{% for k, v in d.items() %}{{ k }}={{ v }};{% endfor %}|{% for a, (b, c) in [(1, (2, 3))] %}{{ a }}{{ b }}{{ c }}{% endfor %}
{% for x in l if x > 1 %}{{ loop.index }}/{{ loop.length }}:{{ x }} {% else %}none{% endfor %}|{% for x in l if x > 9 %}a{% else %}none{% endfor %}
{% for x in l %}{% if x == 1 %}{% continue %}{% endif %}{{ x }}{% endfor %}|{% for x in l %}{% if x == 1 %}{% break %}{% endif %}{{ x }}{% endfor %}
{% for x in l %}{{ loop.previtem }}<{{ x }}>{{ loop.nextitem }}{{ loop.previtem is defined }}{% endfor %}
{% for x in l %}{{ loop.cycle("a", "b") }}{{ loop.changed(x > 1) }}{% for y in l %}{{ loop.depth }}{% endfor %}{{ loop.depth0 }}{% endfor %}
{% set x = 1 %}{% for y in l %}{{ x }}{% set x = y %}{{ x }}{% endfor %}{{ x }}
{% set ns = namespace(x=1, l=[]) %}{% for y in l %}{% set ns.x = ns.x + y %}{% endfor %}{{ ns.x }}{{ ns.nothing is defined }}{{ ns.l }}
{% set a, b = 1, 2 %}{{ a }}{{ b }}{% set (c, d2) = (3, 4) %}{{ c }}{{ d2 }}{% if yes %}{% set a = 9 %}{% endif %}{{ a }}
{% set block %}x{{ i }}{% set inner = 1 %}{% endset %}{{ block }}{{ inner is defined }}{% set up | upper | trim %} abc {% endset %}[{{ up }}]
{% macro m(a, b=2, c="x" ~ b) %}({{ a }},{{ b }},{{ c }}){% endmacro %}{{ m(1) }}{{ m(1, 3) }}{{ m(c=1, a=2) }}{{ m() }}
{% macro more(a) %}{{ a }}{{ varargs }}{{ kwargs }}{% endmacro %}{{ more(1, 2, 3, x=4) }}{% macro rec(n) %}{{ n }}{% if n > 0 %}{{ rec(n - 1) }}{% endif %}{% endmacro %}{{ rec(3) }}
{% set x = 1 %}{% macro sees() %}{{ x }}{{ i }}{% set x = 5 %}{{ x }}{% endmacro %}{% set x = 2 %}{{ sees() }}{{ x }}
{% macro wrap(k) %}<{{ caller(k) }}>{% endmacro %}{% call(v) wrap(3) %}{{ v }}{{ i }}{% endcall %}{% macro bare() %}[{{ caller() }}]{% endmacro %}{% call bare() %}plain{{ i }}{% endcall %}
{% filter upper | replace("A", "b") %}a{{ t }}{% endfilter %}{% with x = 3, y = i %}{{ x }}{{ y }}{% endwith %}{{ x is defined }}
{% generation %}{{ t }}{% set g = 1 %}{% endgeneration %}{{ g is defined }}{% raw %}{{ x }} {% if %} {# #}{% endraw %}
a {#- comment -#} b{# c #}c{#+ d +#}d
{{- t -}} x {{+ t }} {%- if yes -%} y {%- endif -%} z
{% for x in l -%}   {{ x }}   {%- endfor %}|{%- set a = 1 -%}  {{ a }}
{{ t | upper }}{{ t | lower }}{{ u | upper }}{{ u | lower }}{{ "hello-wOrld (foo)" | title }}{{ "hELLO \u00e9" | capitalize }}{{ "it's a dog" | title }}
[{{ "  x y \u00a0" | trim }}]{{ "xxaxx" | trim("x") }}{{ t | replace("l", "LL") }}{{ t | replace("l", "L", 1) }}{{ "ab" | replace("", "-") }}{{ i | string }}{{ n | trim }}
{{ t | length }}{{ u | length }}{{ l | count }}{{ d | length }}{{ undefined_name | length }}
{{ l | join(", ") }}|{{ l | join }}|{{ people | join("; ", attribute="name") }}|{{ m | join("/") }}|{{ t | join("-") }}
{{ undefined_name | default("x") }}{{ undefined_name | d }}{{ e | default("y", true) }}{{ n | default("z") }}{{ n | default("z", boolean=true) }}{{ undefined_name | default(none) }}
{{ l | first }}{{ l | last }}{{ [] | first is defined }}{{ t | first }}{{ l | reverse | list }}{{ t | reverse }}{{ [] | last is defined }}
{{ l | sort }}{{ w | sort }}{{ w | sort(case_sensitive=true) }}{{ l | sort(reverse=true) }}{{ people | sort(attribute="age") | map(attribute="name") | list }}{{ people | sort(true, attribute="name") | map(attribute="name") | join }}
{{ d | dictsort }}{{ d | dictsort(true) }}{{ {"x": 2, "y": 1} | dictsort(by="value") }}{{ {"x": 2, "y": 1} | dictsort(false, "value", true) }}
{{ (w + ["B"]) | unique | list }}{{ (w + ["B"]) | unique(true) | list }}{{ people | unique(attribute="age") | map(attribute="name") | list }}{{ l | min }}{{ l | max }}{{ w | min }}{{ people | max(attribute="age") | string }}{{ [] | min is defined }}
{{ l | sum }}{{ people | sum(attribute="age") }}{{ [1.5, 2] | sum(start=1) }}{{ -3 | abs }}{{ f | round }}{{ 2.675 | round(2) }}{{ 3.5 | round }}{{ 2.5 | round }}{{ 2.1 | round(0, "ceil") }}{{ 2.19 | round(1, "floor") }}{{ 42 | round }}
{{ "12" | int }}{{ " 42.7 " | int }}{{ "x" | int }}{{ "x" | int(5) }}{{ "ff" | int(base=16) }}{{ 3.9 | int }}{{ n | int }}{{ "1.5" | float }}{{ "x" | float(2.5) }}{{ yes | int }}{{ "1_000" | int }}{{ i | float }}
{{ people | selectattr("job") | map(attribute="job.title") | list }}{{ people | map(attribute="job", default="?") | list }}{{ w | map("upper") | join }}{{ w | map("replace", "a", "z") | list }}{{ l | map("string") | list }}
{{ l | select("odd") | list }}{{ l | reject("odd") | list }}{{ m | select | list }}{{ l | select("greaterthan", 1) | list }}{{ people | selectattr("age", "equalto", 30) | map(attribute="name") | list }}{{ people | selectattr("job") | list | length }}{{ people | rejectattr("job", "defined") | list | length }}{{ l | select("in", [1, 2]) | list }}
{% set g = l | select("odd") %}{{ g | list }}{{ g | list }}{% set h = people | selectattr("job") %}{{ h | first | string | length }}{% for x in h %}{{ x.name }}{% endfor %}
{{ d | items | list }}{{ undefined_name | items | list }}{{ d.keys() }}{{ d.values() | list }}{{ "abc" | list }}{{ d | list }}{{ range(3) | list }}{{ range(1, 10, 3) | list }}{{ range(5, 0, -2) | list }}{{ range(4) }}{{ range(2)[1] }}
{{ html | e }}{{ html | safe }}{{ ("<" | safe) + "<" }}{{ "<" + ("<" | safe) }}{{ ("<" | safe) ~ "<" }}{{ "<b>" | escape | upper }}{{ ("<" | safe).replace("<", "<<") }}{{ ("a<" | safe) | replace("<", "<<") }}
{{ lines | indent }}|{{ lines | indent(2, true) }}|{{ lines | indent("> ", blank=true) }}|{{ "x" | indent(first=true) }}
{{ "%s-%s" | format("a", 1) }}{{ "a b  c-d" | wordcount }}{{ t | attr("upper") is callable }}{{ d | attr("b") is defined }}
{{ m | tojson }}|{{ d | tojson(indent=2) }}|{{ q | tojson }}|{{ u | tojson }}|{{ u | tojson(ensure_ascii=true) }}|{{ html | tojson }}|{{ d | tojson(sort_keys=true) }}|{{ d | tojson(separators=(",", ":")) }}|{{ [] | tojson(indent=4) }}{{ {} | tojson(indent=4) }}|{{ floats | tojson }}|{{ {1: 2, none: 3, true: 4, 1.5: 5} | tojson }}|{{ (1, 2) | tojson(indent="\t") }}
{{ '{"a": [1, 2.5, true, null, "x\\u00e9\\n"], "b": {}}' | from_json }}{{ "[1, -2, 1e3]" | from_json | last }}
{{ t.split(", ") }}{{ " a  b ".split() }}{{ "a,b,c".split(",", 1) }}{{ "a,b,c".rsplit(",", 1) }}{{ " a b c ".split(none, 1) }}{{ "abc".split("x") }}{{ "".split() }}{{ "".split(",") }}{{ lines.splitlines() }}{{ lines.splitlines(true) }}
{{ "  x ".strip() }}|{{ "  x ".lstrip() }}|{{ "  x ".rstrip() }}|{{ "xyax".strip("xy") }}|{{ t.startswith("Hell") }}{{ t.endswith(("x", "ld")) }}{{ t.startswith("") }}{{ t.find("o") }}{{ t.rfind("o") }}{{ t.find("zz") }}{{ t.count("l") }}{{ t.index("W") }}
{{ t.upper() }}{{ t.lower() }}{{ "abc dEF".title() }}{{ "they're \u01c6".title() }}{{ "\u00dfx".capitalize() }}{{ t.replace("l", "_", 2) }}{{ "-".join(w) }}{{ "a=b=c".partition("=") }}{{ "a=b=c".rpartition("=") }}{{ "ab".removeprefix("a") }}{{ "ab".removesuffix("b") }}{{ "ab".partition("=") }}
{{ "abc".isalpha() }}{{ "ab1".isalnum() }}{{ "12".isdigit() }}{{ " ".isspace() }}{{ "AB".isupper() }}{{ "ab".islower() }}{{ "".isalpha() }}{{ "A1".isupper() }}{{ "1".islower() }}
{{ d.get("b") }}{{ d.get("zz") }}{{ d.get("zz", 4) }}
{{ d.copy() == d }}{{ l.count(1) }}{{ l.index(2) }}{{ l.copy() }}{{ dict(a=1, b=2) }}{{ dict([("x", 1)]) }}{{ dict({"q": 1}, z=2) }}
{% set x = [1] %}{% set _ = x.append(2) %}{{ x }}{% set p = x.pop(0) %}{{ p }}{{ x }}{{ x.pop() }}{{ x }}
{{ i is number }}{{ yes is number }}{{ i is integer }}{{ yes is integer }}{{ f is float }}{{ t is string }}{{ n is none }}{{ d is mapping }}{{ l is sequence }}{{ t is sequence }}{{ d is sequence }}{{ i is sequence }}{{ l is iterable }}{{ i is iterable }}{{ yes is boolean }}{{ yes is true }}{{ 1 is true }}{{ no is false }}
{{ 4 is even }}{{ 3 is odd }}{{ 9 is divisibleby 3 }}{{ 1 is eq 1 }}{{ 1 is equalto(2) }}{{ 1 is ne 2 }}{{ 2 is gt 1 }}{{ 2 is ge(2) }}{{ 1 is lt 2 }}{{ 1 is le 0 }}{{ 1 is in l }}{{ 5 is not in l }}{{ n is sameas none }}{{ "a" is lower }}{{ "A" is upper }}{{ range is callable }}{{ undefined_name is undefined }}{{ undefined_name is not defined }}{{ "upper" is filter }}{{ "odd" is test }}{{ "zzz" is filter }}
{{ yes is true and no is false }}{{ i is defined and i is number or x }}{{ l | length is eq 3 }}{{ not i is string }}{{ i is string == false }}
{{ strftime_now("%Y-%m-%d") | length }}{{ strftime_now("%d %b") | length }}
{{ raise_exception("no " ~ t) }}
{{ undefined_name.x }}
{{ undefined_name + 1 }}
{{ n.x }}|{{ n["x"] is defined }}
{{ n + 1 }}
{{ 1 + "a" }}
{{ 1 / 0 }}
{{ l | length2 }}
{{ l is zzz }}
{% if no %}{{ l | length2 }}{% endif %}ok
{{ t.nothing() }}
{{ i() }}
{{ d.update({"x": 1}) }}
{% for x in n %}{% endfor %}
{% for x in i %}{% endfor %}
{{ n | length }}
{{ "a" in n }}
{{ l < t }}
{% set ns = 1 %}{% set ns.x = 2 %}
{% for a, b in [(1,)] %}{% endfor %}
{{ undefined_name | tojson }}
{{ range(1000000) }}
{{ "a" in 5 }}
{{ {[1]: 2} }}
{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}
{% macro m(a) %}{% endmacro %}{{ m(z=2) }}
{{ "x
{% if %}
{% endfor %}
{% for x in l %}
{{ 1 + }}
{{ a b }}
{{ (1 }}
{{ 1) }}
{# no end
{% raw %} no end
{{ a is b is c }}
""".strip("\n").split("\n")

LAYOUT = ["\n{% if yes %}\n  a\n{% endif %}\n", "  {% if yes %}  \n  x\n  {% endif %}  \n\ny\n\n", "a\n\n\n", "a\r\nb\rc\r\n",
          "  {# c #}\n  b\n", "\t{%+ if yes %}\n x{%+ endif +%}\n z", "x {% if yes +%}\n y\n{% endif %}", "{% raw -%}\n a \n{%- endraw %}\nb",
          "  {% raw %}\n  a\n  {% endraw %}\n b", "a\n   {{ i }}\n   {{- i }}\n", "a\n  {%- if yes -%}\n b \n{%- endif -%}\n c", "",
          "\n", "{{ i }}\n", "{% set x = 1 %}\n{% set y = 2 %}\n\n{{ x }}{{ y }}\n", "x{% if yes %}\n\n  y{% endif %}\n  z", "\u00a0{%- if yes -%}\u2003a\u3000{%- endif %}",
          "{% if yes %}{% endif %}\n  {% if yes %}a{% endif %}", "{{ 'a' }}  {% if yes %}b{% endif %}", "a  {% if yes %}b{% endif %}", "{#- x -#}\n\n  {% if yes %}b{% endif %}"]


def main():
    print(json.dumps(VARIABLES))
    for source in SNIPPETS + LAYOUT:
        kind, text = reference(source, VARIABLES)
        print(json.dumps({"template": source, "kind": kind, "text": text}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
