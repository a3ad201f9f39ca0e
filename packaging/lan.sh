#!/bin/sh
# lan.sh: a home in one machine. Each host is a network namespace on a bridge of its own, with its own
# host name, /run, D-Bus and Avahi, and, where wanted, limits on memory and processor time. The
# machine's own network is not touched, and the hosts reach nothing but each other.
#
#   sh packaging/lan.sh check                 says what is missing here, if anything
#   sh packaging/lan.sh up NAME...            makes the hosts
#   sh packaging/lan.sh exec HOST CMD ARGS    runs a command in one; becomes it (same process id)
#   sh packaging/lan.sh memory HOST BYTES     limits the memory of what `exec` runs there
#   sh packaging/lan.sh cpu HOST PERCENT      limits its processor time (100: one core)
#   sh packaging/lan.sh freeze|thaw HOST      stands the whole host still, or lets it go on
#   sh packaging/lan.sh link HOST up|down     plugs its cable in, or out
#   sh packaging/lan.sh split HOST...         cuts these hosts off from the others (heal: rejoins)
#   sh packaging/lan.sh services HOST start|stop   its D-Bus and Avahi (avahi-start|avahi-stop: Avahi)
#   sh packaging/lan.sh address HOST          prints its IPv4 address
#   sh packaging/lan.sh capture FILE          becomes a tcpdump of all that crosses the bridge
#   sh packaging/lan.sh down                  ends every process of the hosts; leaves nothing
#   sh packaging/lan.sh sweep                 as down, for all whose maker is no longer alive
#
# To use it from a shell script, source it with LAN_SOURCED=1: each verb is then a function lan_VERB.
# LAN_ID names a home: "primad-lan-PID-START" of the process that owns it (default: the calling shell),
# so that what a killed test left behind can be told from what is in use; an owner of several adds ".1",
# ".2". For a command in the background, `lan_enter HOST primad CMD ARGS &` keeps $! the command's own
# process id. Needs root.

# "PID START" of a process: a number alone may be taken by another process later.
lan_start_of() {
	sed 's/.*) //' "/proc/$1/stat" 2>/dev/null | cut -d' ' -f20
}

: "${LAN_ID:=primad-lan-$$-$(lan_start_of $$)}"
LAN_DIR=/tmp/$LAN_ID

lan_fail() {
	echo "lan: $*" >&2
	return 1
}

# Where the control groups of a home lie: one folder with v2, one per controller with v1.
lan_group_roots() {
	if [ -f /sys/fs/cgroup/memory/memory.limit_in_bytes ]; then
		echo /sys/fs/cgroup/memory /sys/fs/cgroup/cpu /sys/fs/cgroup/freezer
	elif grep -qw memory /sys/fs/cgroup/cgroup.controllers 2>/dev/null; then
		echo /sys/fs/cgroup
	fi
}

lan_is_unified() {
	[ ! -f /sys/fs/cgroup/memory/memory.limit_in_bytes ]
}

lan_check() {
	lan_missing=
	for lan_program in avahi-daemon dbus-daemon ip tcpdump unshare nsenter; do
		command -v "$lan_program" >/dev/null || lan_missing="$lan_missing $lan_program"
	done
	[ -z "$lan_missing" ] || lan_fail "not installed:$lan_missing" || return 1
	[ "$(id -u)" = 0 ] || lan_fail "needs root, for network namespaces" || return 1
	[ -n "$(lan_group_roots)" ] || lan_fail "no control groups for memory here" || return 1
	ip netns add "$LAN_ID-probe" 2>/dev/null || lan_fail "no network namespaces here" || return 1
	ip netns del "$LAN_ID-probe"
}

# ---- hosts ----

lan_in() { # NAMESPACE CMD...
	lan_namespace=$LAN_ID-$1
	shift
	ip netns exec "$lan_namespace" "$@"
}

lan_hosts() {
	cat "$LAN_DIR/hosts" 2>/dev/null
}

