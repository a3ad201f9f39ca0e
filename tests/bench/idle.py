"""What a daemon costs that has nothing to do: two hosts of one home, paired, without a model.

    python3 tests/bench/idle.py [--seconds N]

After ten seconds of peace it counts, over the given time (default 60): processor time, switches of
all threads (each wakeup is a voluntary one), bytes written to disk, and resident memory, of which
what is private to the process and not just a page of its program or a library is told apart. Needs
root."""
import argparse
import os
import pathlib
import re
import sys
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "cluster"))
from home import Home, why_not  # noqa: E402
from test_three_hosts import join, together  # noqa: E402

NAMES = ("desk", "laptop")
TICKS = os.sysconf("SC_CLK_TCK")


def number(text, name):
    return int(re.search(rf"^{name}:\s*(\d+)", text, re.M).group(1))


def cpu_s(pid):
    """Finer than the ticks of stat where the kernel tells: nanoseconds on a core, of all threads."""
    tasks = pathlib.Path(f"/proc/{pid}/task")
    try:
        return sum(int((t / "schedstat").read_text().split()[0]) for t in tasks.iterdir()) / 1e9
    except OSError:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS


def snapshot(pid):
    proc = pathlib.Path("/proc", str(pid))
    statuses = {t.name: (t / "status").read_text() for t in (proc / "task").iterdir()}
    status = (proc / "status").read_text()
    return {
        "cpu": cpu_s(pid),
        "wakeups": {t: number(s, "voluntary_ctxt_switches") for t, s in statuses.items()},
        "written": number((proc / "io").read_text(), "write_bytes"),
        "rss": number(status, "VmRSS"),
        "anonymous": number(status, "RssAnon"),
        "peak": number(status, "VmHWM"),
    }


def show(name, before, after, seconds):
    wakeups = sum(after["wakeups"].values()) - sum(before["wakeups"].values())
    print(f"{name}: cpu {100 * (after['cpu'] - before['cpu']) / seconds:.3f} %, "
          f"{wakeups / seconds:.1f} wakeups a second, "
          f"{after['written'] - before['written']} bytes written, "
          f"RSS {after['rss'] / 1024:.1f} MiB ({after['anonymous'] / 1024:.1f} MiB its own, "
          f"peak {after['peak'] / 1024:.1f} MiB)")
    for task, count in after["wakeups"].items():
        if count > before["wakeups"].get(task, 0):
            print(f"    thread {task}: {(count - before['wakeups'].get(task, 0)) / seconds:.2f} "
                  "wakeups a second")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--seconds", type=float, default=60)
    seconds = parser.parse_args().seconds
    reason = why_not()
    if reason:
        sys.exit(f"no hosts can be made here: {reason}")
    with Home(*NAMES) as home:
        hosts = [host.start() for host in home]
        status, answer = join(*hosts)
        assert status == 200, answer
        together(hosts, NAMES)
        time.sleep(10)
        before = [snapshot(host.daemon.pid) for host in hosts]
        time.sleep(seconds)
        for host, then in zip(hosts, before):
            show(host.name, then, snapshot(host.daemon.pid), seconds)


if __name__ == "__main__":
    main()
