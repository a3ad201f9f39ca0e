"""The local sockets of a real daemon: the unmodified openai client, hostile and careless clients,
and primactl."""
import asyncio
import http.client
import json
import select
import signal
import socket
import subprocess

import openai
import pytest

from daemons import BUILD, SLOW, Daemon, UnixConnection, free_port, tiny_model, wait_for

CONTEXT = 8192
PROMPT = "once upon a time"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_model(tmp_path_factory.mktemp("model"), family="llama", type="Q8_0", layers=3,
                      embd=64, heads=4, heads_kv=2, head=16, ff=128, vocab=300, context=CONTEXT,
                      tokenizer="spm")


@pytest.fixture(scope="module")
def daemon(tmp_path_factory, model):
    http_port = free_port()
    one = Daemon(tmp_path_factory.mktemp("api"), "solo", free_port(),
                 flags=["--context", str(CONTEXT), "--http", f"127.0.0.1:{http_port}"])
    one.http_port = http_port
    one.start()
    try:
        one.add_model(model)
        one.complete(PROMPT)
        yield one
    finally:
        assert one.stop() == 0, one.log.read_text()[-3000:]


@pytest.fixture
def client(daemon):
    return openai.OpenAI(base_url=f"http://127.0.0.1:{daemon.http_port}/v1", api_key="unused",
                         max_retries=0, timeout=120)


def ctl(daemon, *arguments, stdin="", code=0):
    done = subprocess.run([BUILD / "daemon" / "primactl", "--run", daemon.run, *arguments],
                          input=stdin, capture_output=True, text=True, timeout=120)
    assert done.returncode == code, (arguments, done.stdout, done.stderr)
    return done.stdout if code == 0 else done.stderr


# ---- the openai client ----

def test_models(client):
    listed = client.models.list().data
    assert [m.id for m in listed] == ["tiny"]
    assert client.models.retrieve("tiny").id == "tiny"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("none")


def test_a_stream_is_the_whole_answer(client):
    for settings in {"temperature": 0}, {"seed": 5}, {"seed": 5, "top_p": 0.5}:
        asked = dict(model="tiny", prompt=PROMPT, max_tokens=40, **settings)
        whole = client.completions.create(**asked)
        pieces = list(client.completions.create(stream=True, **asked,
                                                stream_options={"include_usage": True}))
        assert "".join(p.choices[0].text for p in pieces if p.choices) == whole.choices[0].text
        assert pieces[-1].usage == whole.usage
        assert pieces[-2].choices[0].finish_reason == whole.choices[0].finish_reason
        assert whole.usage.total_tokens == \
            whole.usage.prompt_tokens + whole.usage.completion_tokens
        assert whole.id.startswith("cmpl-")


def test_seeds(client):
    def text(**settings):
        return client.completions.create(model="tiny", prompt=PROMPT, max_tokens=30,
                                         **settings).choices[0].text

    assert text(seed=1) == text(seed=1)
    assert len({text(seed=n) for n in range(4)}) > 1
    assert len({text() for _ in range(4)}) > 1  # random unless said
    assert len({text(temperature=0) for _ in range(2)}) == 1


def test_chats(client):
    messages = [{"role": "system", "content": "Be brief."},
                {"role": "user", "content": [{"type": "text", "text": "hello"}]}]
    asked = dict(model="tiny", messages=messages, temperature=0, max_completion_tokens=12)
    whole = client.chat.completions.create(**asked)
    assert whole.choices[0].message.role == "assistant"
    pieces = list(client.chat.completions.create(stream=True, **asked))
    assert pieces[0].choices[0].delta.role == "assistant"
    assert "".join(p.choices[0].delta.content or "" for p in pieces) == \
        whole.choices[0].message.content
    assert pieces[-1].choices[0].finish_reason in ("stop", "length")
    assert not pieces[-1].choices[0].delta.content


TEMPLATE = """{{ bos_token }}{% for m in messages %}
{% if m.role == "assistant" and m.tool_calls %}call {{ m.tool_calls[0].function.arguments.city }}
{% elif loop.last and m.role == "system" %}{{ raise_exception("Nobody " ~ "asked.") }}
{% endif %}
[{{ m.role }}] {{ m.content }}</s>
{% endfor %}{% for t in tools or [] %}{{ t.function.name }} {% endfor %}{{ mood }}[assistant]"""
ASKED = [{"role": "user", "content": "once"},
         {"role": "assistant", "content": None, "tool_calls": [
             {"id": "1", "type": "function",
              "function": {"name": "look", "arguments": '{"city": "Ulm"}'}}]},
         {"role": "tool", "tool_call_id": "1", "content": "sun"}]