lan_number() {
	lan_hosts | grep -nx -- "$1" | cut -d: -f1 | grep . || lan_fail "no host $1"
}

lan_address() {
	lan_n=$(lan_number "$1") && echo "10.77.0.$lan_n"
}

lan_groups_make() { # HOST
	for lan_root in $(lan_group_roots); do
		mkdir -p "$lan_root/$LAN_ID/$1/system" "$lan_root/$LAN_ID/$1/primad" || return 1
		lan_is_unified || continue
		for lan_folder in "$lan_root" "$lan_root/$LAN_ID" "$lan_root/$LAN_ID/$1"; do
			echo "+memory +cpu" >"$lan_folder/cgroup.subtree_control" ||
				lan_fail "control groups cannot be divided here: $lan_folder" || return 1
		done
	done
}

# The calling process moves into a group; it must be about to become another program.
lan_groups_enter() { # HOST/GROUP
	for lan_root in $(lan_group_roots); do
		echo 0 >"$lan_root/$LAN_ID/$1/cgroup.procs" || return 1
	done
}

lan_holder() { # HOST
	cat "$LAN_DIR/$1/holder" 2>/dev/null || lan_fail "no host $1"
}

lan_enter() { # HOST GROUP CMD...; becomes CMD
	lan_pid=$(lan_holder "$1") || exit 1
	lan_groups_enter "$1/$2" || exit 1
	shift 2
	exec nsenter -t "$lan_pid" -m -u -n -- "$@"
}

lan_exec() { # HOST CMD...
	(
		lan_name=$1
		shift
		lan_enter "$lan_name" primad "$@"
	)
}

# Waits up to 10 s for a command to succeed.
lan_wait() {
	lan_tries=0
	until "$@" >/dev/null 2>&1; do
		lan_tries=$((lan_tries + 1))
		[ $lan_tries -lt 200 ] || lan_fail "waited in vain for: $*" || return 1
		sleep 0.05
	done
}

lan_start_in_host() { # HOST NAME CMD...: in the background, its process id to HOST/NAME
	lan_name=$1
	lan_service=$2
	shift 2
	(lan_enter "$lan_name" system "$@") >"$LAN_DIR/$lan_name/$lan_service.log" 2>&1 </dev/null &
	echo $! >"$LAN_DIR/$lan_name/$lan_service"
}

# Ends a process that was started here. It may be gone already.
lan_stop_in_host() { # HOST NAME
	lan_pid=$(cat "$LAN_DIR/$1/$2" 2>/dev/null) || return 0
	kill -9 "$lan_pid" 2>/dev/null
	rm -f "$LAN_DIR/$1/$2"
	lan_wait lan_is_gone "$lan_pid"
}

lan_is_gone() { # gone, or a zombie that waits for its parent
	[ ! -e "/proc/$1" ] || grep -q '^State:.Z' "/proc/$1/status"
}

lan_avahi_start() { # HOST
	lan_pid=$(lan_holder "$1") || return 1
	nsenter -t "$lan_pid" -m rm -rf /run/avahi-daemon # of one that was killed
	lan_start_in_host "$1" avahi avahi-daemon --no-chroot --no-drop-root --no-rlimits
	lan_wait nsenter -t "$lan_pid" -m test -S /run/avahi-daemon/socket
}

lan_avahi_stop() { # HOST
	lan_stop_in_host "$1" avahi
}

lan_services_start() { # HOST
	lan_pid=$(lan_holder "$1") || return 1
	nsenter -t "$lan_pid" -m sh -c 'mkdir -p /run/dbus && rm -f /run/dbus/*'
	lan_start_in_host "$1" dbus dbus-daemon --system --nofork --nopidfile
	lan_wait nsenter -t "$lan_pid" -m test -S /run/dbus/system_bus_socket || return 1
	lan_avahi_start "$1"
}

lan_services_stop() { # HOST
	lan_avahi_stop "$1"
	lan_stop_in_host "$1" dbus
}

