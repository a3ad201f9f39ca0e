#!/bin/sh
# Installs what is needed, builds, and runs every test. Safe to run again; works from an empty
# machine with root (or sudo) and the package registries.
#
#   sh tests/run.sh            all that continuous integration runs
#   sh tests/run.sh --quick    one build and the unit suites only
#   sh tests/run.sh --heavy    more: a clang build, kernels in valgrind, every prompt under every plan
set -u
cd "$(dirname "$0")/.." || exit 1
. packaging/packages.sh

mode=${1:-}
passed=0
failed=0
skipped=0

# step NAME COMMAND...: counts one result; the output is shown when it failed.
step() {
	_step=$1
	shift
	_start=$(date +%s)
	mkdir -p build/log
	if "$@" >"build/log/$_step.log" 2>&1; then
		passed=$((passed + 1))
		say "ok $_step ($(($(date +%s) - _start)) s)"
	else
		failed=$((failed + 1))
		say "FAILED $_step"
		tail -n 150 "build/log/$_step.log"
	fi
}

# suite BUILD SUITES...: meson test in a build folder, each test counted.
suite() {
	_build=$1
	shift
	_log=build/log/$(basename "$_build")-tests.log
	_args=""
	for _suite in "$@"; do _args="$_args --suite $_suite"; done
	# shellcheck disable=SC2086
	meson test -C "$_build" --no-rebuild --num-processes 2 --timeout-multiplier 4 \
		--print-errorlogs $_args >"$_log" 2>&1
	_ok=$(sed -n 's/^Ok: *//p' "$_log" | tail -1)
	_bad=$(sed -n 's/^\(Fail\|Unexpected Pass\|Timeout\): *//p' "$_log" |
		awk '{s += $1} END {print s + 0}')
	_skip=$(sed -n 's/^Skipped: *//p' "$_log" | tail -1)
	passed=$((passed + ${_ok:-0}))
	skipped=$((skipped + ${_skip:-0}))
	failed=$((failed + _bad))
	if [ -z "${_ok:-}" ] || [ "$_bad" != 0 ]; then
		[ -n "${_ok:-}" ] || failed=$((failed + 1))
		say "FAILED tests of $_build"
		tail -n 150 "$_log"
	else
		say "ok tests of $_build: $_ok passed, ${_skip:-0} skipped"
	fi
}

# configure FOLDER OPTIONS...: sets a build folder up once, then builds.
build_in() {
	_folder=$1
	shift
	[ -e "$_folder/build.ninja" ] || meson setup "$_folder" "$@" || return 1
	ninja -C "$_folder" -j2
}

build_sanitized() {
	[ -e build/asan/build.ninja ] || meson setup build/asan --buildtype=debugoptimized \
		-Db_sanitize=address,undefined -Dwerror=false || return 1
	ninja -C build/asan -j2
}

build_threads() {
	[ -e build/tsan/build.ninja ] ||
		meson setup build/tsan --buildtype=debugoptimized -Db_sanitize=thread -Dwerror=false || return 1
	ninja -C build/tsan -j2 daemon/primad tests/tools/libseenclose.so
}

build_clang() {
	[ -e build/clang/build.ninja ] || CC=clang meson setup build/clang --buildtype=release ||
		return 1
	ninja -C build/clang -j2
}

finish() {
	echo
	echo "primad: $passed passed, $failed failed, $skipped skipped"
	[ "$failed" = 0 ] && [ "$passed" -gt 0 ]
	exit
}

# shellcheck disable=SC2086
install_packages $BUILD_PACKAGES $HOME_PACKAGES || exit 1
make_venv pytest numpy gguf openai jinja2 || exit 1
fetch_model || exit 1
fetch_llama_source || exit 1
PATH=$PWD/build/venv/bin:$PATH
PRIMAD_TEST_MODEL=$PWD/$MODEL_FILE
MODEL=$PRIMAD_TEST_MODEL
PRIMAD_LLAMA_ARCHIVE=$PWD/$LLAMA_ARCHIVE
PRIMAD_TEST_ALL=1 # what cannot be fetched is a failure here, not a skip
export PATH PRIMAD_TEST_MODEL MODEL PRIMAD_LLAMA_ARCHIVE PRIMAD_TEST_ALL
[ "$mode" != --heavy ] || export PRIMAD_HEAVY=1

step build-release build_in build/release --buildtype=release
suite build/release structure unit kernels sim tokens oracle
step logits-of-llama.cpp python3 tests/tools/check_logits.py build/release/tests/tools/logits \
	"$PRIMAD_TEST_MODEL" tests/vectors/gemma_logits.npz
[ "$mode" != --quick ] || finish
step kernels-arm64 sh tests/arm64.sh

step build-sanitized build_sanitized
suite build/asan unit
step daemons-sanitized env PRIMAD_BUILD="$PWD/build/asan" PRIMAD_SLOW=5 \
	python3 -m pytest -q -x tests/cluster/test_loopback.py
step build-threads build_threads
step daemons-threads env PRIMAD_BUILD="$PWD/build/tsan" PRIMAD_SLOW=8 \
	LD_PRELOAD="$PWD/build/tsan/tests/tools/libseenclose.so" \
	python3 -m pytest -q -x tests/cluster/test_loopback.py
if [ "$mode" = --heavy ]; then
	step build-clang build_clang
	install_packages valgrind || exit 1
	step kernels-valgrind valgrind -q --error-exitcode=1 build/release/tests/kernels/matmul_test
fi

if [ "$(id -u)" = 0 ]; then
	step daemons-and-hosts env PRIMAD_BUILD="$PWD/build/release" python3 -m pytest -q tests/cluster
else
	say "skipped tests/cluster: it makes network namespaces and needs root"
	skipped=$((skipped + 1))
fi
finish
