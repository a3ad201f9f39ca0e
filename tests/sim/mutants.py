#!/usr/bin/env python3
"""Does the simulator bite? Builds primasim with one known bug at a time in election or commit and
says how many seeds find it. By hand, from the root of the tree:

    python3 tests/sim/mutants.py BUILD_FOLDER [SEEDS [FIRST]]

BUILD_FOLDER is a meson build; only its flags and libraries are used. Each mutant is a text that must
occur exactly once, and what takes its place. FIRST skips so many."""
import json
import pathlib
import shlex
import subprocess
import sys
import tempfile

COMMIT, ELECTION = "planner/commit.c", "planner/election.c"
MUTANTS = [
    ("a promise is sent before it is on the disk", COMMIT,
     "		commit->promise_ticket = persist(commit, actions);\n	}",
     "		commit->promise_ticket = persist(commit, actions);\n"
     "		give_promise(commit, now_ms, actions);\n	}"),
    ("a promise is never persisted", COMMIT,
     "		commit->promise_ticket = persist(commit, actions);\n	}",
     "		give_promise(commit, now_ms, actions);\n	}"),
    ("a lower epoch is accepted", COMMIT, "	if (order < 0) {\n		refuse",
     "	if (false) {\n		refuse"),
    ("an epoch is compared by its counter alone", COMMIT,
     "	const int order = epoch_compare(epoch, &commit->record.promised);",
     "	const int order = epoch->counter < commit->record.promised.counter ? -1 : 1;"),
    ("the record is forgotten at a restart", COMMIT, "	if (record)\n		commit->record = *record;",
     "	(void)record;"),
    ("only the counter survives a restart", COMMIT, "		commit->record = *record;",
     "		commit->record.counter = record->counter;"),
    ("a planner's own promise is not in what it persists", COMMIT,
     "	if (commit_participates(plan, &commit->self)) {\n		leave(commit, actions);\n"
     "		accept(commit, plan);\n	}\n	commit->proposal_ticket = persist(commit, actions);",
     "	commit->proposal_ticket = persist(commit, actions);\n"
     "	if (commit_participates(plan, &commit->self)) {\n		leave(commit, actions);\n"
     "		accept(commit, plan);\n	}"),
    ("a planner decides without the last promise", COMMIT,
     "	commit->promised_by |= 1u << index;\n	if (all_promised(commit))",
     "	commit->promised_by |= 1u << index;\n	if (commit->promised_by & (commit->promised_by - 1))"),
    ("a planner decides by majority", COMMIT,
     "	commit->promised_by |= 1u << index;\n	if (all_promised(commit))",
     "	commit->promised_by |= 1u << index;\n"
     "	if (2 * __builtin_popcount(commit->promised_by) > commit->proposed.n_devices)"),
    ("a deadline that passes decides", COMMIT,
     "now_ms >= commit->proposal_deadline_ms)\n		abandon(commit, not_promised(commit), actions);",
     "now_ms >= commit->proposal_deadline_ms)\n		decide(commit, actions);"),
    ("a refusal counts as a promise", COMMIT,
     "	if (!promise->promised) {\n		refused(commit, index, &promise->held, actions);\n"
     "		return;\n	}", "	(void)refused;"),
    ("the live plan goes on after a higher promise", COMMIT,
     "		leave(commit, actions);\n		yield_to(commit, epoch, actions);\n"
     "		accept(commit, plan);\n",
     "		yield_to(commit, epoch, actions);\n"
     "		const bool live = commit->promise == PROMISE_LIVE;\n"
     "		const struct plan before = commit->promised;\n		accept(commit, plan);\n"
     "		if (live) {\n			commit->promised = before;\n"
     "			commit->promise = PROMISE_LIVE;\n		}\n"),
    ("a COMMIT is believed without a promise", COMMIT,
     "		if (commit->promise == PROMISE_GIVEN && by_planner)",
     "		if (by_planner)"),
    ("a plan given up is entered again", COMMIT,
     "		act(actions, COMMIT_DO_LEAVE)->epoch = commit->promised.epoch;\n"
     "	commit->promise = PROMISE_NONE;",
     "		act(actions, COMMIT_DO_LEAVE)->epoch = commit->promised.epoch;\n"
     "	if (commit->promise == PROMISE_LIVE)\n		commit->promise = PROMISE_GIVEN;"),
    ("the same epoch is promised to another plan after a restart", COMMIT,
     "	if (commit->promise == PROMISE_NONE) {\n		refuse(commit, &plan->epoch.planner, &plan->epoch,\n"
     "		       \"this plan was given up here\", actions);\n		return;\n	}",
     "	if (commit->promise == PROMISE_NONE) {\n		accept(commit, plan);\n"
     "		give_promise(commit, now_ms, actions);\n		return;\n	}"),
    ("a planner uses an epoch twice", COMMIT,
     "	return (struct epoch){ .counter = seen + 1, .planner = commit->self };",
     "	return (struct epoch){ .counter = seen + (seen % 4 == 0), .planner = commit->self };"),
    ("a lost COMMIT is never asked for", COMMIT,
     "	if (commit->promise != PROMISE_GIVEN || now_ms < commit->ask_deadline_ms)\n		return;",
     "	return;"),
    ("an outbid proposal goes on", COMMIT,
     "	commit->proposal = PROPOSAL_NONE;\n	if (under_way)", "	if (under_way)"),
    ("what others hold is not learned from refusals", COMMIT,
     "	see(commit, &promise->held);\n", ""),
    ("two planners never give way", ELECTION, "	if (claimant)\n		return claimant->id;",
     "	if (claimant && !device_id_equal(&election->planner, &election->self))\n"
     "		return claimant->id;"),
    ("a planner that does not claim is followed for ever", ELECTION,
     "	if (election->unclaimed_ms != INT64_MAX &&\n", "	if (false &&\n"),
    ("a lost planner is followed for ever", ELECTION,
     "	if (!member || member->liveness == ELECTION_IS_LOST || member->traits.role == ROLE_CLIENT)",
     "	if (!member)"),
    ("the lowest-ranked plans, seen from one side", ELECTION,
     "	return device_id_compare(a, b);", "	return (void)b, a->bytes[0] & 1 ? -1 : 1;"),
    ("clients plan", ELECTION,
     "	return member->liveness == ELECTION_IS_ALIVE && member->traits.role != ROLE_CLIENT;",
     "	return member->liveness == ELECTION_IS_ALIVE;"),
    ("a battery bars from planning", ELECTION,
     "	return member->liveness == ELECTION_IS_ALIVE && member->traits.role != ROLE_CLIENT;",
     "	return member->liveness == ELECTION_IS_ALIVE && member->traits.role != ROLE_CLIENT &&\n"
     "	       member->traits.power != POWER_BATTERY;"),
]


