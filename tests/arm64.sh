#!/bin/sh
# The kernels for 64-bit ARM, compiled across and run in qemu's user emulation: every kernel test,
# with the variants `i8mm`, `neon` and `c`, and the bits of the arithmetic contract as on x86.
#
#   sh tests/arm64.sh [KERNEL TEST...]     into build/arm64
#
# Installs the compiler and the emulator from Debian. The ARM libraries are unpacked into
# build/arm64-root; the system's own package list is left alone.
set -u
cd "$(dirname "$0")/.." || exit 1
. packaging/packages.sh

root=$PWD/build/arm64-root
libraries="libcmocka-dev libcmocka0 libsodium-dev libsodium23 libpcre2-dev libpcre2-8-0"

# apt with lists of its own, for the ARM packages.
apt_arm() {
	apt-get -q -o APT::Architecture=arm64 -o APT::Architectures=arm64 \
		-o Dir::State::Lists="$root/apt/lists" -o Dir::Cache="$root/apt/cache" \
		-o Dir::State::status="$root/apt/status" -o APT::Sandbox::User=root "$@"
}

download_libraries() {
	mkdir -p "$root/apt/lists/partial" "$root/apt/cache/archives/partial" "$root/debs" &&
		: >"$root/apt/status" &&
		apt_arm update &&
		# shellcheck disable=SC2086
		(cd "$root/debs" && apt_arm download $libraries) || return 1
	for _deb in "$root"/debs/*.deb; do
		dpkg-deb -x "$_deb" "$root" || return 1
	done
	rm -rf "$root/apt" "$root/debs" && touch "$root/complete"
}

write_cross_file() {
	cat >build/arm64.ini <<END
[binaries]
c = 'aarch64-linux-gnu-gcc'
ar = 'aarch64-linux-gnu-ar'
strip = 'aarch64-linux-gnu-strip'
pkgconfig = 'pkg-config'
exe_wrapper = ['qemu-aarch64-static', '-cpu', 'max', '-L', '/usr/aarch64-linux-gnu',
  '-E', 'LD_LIBRARY_PATH=$root/usr/lib/aarch64-linux-gnu']

[properties]
pkg_config_libdir = '$root/usr/lib/aarch64-linux-gnu/pkgconfig'
sys_root = '$root'

[host_machine]
system = 'linux'
cpu_family = 'aarch64'
cpu = 'armv8.2-a'
endian = 'little'
END
}

build_arm() {
	write_cross_file
	[ -e build/arm64/build.ninja ] || meson setup build/arm64 --cross-file build/arm64.ini \
		-Dengine_only=true -Dc_link_args="-L$root/usr/lib/aarch64-linux-gnu" \
		-Dc_args="-isystem $root/usr/include" || return 1
	ninja -C build/arm64 -j2
}

install_packages gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user-static meson ninja-build \
	pkg-config || exit 1
[ -e "$root/complete" ] || run_quietly arm64-libraries download_libraries || exit 1
run_quietly arm64-build build_arm || exit 1
# Emulated, everything takes twenty times as long.
exec meson test -C build/arm64 --no-rebuild --num-processes 2 --timeout-multiplier 20 \
	--print-errorlogs --suite kernels "$@"