TOOLS = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
WRITTEN = "[user] once</s>\ncall Ulm\n[assistant] </s>\n[tool] sun</s>\nlook fine[assistant]"


def templated(tmp_path, text, **more):
    """A daemon alone with a model that has this chat template."""
    one = Daemon(tmp_path, "template", free_port(), flags=["--context", "512"])
    one.start()
    one.add_model(tiny_model(tmp_path, family="llama", layers=1, embd=64, heads=4, heads_kv=2,
                             head=16, ff=64, vocab=300, context=512, chat_template=text, **more))
    return one


def test_the_models_template_writes_the_chat(tmp_path):
    one = templated(tmp_path, TEMPLATE)
    try:
        chat = one.good("POST", "/v1/chat/completions", {
            "messages": ASKED, "tools": TOOLS, "chat_template_kwargs": {"mood": "fine"},
            "temperature": 0, "max_tokens": 9, "return_tokens": True}, socket="api")
        plain = one.good("POST", "/v1/completions", {
            "prompt": WRITTEN, "temperature": 0, "max_tokens": 9}, socket="api")
        assert chat["usage"] == plain["usage"]
        assert chat["choices"][0]["message"]["content"] == plain["choices"][0]["text"]
        # a special token that somebody says is plain text, and longer
        said = [one.good("POST", "/v1/chat/completions", {
            "messages": [{"role": "user", "content": text}], "max_tokens": 1},
            socket="api")["usage"]["prompt_tokens"] for text in ("", "</s>")]
        assert said[1] - said[0] == 4
        status, answer = one.ask("POST", "/v1/chat/completions", {
            "messages": [{"role": "system", "content": "x"}]}, socket="api")
        assert status == 400
        assert answer["error"]["message"] == "the model's chat template says: Nobody asked."
    finally:
        assert one.stop() == 0, one.log.read_text()[-3000:]


def test_a_template_that_is_not_understood_is_named(tmp_path):
    one = templated(tmp_path, "{{ messages }}\n{% include 'other' %}",
                    tool_template="{{ tools[0].function.name }}{{ tools | urlize }}")
    try:
        status, answer = one.ask("POST", "/v1/chat/completions",
                                 {"messages": ASKED[:1], "tools": TOOLS}, socket="api")
        assert status == 400 and "the filter \"urlize\"" in answer["error"]["message"]
        for _ in range(2):
            status, answer = one.ask("POST", "/v1/chat/completions", {"messages": ASKED[:1]},
                                     socket="api")
            assert status == 400
            assert "line 2: the statement \"include\"" in answer["error"]["message"]
        assert one.good("POST", "/v1/completions", {"prompt": "once", "max_tokens": 2},
                        socket="api")["usage"]["completion_tokens"]
    finally:
        assert one.stop() == 0, one.log.read_text()[-3000:]


def test_prompts_as_token_ids(client, daemon):
    ids = daemon.good("POST", "/tokenize", {"content": PROMPT, "add_special": True},
                      socket="api")["tokens"]
    text, numbers = (client.completions.create(model="tiny", prompt=p, temperature=0,
                                               max_tokens=10) for p in (PROMPT, ids))
    assert text.choices[0].text == numbers.choices[0].text
    assert text.usage.prompt_tokens == len(ids)
    with pytest.raises(openai.BadRequestError):
        client.completions.create(model="tiny", prompt=[10 ** 6])


def test_stops(client):
    asked = dict(model="tiny", prompt=PROMPT, temperature=0, max_tokens=40)
    text = client.completions.create(**asked).choices[0].text
    stop = text[10:13]
    cut = client.completions.create(stop=[stop, "never there"], **asked).choices[0]
    assert cut.text == text[:text.index(stop)]
    assert cut.finish_reason == "stop"
    pieces = client.completions.create(stop=stop, stream=True, **asked)
    assert "".join(p.choices[0].text for p in pieces) == cut.text


