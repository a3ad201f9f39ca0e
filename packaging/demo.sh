#!/bin/sh
# The whole of primad in one machine: builds it, fetches a real model, makes three virtual home
# devices that are each too small for it, pairs them, and asks one of them through the ring.
#
#   sh packaging/demo.sh            from an empty machine, and again; cleans up after itself
#   sh packaging/demo.sh --keep     leaves the home running and prints how to talk to it
#   sh packaging/demo.sh --stop     ends a home that was kept
#
#   MODEL=/path/x.gguf   another model    LIMITS="260 78 78"
#   PROMPT="..."         another prompt   MiB of memory of desk, laptop, tablet
#
# Debian 12 with root or sudo. Outside build/ it leaves nothing but installed packages.
set -u
cd "$(dirname "$0")/.." || exit 1
here=$PWD
home=$here/build/demo
bin=$here/build/release/daemon
devices="desk laptop tablet"
prompt=${PROMPT:-The capital of France is}
. packaging/packages.sh

give_up() {
	echo "demo: $*" >&2
	exit 1
}

usage() {
	sed -n '2,/^set/s/^# \{0,1\}//p' packaging/demo.sh
	exit "$1"
}

# ---- what is needed, as whoever calls ----

build() {
	[ -e build/release/build.ninja ] ||
		run_quietly setup meson setup build/release --buildtype=release || return 1
	run_quietly build ninja -C build/release daemon/primad daemon/primactl
}

prepare() {
	say "looking for packages that are missing"
	# shellcheck disable=SC2086
	install_packages $BUILD_PACKAGES $HOME_PACKAGES || exit 1
	say "building primad in build/release"
	build || exit 1
	[ -n "${MODEL:-}" ] || fetch_model || exit 1
}

# ---- the virtual home ----

# Ends what this or an earlier run left. A home that was kept is owned by a sleeping process.
end_home() {
	[ -d "$home" ] || return 0
	if [ -s "$home/lan" ]; then
		LAN_ID=$(cat "$home/lan") sh packaging/lan.sh down
	fi
	kept_by=$(cut -d' ' -f1 "$home/owner" 2>/dev/null)
	if [ -n "$kept_by" ] && [ "$(lan_start_of "$kept_by")" = "$(cut -d' ' -f2 "$home/owner")" ]; then
		kill "$kept_by"
	fi
	rm -rf "$home"
}

# shellcheck disable=SC2317
leave() {
	status=$?
	trap - EXIT INT TERM HUP
	if [ $status != 0 ] && [ -d "$home" ]; then
		echo "== it failed; the last lines of each device's log:"
		for device in $devices; do
			[ ! -e "$home/$device.log" ] || tail -n 15 "$home/$device.log" | sed "s/^/$device: /"
		done
	fi
	[ $status = 0 ] && [ $keep = yes ] || end_home
	exit $status
}

own_home() {
	mkdir -p "$home" || exit 1
	if [ $keep = yes ]; then
		setsid sleep infinity </dev/null >/dev/null 2>&1 &
		owner=$!
		echo "$owner $(lan_start_of $owner)" >"$home/owner"
		LAN_ID=primad-lan-$owner-$(lan_start_of $owner)
		LAN_DIR=/tmp/$LAN_ID
	fi
	echo "$LAN_ID" >"$home/lan"
}

# MiB for each device. By default what lets three hold the model, but no two of them: of a limit an
# eighth and 32 MiB (of small ones a third) stay free. Of Gemma 3 270M 178 MB are one table that only
# desk can hold; laptop and tablet have room for 8 of the 18 layers each, so that some stay on desk.
# Other models are taken to be mostly layers, and each device gets 45 %.
choose_limits() {
	if [ -n "${LIMITS:-}" ]; then
		limits=$LIMITS
	elif [ "$model" -ef "$here/$MODEL_FILE" ]; then
		limits="260 78 78"
	else
		share=$(($(stat -Lc %s "$model") / 1048576 * 45 / 100 + 48))
		limits="$((share * 8 / 7)) $((share * 8 / 7)) $((share * 8 / 7))"
	fi
}

ctl() { # DEVICE WORDS...
	on=$1
	shift
	lan_exec "$on" "$bin/primactl" "$@"
}

# The same, shown as a person would type it.
shown() { # DEVICE WORDS...
	printf '%s$ primactl' "$1"
	device=$1
	shift
	for word in "$@"; do
		case $word in
		*[\ \"]*) printf ' "%s"' "$word" ;;
		*) printf ' %s' "$word" ;;
		esac
	done
	printf '\n'
	ctl "$device" "$@" || give_up "primactl $1 failed on $device"
}

# wait_until SECONDS WHAT COMMAND...
wait_until() {
	tries=$(($1 * 10))
	what=$2
	shift 2
	until "$@" >/dev/null 2>&1; do
		tries=$((tries - 1))
		[ $tries -gt 0 ] || give_up "waited in vain until $what"
		sleep 0.1
	done
}

knows_its_speed() { # DEVICE
	ctl "$1" status --json | grep -q weights_per_s
}

start_device() { # NAME MIB
	say "$1: at most $2 MiB of memory, primad as anyone would start it"
	lan_memory "$1" $(($2 * 1048576)) || exit 1
	mkdir -p "$home/$1"
	(lan_enter "$1" primad "$bin/primad" --state "$home/$1" --context 1024) \
		>"$home/$1.log" 2>&1 </dev/null &
	# they share one processor: who begins later would be measured here too
	wait_until 30 "$1 knows its speed" knows_its_speed "$1"
}

start_devices() {
	say "making three virtual devices: $devices, each with its own network, Avahi and memory"
	# shellcheck disable=SC2086
	lan_up $devices || give_up "no virtual devices can be made here"
	# shellcheck disable=SC2086
	set -- $limits
	for each in $devices; do
		start_device "$each" "$1"
		shift
	done
}