lan_services() { # HOST start|stop|avahi-start|avahi-stop
	case $2 in
	start) lan_services_start "$1" ;;
	stop) lan_services_stop "$1" ;;
	avahi-start) lan_avahi_start "$1" ;;
	avahi-stop) lan_avahi_stop "$1" ;;
	*) lan_fail "services HOST start|stop|avahi-start|avahi-stop" ;;
	esac
}

# Duplicate address detection would only delay each start.
lan_host_quick() { # HOST
	lan_in "$1" sh -c 'for scope in all default; do
		echo 0 >/proc/sys/net/ipv6/conf/$scope/accept_dad
	done'
}

# A cable from the host to the bridge.
lan_host_wire() { # HOST NUMBER
	lan_host_quick "$1" &&
		ip -n "$LAN_ID-lan" link add "v$2" type veth peer name eth0 netns "$LAN_ID-$1" &&
		ip -n "$LAN_ID-lan" link set "v$2" master br0 up &&
		ip -n "$LAN_ID-$1" address add "10.77.0.$2/24" brd + dev eth0 &&
		ip -n "$LAN_ID-$1" link set lo up &&
		ip -n "$LAN_ID-$1" link set eth0 up
}

# The holder is a process that does nothing but keep the host's namespaces. /sys shows the host's own
# network, and the machine's control groups, from which the daemon reads its limits.
lan_host_make() { # HOST NUMBER
	mkdir "$LAN_DIR/$1" && ip netns add "$LAN_ID-$1" && lan_groups_make "$1" &&
		lan_host_wire "$1" "$2" || return 1
	(
		lan_groups_enter "$1/system" || exit 1
		exec nsenter --net="/run/netns/$LAN_ID-$1" unshare -m -u --propagation private sh -c \
			'mount -t tmpfs -o mode=755 tmpfs /run && mkdir /run/groups &&
			 mount --rbind /sys/fs/cgroup /run/groups && mount -t sysfs sysfs /sys &&
			 mount --rbind /run/groups /sys/fs/cgroup && umount -l /run/groups &&
			 rmdir /run/groups && hostname "$1" && : >/run/ready && exec sleep infinity' \
			sh "$1"
	) >"$LAN_DIR/$1/holder.log" 2>&1 </dev/null &
	echo $! >"$LAN_DIR/$1/holder"
	lan_wait nsenter -t $! -m test -f /run/ready && lan_services_start "$1"
}

lan_bridge_make() { # NAME
	ip -n "$LAN_ID-lan" link add "$1" type bridge forward_delay 0 mcast_snooping 0 &&
		ip -n "$LAN_ID-lan" link set "$1" up
}

lan_up() { # NAME...
	lan_sweep
	mkdir -m 755 "$LAN_DIR" || return 1
	printf '%s\n' "$@" >"$LAN_DIR/hosts"
	ip netns add "$LAN_ID-lan" && lan_bridge_make br0 && lan_bridge_make br1 || return 1
	lan_next=0
	for lan_each in "$@"; do
		lan_next=$((lan_next + 1))
		lan_host_make "$lan_each" $lan_next || return 1
	done
}

lan_link() { # HOST up|down
	lan_n=$(lan_number "$1") && ip -n "$LAN_ID-lan" link set "v$lan_n" "$2"
}

lan_split() { # HOST...
	for lan_each in "$@"; do
		lan_n=$(lan_number "$lan_each") &&
			ip -n "$LAN_ID-lan" link set "v$lan_n" master br1 || return 1
	done
}

lan_heal() {
	for lan_each in $(lan_hosts); do
		lan_n=$(lan_number "$lan_each") &&
			ip -n "$LAN_ID-lan" link set "v$lan_n" master br0 || return 1
	done
}

lan_capture() { # FILE; becomes tcpdump
	exec ip netns exec "$LAN_ID-lan" tcpdump -i br0 -U --immediate-mode -w "$1"
}