def test_refusals_are_the_clients_exceptions(client):
    for error, word, fields in (
            (openai.NotFoundError, "none", {"model": "none"}),
            (openai.BadRequestError, "\"n\"", {"n": 2}),
            (openai.BadRequestError, "logprobs", {"logprobs": 3}),
            (openai.BadRequestError, "temperature", {"temperature": 9}),
            (openai.BadRequestError, "max_tokens", {"max_tokens": 0}),
            (openai.BadRequestError, str(CONTEXT), {"prompt": "word " * 2 * CONTEXT})):
        with pytest.raises(error) as caught:
            client.completions.create(**{"model": "tiny", "prompt": PROMPT, **fields})
        assert word in caught.value.message
        assert isinstance(caught.value.body, dict) and caught.value.body["message"]
    with pytest.raises(openai.BadRequestError) as caught:
        client.chat.completions.create(model="tiny", messages=[{"role": "user", "content": "x"}],
                                       tools=[{"type": "function", "function": {"name": "f"}}])
    assert "no chat template" in caught.value.message


def test_the_context_ends_an_answer(client):
    near = client.completions.create(model="tiny", prompt=[5] * (CONTEXT - 20), temperature=0,
                                     max_tokens=1000, extra_body={"ignore_eos": True})
    assert near.choices[0].finish_reason == "length"
    assert 15 <= near.usage.completion_tokens <= 21


def test_many_at_once_give_what_each_gives_alone(daemon):
    prompts = [f"{PROMPT} {n}" for n in range(8)]
    alone = [daemon.complete(p, max_tokens=20)["choices"][0]["text"] for p in prompts]

    async def together():
        async with openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{daemon.http_port}/v1",
                                      api_key="x", max_retries=0) as asking:
            return await asyncio.gather(*(asking.completions.create(
                model="tiny", prompt=p, max_tokens=20, temperature=0) for p in prompts))

    assert [a.choices[0].text for a in asyncio.run(together())] == alone


# ---- numbers at their edges, over the wire ----

def test_no_number_harms(daemon):
    names = ["max_tokens", "max_completion_tokens", "temperature", "top_p", "top_k", "min_p",
             "repeat_penalty", "repeat_last_n", "seed", "n", "best_of", "logprobs",
             "presence_penalty", "frequency_penalty", "top_logprobs"]
    values = ["-1", "0", "1", "2147483647", "4294967296", "9223372036854775807",
              "99999999999999999999", "-9223372036854775808", "1e308", "-1e308", "1e999", "0.5",
              "NaN", "\"NaN\"", "\"1\"", "true", "[]", "{}"]
    connection = UnixConnection(daemon.run / "api.sock")
    seen = set()
    for name in names:
        for value in values:
            connection.request("POST", "/v1/completions",
                               f'{{"prompt": [5], "stop": ["e"], "max_tokens": 1, '
                               f'"{name}": {value}}}', {"Content-Type": "application/json"})
            response = connection.getresponse()
            answer = json.loads(response.read())
            seen.add(response.status)
            assert response.status in (200, 400), (name, value, answer)
            assert (response.status == 400) == ("error" in answer)
    connection.close()
    assert seen == {200, 400}


# ---- web pages ----

def test_web_pages_are_kept_out(daemon):
    body = json.dumps({"prompt": "a", "max_tokens": 1})
    json_type = {"Content-Type": "application/json"}
    own = f"localhost:{daemon.http_port}"
    for headers, status in (
            ({"Host": own, **json_type}, 200),
            ({"Host": own, "Origin": f"http://{own}", **json_type}, 200),
            ({"Host": "evil.test", **json_type}, 403),
            ({"Host": f"0.0.0.0:{daemon.http_port}", **json_type}, 403),
            ({"Host": own, "Origin": "https://evil.test", **json_type}, 403),
            ({"Host": own, "Origin": "null", **json_type}, 403),
            ({"Host": own, "Content-Type": "text/plain"}, 415),
            ({"Host": own, "Content-Type": "application/x-www-form-urlencoded"}, 415)):
        connection = http.client.HTTPConnection("127.0.0.1", daemon.http_port, timeout=60)
        connection.request("POST", "/v1/completions", body, headers)
        response = connection.getresponse()
        assert response.status == status, headers
        assert response.getheader("Access-Control-Allow-Origin") is None
        response.read()
        connection.close()