sees_all() { # DEVICE
	[ "$(ctl "$1" status | grep -c ' alive')" = 3 ]
}

pair() { # GUEST
	say "$1 joins the home of desk, with the code that desk shows"
	echo "desk$ primactl invite"
	code=$(ctl desk invite 2>/dev/null) || give_up "desk cannot invite"
	echo "$code"
	echo "$1\$ primactl join"
	echo "$code" | ctl "$1" join || give_up "$1 cannot join"
}

pair_all() {
	pair laptop
	pair tablet
	for each in $devices; do
		wait_until 30 "$each sees all three" sees_all "$each"
	done
}

# ---- what is shown ----

# Runs Python over the JSON of a file.
json() { # FILE CODE ARGS...
	python3 -c 'import json, sys
d = json.load(open(sys.argv[1]))
exec(sys.argv[2])' "$@"
}

show_plan() {
	ctl desk status --json >"$home/status.json" || give_up "desk does not answer"
	# shellcheck disable=SC2016
	json "$home/status.json" '
plan = d["deployments"][0]
print(plan["text"], end="")
holders = [p["name"] for p in plan["plan"]["devices"] if p["layers"] > 0]
if len(holders) < 3:
    sys.exit(f"only {holders} hold layers")' || give_up "the plan does not use three devices"
}

# Plans the same home with one device less, on paper: there must be no plan.
show_that_two_are_too_few() {
	for each in $devices; do
		json "$home/status.json" '
d["devices"] = [x for x in d["devices"] if x["name"] != sys.argv[3]]
assert len(d["devices"]) == 2
json.dump(d, open(sys.argv[4], "w"))' "$each" "$home/two.json" || exit 1
		if ctl desk plan --devices "$home/two.json" --model "$model" --context 1024 \
			>"$home/two.log" 2>&1; then
			cat "$home/two.log"
			give_up "the devices without $each can hold the model: LIMITS are too large"
		fi
		echo "without $each: $(tail -n 1 "$home/two.log")"
	done
}

show_figures() {
	ctl tablet run --json --temperature 0 --max-tokens 48 "$name" "$prompt" \
		>"$home/answer.json" || give_up "tablet gets no answer"
	json "$home/answer.json" '
if d["text"].strip() != open(sys.argv[3]).read().strip():
    sys.exit("tablet was told something else than laptop")
print("tablet asks the same and is told the same")
p = d["primad"]
speed = (p["completion_tokens"] - 1) / p["decode_s"]
print("speed: %.1f tokens/s, forecast %.1f; first token after %.2f s"
      % (speed, 1 / p["forecast_token_s"], p["first_token_s"]))
print("travelled for this answer: %d flights, %.0f kB of hidden states sent by the head, encrypted"
      % (p["flights"], p["bytes_sent"] / 1000))' "$home/text" || exit 1
	for each in laptop tablet; do
		echo "travelled to $each before the first answer:" \
			"$(du -s --block-size=1MB "$home/$each" | cut -f1) MB, its layers and the vocabulary"
	done
}

show_how_to_talk() {
	say "the home stays; talk to it from any of $devices, as root:"
	cat <<END
  LAN_ID=$LAN_ID sh packaging/lan.sh exec laptop $bin/primactl run $name "Once upon a time"
  LAN_ID=$LAN_ID sh packaging/lan.sh exec laptop $bin/primactl status
  LAN_ID=$LAN_ID sh packaging/lan.sh exec laptop curl -s --unix-socket /run/primad/api.sock \\
      http://localhost/v1/models
  sh packaging/demo.sh --stop        ends it and leaves nothing
END
}

demonstrate() {
	start_devices
	pair_all
	say "desk has the model file; the others will fetch what the plan gives them"
	shown desk model add "$model"
	say "a first token: the home plans, each device fetches its layers and checks them"
	shown laptop run --temperature 0 --max-tokens 1 --quiet "$name" "$prompt"
	say "the plan that the home made by itself"
	show_plan
	say "any two of the devices are too small for it"
	show_that_two_are_too_few
	say "the answer, token by token, asked on laptop"
	: >"$home/shown"
	shown laptop run --temperature 0 --max-tokens 48 "$name" "$prompt" >"$home/shown" &
	asking=$!
	tail -s 0.05 -f --pid=$asking "$home/shown"
	wait $asking || give_up "laptop gets no answer"
	sed 1d "$home/shown" >"$home/text"
	say "what it took"
	show_figures
}

# ---- the command line ----

keep=no
prepared=no
stop=no
for word in "$@"; do
	case $word in
	--keep) keep=yes ;;
	--stop) stop=yes ;;
	--prepared) prepared=yes ;; # of this script itself, when it becomes root
	--help | -h) usage 0 ;;
	*) usage 2 ;;
	esac
done
[ $stop = yes ] || [ $prepared = yes ] || prepare
if [ "$(id -u)" != 0 ]; then
	say "making virtual devices needs root: going on with sudo"
	exec sudo env MODEL="${MODEL:-}" LIMITS="${LIMITS:-}" PROMPT="$prompt" \
		sh packaging/demo.sh --prepared "$@"
fi
LAN_SOURCED=1
. packaging/lan.sh
end_home
[ $stop = no ] || exit 0
model=$(realpath -e "${MODEL:-$MODEL_FILE}") || exit 1
name=$(basename "$model" .gguf)
trap leave EXIT
trap 'exit 130' INT TERM HUP
choose_limits
own_home
demonstrate
[ $keep = no ] || show_how_to_talk
[ $keep = yes ] || say "cleaning up; the model and the build stay in build/"
