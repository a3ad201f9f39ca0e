"""Our token ids, by the program tests/tools/tokenize, and their comparison with others."""
import struct
import subprocess


def tokenize(program, model, texts):
    """Ids for each (special, bytes)."""
    packed = b"".join(struct.pack("<IB", len(text), 2 * special) + text for special, text in texts)
    run = subprocess.run([program, model], input=packed, stdout=subprocess.PIPE, check=True)
    answer, at = [], 0
    for _ in texts:
        count, = struct.unpack_from("<I", run.stdout, at)
        answer.append(list(struct.unpack_from(f"<{count}I", run.stdout, at + 4)))
        at += 4 + 4 * count
    return answer


def compare(name, program, model, texts, expected):
    wrong = 0
    for text, ours, theirs in zip(texts, tokenize(program, model, texts), expected):
        if ours != theirs:
            wrong += 1
            if wrong <= 5:
                print(f"{name}: {text}\n  ours   {ours}\n  theirs {theirs}")
    print(f"{name}: {len(texts) - wrong} of {len(texts)} texts equal", flush=True)
    return wrong == 0 and len(texts) == len(expected) > 0