def test_tcp_cannot_change_the_home(daemon):
    for method, path in ("GET", "/status"), ("POST", "/invite"), ("POST", "/leave"), \
            ("DELETE", "/models/tiny"), ("PUT", "/models/x"), ("GET", "/logs"):
        connection = http.client.HTTPConnection("127.0.0.1", daemon.http_port, timeout=60)
        connection.request(method, path, "{}", {"Content-Type": "application/json"})
        assert connection.getresponse().status == 404
        connection.close()


# ---- clients that leave, that do not read, that are too many ----

def post(daemon, **fields):
    """A raw connection with a request under way."""
    body = json.dumps({"prompt": [5], "temperature": 0, "ignore_eos": True,
                       "max_tokens": CONTEXT, **fields}).encode()
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(str(daemon.run / "api.sock"))
    sock.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: x\r\nContent-Length: "
                 + str(len(body)).encode() + b"\r\n\r\n" + body)
    return sock


def requests_of(daemon):
    return daemon.status()["requests"]


def kv_of(daemon):
    return daemon.status()["memory"]["kv"]


@pytest.mark.parametrize("fields", [
    {"stream": True}, {"stream": False},
    {"stream": True, "prompt": [5] * (CONTEXT - 10)},
    {"stream": False, "prompt": [5] * (CONTEXT - 10)},
], ids=["stream", "whole", "stream long prompt", "whole long prompt"])
def test_a_client_that_leaves_is_noticed(daemon, fields):
    wait_for("nothing is asked", lambda: not requests_of(daemon))
    before = kv_of(daemon)
    sock = post(daemon, **fields)
    wait_for("it runs", lambda: requests_of(daemon))
    sock.close()
    wait_for("it is gone", lambda: not requests_of(daemon), 1 if SLOW == 1 else 5)
    wait_for("its memory is free", lambda: kv_of(daemon) <= before)


def test_a_client_that_does_not_read_is_given_up(daemon):
    sock = post(daemon, stream=True, return_tokens=True)
    wait_for("it runs", lambda: requests_of(daemon))
    wait_for("it is given up", lambda: not requests_of(daemon), 60)
    received = b""
    sock.settimeout(30)
    try:
        while part := sock.recv(1 << 20):
            received += part
    except ConnectionResetError:
        pass
    sock.close()
    assert b"[DONE]" not in received
    assert len(received) < 4 << 20


def test_too_many_are_told_to_come_back(daemon):
    many = [post(daemon, stream=True) for _ in range(40)]
    refused = []

    def some_are_refused():
        readable = select.select(many, [], [], 0)[0]
        refused[:] = [s for s in readable if b" 429 " in s.recv(200, socket.MSG_PEEK)]
        return refused

    try:
        wait_for("some are refused", some_are_refused)
        answer = refused[0].recv(65536)
        assert b"Retry-After: 1" in answer and b"rate_limit_error" in answer
        assert len(refused) < len(many)
    finally:
        for sock in many:
            sock.close()
    wait_for("all are gone", lambda: not requests_of(daemon), 10)
    assert daemon.complete(PROMPT)["choices"]


# ---- primactl ----

def test_run(daemon):
    expected = daemon.complete(PROMPT, max_tokens=12)["choices"][0]["text"]
    said = ctl(daemon, "run", "tiny", PROMPT, "--temperature", "0", "--max-tokens", "12")
    assert said == expected + "\n"
    said = json.loads(ctl(daemon, "--json", "run", "tiny", "--temperature=0", "--max-tokens=12",
                          stdin=PROMPT))
    assert said["text"] == expected
    assert len(said["tokens"]) == said["usage"]["completion_tokens"]
    assert said["primad"]["forecast_token_s"] > 0
    assert "no model" in ctl(daemon, "run", "none", "x", code=1)


def test_an_interrupted_run_ends_everywhere(daemon):
    process = subprocess.Popen([BUILD / "daemon" / "primactl", "--run", daemon.run, "run", "tiny",
                                PROMPT, "--ignore-eos", "--max-tokens", str(CONTEXT)],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    wait_for("it runs", lambda: requests_of(daemon))
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=30)
    assert process.returncode == 130
    wait_for("it is gone", lambda: not requests_of(daemon), 5)