# ---- limits ----

lan_memory() { # HOST BYTES
	if lan_is_unified; then
		echo "$2" >"/sys/fs/cgroup/$LAN_ID/$1/primad/memory.max"
	else
		echo "$2" >"/sys/fs/cgroup/memory/$LAN_ID/$1/primad/memory.limit_in_bytes"
	fi
}

# Short periods, so that a slow host is slow all the time and not now and then.
lan_cpu() { # HOST PERCENT
	if lan_is_unified; then
		echo "$(($2 * 50)) 5000" >"/sys/fs/cgroup/$LAN_ID/$1/primad/cpu.max"
	else
		lan_group=/sys/fs/cgroup/cpu/$LAN_ID/$1/primad
		echo 5000 >"$lan_group/cpu.cfs_period_us" &&
			echo "$(($2 * 50))" >"$lan_group/cpu.cfs_quota_us"
	fi
}

lan_freeze_to() { # HOST V1-WORD V2-DIGIT
	if lan_is_unified; then
		echo "$3" >"/sys/fs/cgroup/$LAN_ID/$1/cgroup.freeze"
	else
		echo "$2" >"/sys/fs/cgroup/freezer/$LAN_ID/$1/freezer.state"
	fi
}

lan_freeze() { # HOST
	lan_freeze_to "$1" FROZEN 1
}

lan_thaw() { # HOST
	lan_freeze_to "$1" THAWED 0
}

# ---- the end ----

lan_namespaces() { # of this home
	ip netns list 2>/dev/null | cut -d' ' -f1 | grep "^$LAN_ID-"
}

# Everything that runs in our namespaces and groups was started here, and nothing else is.
lan_pids() {
	for lan_each in $(lan_namespaces); do
		ip netns pids "$lan_each" 2>/dev/null
	done
	for lan_root in $(lan_group_roots); do
		[ ! -d "$lan_root/$LAN_ID" ] ||
			find "$lan_root/$LAN_ID" -name cgroup.procs -exec cat {} + 2>/dev/null
	done
}

lan_kill_all() {
	lan_left=$(lan_pids | sort -u)
	# shellcheck disable=SC2086
	[ -z "$lan_left" ] || kill -9 $lan_left 2>/dev/null
	[ -z "$(lan_pids)" ]
}

lan_down() {
	for lan_each in $(lan_hosts); do
		lan_thaw "$lan_each" 2>/dev/null
	done
	lan_wait lan_kill_all
	for lan_each in $(lan_namespaces); do
		ip netns del "$lan_each"
	done
	for lan_root in $(lan_group_roots); do
		[ ! -d "$lan_root/$LAN_ID" ] ||
			find "$lan_root/$LAN_ID" -depth -type d -exec rmdir {} +
	done
	rm -rf "$LAN_DIR"
}

# Homes whose owner died without taking them down.
lan_sweep() {
	for lan_found in /tmp/primad-lan-[0-9]*-[0-9]*/hosts; do
		[ -f "$lan_found" ] || continue
		lan_stale=$(basename "$(dirname "$lan_found")")
		lan_owner=${lan_stale#primad-lan-}
		lan_owner=${lan_owner%.*}
		[ "$(lan_start_of "${lan_owner%-*}")" = "${lan_owner#*-}" ] ||
			(
				LAN_ID=$lan_stale
				LAN_DIR=/tmp/$LAN_ID
				lan_down
			)
	done
}

if [ -z "${LAN_SOURCED:-}" ]; then
	lan_verb=${1:-}
	case $lan_verb in
	check | up | memory | cpu | freeze | thaw | link | split | heal | services | address | \
		capture | down | sweep)
		shift
		"lan_$lan_verb" "$@"
		;;
	exec)
		lan_name=$2
		shift 2
		lan_enter "$lan_name" primad "$@"
		;;
	*)
		sed -n '2,/^$/s/^# \{0,1\}//p' "$0"
		exit 2
		;;
	esac
fi