def build(root, folder, changed, name):
    """Compiles primasim with `changed` (a mapping path -> text) in place of the tree's files."""
    commands = json.loads((folder / "compile_commands.json").read_text())
    for command in commands:
        path = (folder / command["file"]).resolve()
        command["source"] = str(path.relative_to(root)) if path.is_relative_to(root) else ""
    wanted = [c for c in commands if c["source"].startswith("tests/sim/") or
              c["source"] in (COMMIT, ELECTION)]
    objects = []
    for number, command in enumerate(wanted):
        args = shlex.split(command["command"])
        source = command["source"]
        if source in changed:
            path = name.parent / f"mutant_{pathlib.Path(source).name}"
            path.write_text(changed[source])
            args[args.index("-c") + 1] = str(path)
        output = name.parent / f"{number}.o"
        args = [a for a in args if a not in ("-Werror", "-MD")]
        for flag in ("-MQ", "-MF"):
            at = args.index(flag)
            del args[at:at + 2]
        args[args.index("-o") + 1] = str(output)
        subprocess.run(args, cwd=folder, check=True, stderr=subprocess.DEVNULL)
        objects.append(str(output))
    libs = [str(folder / lib) for lib in ("planner/libplanner.a", "discovery/libdiscovery.a",
                                          "proto/libproto.a", "base/libbase.a")]
    flags = subprocess.run(["pkg-config", "--libs", "libuv", "libsodium", "msgpack", "jansson",
                            "avahi-client"], check=True, capture_output=True, text=True).stdout
    subprocess.run(["cc", "-o", str(name), *objects, *libs, *shlex.split(flags), "-lm", "-lpthread"],
                   check=True)


def main():
    root, folder = pathlib.Path.cwd(), pathlib.Path(sys.argv[1]).resolve()
    seeds = sys.argv[2] if len(sys.argv) > 2 else "1500"
    first, missed = int(sys.argv[3]) if len(sys.argv) > 3 else 0, 0
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        for title, path, old, new in MUTANTS[first:]:
            text = (root / path).read_text()
            if text.count(old) != 1:
                sys.exit(f"{title}: its text occurs {text.count(old)} times in {path}")
            program = pathlib.Path(scratch) / "primasim"
            build(root, folder, {path: text.replace(old, new)}, program)
            run = subprocess.run([program, "1", seeds], capture_output=True, text=True)
            found = sum(line.startswith("seed ") for line in run.stdout.splitlines())
            crashed = run.returncode < 0
            told = next((line for line in run.stdout.splitlines()
                          if line.startswith("seed ")), "crashed" if crashed else "")
            missed += found == 0 and not crashed
            print(f"{found:5} of {seeds}  {title}  ({told[:100]})", flush=True)
    print(f"{len(MUTANTS) - first - missed} of {len(MUTANTS) - first} found")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