def test_tokens_are_the_same_with_and_without_a_daemon(daemon, model):
    for text in PROMPT, "", " é 漢 🙂 <s>", "a\nb\tc":
        ids = daemon.good("POST", "/tokenize", {"content": text}, socket="api")["tokens"]
        assert json.loads(ctl(daemon, "tokenize", "--json", "--model", model, stdin=text)) == ids


def test_looking(daemon, model, tmp_path):
    status = json.loads(ctl(daemon, "status", "--json"))
    assert status["schema"] == 1 and status["device"]["name"] == "solo"
    assert "solo" in ctl(daemon, "status")
    assert "tiny" in ctl(daemon, "model", "list")
    assert "tokens/s" in ctl(daemon, "plan", "tiny")
    assert "solo" in ctl(daemon, "plan", "tiny", "--explain")
    assert "primad ready" in ctl(daemon, "logs")
    home = tmp_path / "home.json"
    home.write_text(json.dumps(status))
    plan = json.loads(ctl(daemon, "plan", "--json", "--devices", home, "--model", model))
    assert plan["plan"]["devices"][0]["name"] == "solo"
    speed = json.loads(ctl(daemon, "bench", "tiny", "--json", "--prompt", "32", "--generate", "8",
                           "--repeats", "1"))
    assert speed["generated_tokens_per_s"] > 0 and speed["prompt_tokens_per_s"] > 0


def test_files_that_are_no_models(daemon, model, tmp_path):
    before = daemon.good("GET", "/v1/models", socket="api")
    whole = model.read_bytes()
    for name, content in (("cut", whole[:len(whole) // 2]), ("head", whole[:100]),
                          ("magic", b"GGUF" + bytes(1000)),
                          ("flipped", whole[:8] + b"\xff" * 8 + whole[16:])):
        bad = tmp_path / f"{name}.gguf"
        bad.write_bytes(content)
        said = ctl(daemon, "model", "add", bad, code=1)
        assert said.startswith("primactl: ") and len(said.splitlines()) == 1, said
        ctl(daemon, "model", "add", "--in-place", bad, code=1)
    assert daemon.good("GET", "/v1/models", socket="api") == before


def test_models_come_and_go(daemon, model, tmp_path):
    copy = tmp_path / "other.gguf"
    raw = bytearray(model.read_bytes())
    raw[-5] ^= 1  # another model: its last weight differs
    copy.write_bytes(raw)
    ctl(daemon, "model", "add", copy)
    copy.unlink()
    assert "other" in ctl(daemon, "model", "list")
    assert ctl(daemon, "run", "other", PROMPT, "--max-tokens", "2")
    ctl(daemon, "run", "tiny", PROMPT, "--max-tokens", "2")
    wait_for("other can go", lambda: "other" not in str(daemon.status()["deployments"]), 30)
    ctl(daemon, "model", "rm", "other")
    assert "other" not in ctl(daemon, "model", "list")


def test_a_daemon_without_models(tmp_path, model):
    one = Daemon(tmp_path, "empty", free_port(), flags=["--store-limit", "100K"]).start()
    try:
        status, answer = one.ask("POST", "/v1/completions", {"prompt": "a"}, socket="api")
        assert status == 404 and "model" in answer["error"]["message"]
        assert one.good("GET", "/v1/models", socket="api")["data"] == []
        assert "no models yet" in ctl(one, "model", "list")
        assert model.stat().st_size > 100 << 10
        assert ctl(one, "model", "add", model, code=1).startswith("primactl: ")
    finally:
        assert one.stop() == 0


def test_the_end_of_the_daemon_ends_answers(tmp_path, model):
    one = Daemon(tmp_path, "ending", free_port(), flags=["--context", str(CONTEXT)]).start()
    one.add_model(model)
    one.complete(PROMPT)
    sock = post(one, stream=True)
    sock.settimeout(60)
    received = sock.recv(65536)
    while b"\"text\"" not in received:
        received += sock.recv(65536) or pytest.fail(received)
    assert one.stop() == 0
    try:
        while part := sock.recv(65536):
            received += part
    except ConnectionResetError:
        pass
    sock.close()
    assert b"[DONE]" not in received
