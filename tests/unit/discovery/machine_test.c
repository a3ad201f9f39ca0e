#include "discovery/machine.h"

#include <ftw.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#define MIB (1ull << 20)
#define GIB (1ull << 30)

/* A folder that looks like the root of some machine. */
static char root[] = "/tmp/primad-machine-XXXXXX";

static int make_root(void **state)
{
	strcpy(root + strlen(root) - 6, "XXXXXX");
	return mkdtemp(root) ? 0 : -1;
}

static int drop_entry(const char *path, const struct stat *stat, int type, struct FTW *at)
{
	return remove(path);
}

static int drop_root(void **state)
{
	return nftw(root, drop_entry, 8, FTW_DEPTH | FTW_PHYS);
}

static void put_bytes(const char *path, const void *bytes, size_t size)
{
	char full[PATH_MAX];
	snprintf(full, sizeof(full), "%s%s", root, path);
	for (char *slash = strchr(full + strlen(root) + 1, '/'); slash;
	     slash = strchr(slash + 1, '/')) {
		*slash = '\0';
		mkdir(full, 0755);
		*slash = '/';
	}
	FILE *file = fopen(full, "w");
	assert_non_null(file);
	assert_int_equal(fwrite(bytes, 1, size, file), size);
	fclose(file);
}

static void put(const char *path, const char *text)
{
	put_bytes(path, text, strlen(text));
}

static void put_memory(uint64_t total, uint64_t available)
{
	char text[200];
	snprintf(text, sizeof(text),
		 "MemTotal:       %llu kB\nMemFree:  1 kB\nMemAvailable:   %llu kB\n",
		 (unsigned long long)total / 1024, (unsigned long long)available / 1024);
	put("/proc/meminfo", text);
	put("/proc/self/status", "Name:\tprimad\nVmRSS:\t 9999 kB\nRssAnon:\t    2048 kB\n");
}

static const char mounts_v1[] =
	"31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
	"32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:7 - cgroup cgroup "
	"rw,cpu,cpuacct\n"
	"35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory\n"
	"41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw\n";
static const char mounts_v2[] = "22 1 254:1 / / rw,relatime - ext4 /dev/vda1 rw\n"
				"30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 "
				"rw,nsdelegate,memory_recursiveprot\n";

static void good_v1_limits(void **state)
{
	struct machine_memory memory;
	put_memory(8 * GIB, 6 * GIB);
	put("/proc/self/mountinfo", mounts_v1);
	put("/proc/self/cgroup",
	    "9:name=systemd:/\n4:memory:/home/desk\n1:cpu,cpuacct:/home\n0::/\n");
	put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
	put("/sys/fs/cgroup/memory/memory.usage_in_bytes", "7000000000\n");
	put("/sys/fs/cgroup/memory/home/memory.limit_in_bytes", "1073741824\n");
	put("/sys/fs/cgroup/memory/home/memory.usage_in_bytes", "1000000000\n");
	put("/sys/fs/cgroup/memory/home/memory.stat",
	    "cache 5\ninactive_file 7\ntotal_inactive_file 100000000\ntotal_active_file "
	    "50000000\n");
	put("/sys/fs/cgroup/memory/home/desk/memory.limit_in_bytes", "2147483648\n");
	put("/sys/fs/cgroup/memory/home/desk/memory.usage_in_bytes", "10000000\n");
	machine_read_memory(&memory, root);
	assert_int_equal(memory.total_bytes, 8 * GIB);
	assert_int_equal(memory.available_bytes, 6 * GIB);
	assert_int_equal(memory.self_bytes, 2 * MIB);
	assert_int_equal(memory.limit_bytes, GIB); /* the parent's is smaller */
	assert_int_equal(memory.limit_left_bytes, GIB - 850000000);
}

static void good_v2_limits(void **state)
{
	struct machine_memory memory;
	put_memory(8 * GIB, 6 * GIB);
	put("/proc/self/mountinfo", mounts_v2);
	put("/proc/self/cgroup", "0::/system.slice/primad.service\n");
	put("/sys/fs/cgroup/system.slice/memory.max", "max\n");
	put("/sys/fs/cgroup/system.slice/primad.service/memory.max", "536870912\n");
	put("/sys/fs/cgroup/system.slice/primad.service/memory.current", "200000000\n");
	put("/sys/fs/cgroup/system.slice/primad.service/memory.stat",
	    "anon 20000000\nfile 180000000\ninactive_file 90000000\nactive_file 60000000\n");
	machine_read_memory(&memory, root);
	assert_int_equal(memory.limit_bytes, 512 * MIB);
	assert_int_equal(memory.limit_left_bytes, 512 * MIB - 50000000);
}

/* A container sees its own part of the hierarchy, but is told its path from the top. */
static void good_a_container_on_v1(void **state)
{
	struct machine_memory memory;
	put_memory(8 * GIB, 6 * GIB);
	put("/proc/self/mountinfo",
	    "35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n");
	put("/proc/self/cgroup", "4:memory:/docker/abc\n");
	put("/sys/fs/cgroup/memory/memory.limit_in_bytes", "268435456\n");
	put("/sys/fs/cgroup/memory/memory.usage_in_bytes", "300000000\n");
	machine_read_memory(&memory, root);
	assert_int_equal(memory.limit_bytes, 256 * MIB);
	assert_int_equal(memory.limit_left_bytes, 0); /* used more: nothing is left */
}

static void good_no_limits(void **state)
{
	struct machine machine;
	put_memory(8 * GIB, 6 * GIB);
	machine_read(&machine, root); /* no groups at all */
	assert_true(machine.memory.limit_bytes == UINT64_MAX);
	assert_true(machine.cpu_quota == 0);
	put("/proc/self/mountinfo", mounts_v2);
	put("/proc/self/cgroup", "0::/\n");
	machine_read(&machine, root);
	assert_true(machine.memory.limit_bytes == UINT64_MAX);
	assert_true(machine.memory.limit_left_bytes == UINT64_MAX);
	put("/sys/fs/cgroup/memory.max", "17179869184\n"); /* more than the machine has */
	machine_read(&machine, root);
	assert_true(machine.memory.limit_bytes == UINT64_MAX);
}

static void good_processor_time(void **state)
{
	struct machine machine;
	put("/proc/self/mountinfo", mounts_v1);
	put("/proc/self/cgroup", "1:cpu,cpuacct:/a/b\n");
	put("/sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_quota_us", "-1\n");
	put("/sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_period_us", "100000\n");
	put("/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "250000\n");
	put("/sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n");
	machine_read(&machine, root);
	assert_true(machine.cpu_quota == 2.5);
	put("/proc/self/mountinfo", mounts_v2);
	put("/proc/self/cgroup", "0::/a/b\n");
	put("/sys/fs/cgroup/a/cpu.max", "max 100000\n");
	put("/sys/fs/cgroup/a/b/cpu.max", "30000 20000\n");
	machine_read(&machine, root);
	assert_true(machine.cpu_quota == 1.5);
}

static void good_threads(void **state)
{
	const struct {
		uint32_t cores;
		double quota;
		uint32_t threads;
	} rows[] = { { 4, 0, 4 },   { 4, 0.2, 1 }, { 4, 1.4, 1 }, { 4, 1.5, 2 },
		     { 4, 2.5, 3 }, { 4, 9, 4 },   { 0, 0, 1 } };
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		const struct machine machine = { .cores = rows[i].cores,
						 .cpu_quota = rows[i].quota };
		assert_int_equal(machine_threads(&machine), rows[i].threads);
	}
}

static void good_instruction_sets(void **state)
{
	struct machine machine;
	char text[100];
	put("/proc/cpuinfo", "processor\t: 0\nmodel name\t: AMD EPYC 7763\nflags\t\t: fpu sse2 fma "
			     "f16c avx avx2 avx512f avx512bw\n\nprocessor\t: 1\n");
	machine_read(&machine, root);
	assert_string_equal(machine.cpu, "AMD EPYC 7763");
	assert_int_equal(machine.isa, MACHINE_ISA_AVX2 | MACHINE_ISA_FMA | MACHINE_ISA_F16C);
	assert_string_equal(machine_isa_text(machine.isa, text, sizeof(text)), "AVX2 FMA F16C");
	put("/proc/cpuinfo", "flags\t: avx512f avx512bw avx512dq avx512vl avx512_vnni avx_vnni\n");
	machine_read(&machine, root);
	assert_int_equal(machine.isa,
			 MACHINE_ISA_AVX512 | MACHINE_ISA_AVX512_VNNI | MACHINE_ISA_AVX_VNNI);
	assert_string_equal(machine.cpu, "unknown");
	put("/proc/cpuinfo", "processor : 0\nFeatures\t: fp asimd asimddp i8mm\n");
	machine_read(&machine, root);
	assert_int_equal(machine.isa, MACHINE_ISA_NEON | MACHINE_ISA_DOTPROD | MACHINE_ISA_I8MM);
	assert_string_equal(machine_isa_text(0, text, sizeof(text)), "none");
	assert_int_equal(strlen(machine_isa_text(0x1ff, text, 8)), 7);
}

static void good_power(void **state)
{
	assert_int_equal(machine_power(root), POWER_UNKNOWN);
	put("/sys/class/power_supply/hid-mouse/type", "Battery\n");
	put("/sys/class/power_supply/hid-mouse/scope", "Device\n");
	put("/sys/class/power_supply/hid-mouse/status", "Discharging\n");
	assert_int_equal(machine_power(root), POWER_MAINS); /* a desk with a wireless mouse */
	put("/sys/class/power_supply/AC/type", "Mains\n");
	put("/sys/class/power_supply/AC/online", "1\n");
	put("/sys/class/power_supply/BAT0/type", "Battery\n");
	put("/sys/class/power_supply/BAT0/status", "Charging\n");
	assert_int_equal(machine_power(root), POWER_MAINS);
	put("/sys/class/power_supply/BAT0/status", "Discharging\n");
	assert_int_equal(machine_power(root), POWER_MAINS); /* plugged into a weak adapter */
	put("/sys/class/power_supply/AC/online", "0\n");
	assert_int_equal(machine_power(root), POWER_BATTERY);
	put("/sys/class/power_supply/BAT0/status", "Full\n");
	assert_int_equal(machine_power(root), POWER_MAINS);
}

static void good_budget(void **state)
{
	char sentence[200];
	struct machine_memory memory = { .total_bytes = 16 * GIB,
					 .available_bytes = 10 * GIB,
					 .limit_bytes = UINT64_MAX,
					 .limit_left_bytes = UINT64_MAX };
	assert_int_equal(machine_memory_budget(&memory, sentence, sizeof(sentence)), 8 * GIB);
	assert_non_null(strstr(sentence, "8192 MiB: 10240 MiB of the machine"));
	memory.total_bytes = 64 * GIB; /* at most 4 GiB are kept */
	assert_int_equal(machine_memory_budget(&memory, NULL, 0), 6 * GIB);
	memory.total_bytes = 2 * GIB; /* at least 512 MiB */
	memory.available_bytes = 1536 * MIB;
	assert_int_equal(machine_memory_budget(&memory, NULL, 0), GIB);
	memory.available_bytes = 600 * MIB; /* but never more than half of what is free */
	assert_int_equal(machine_memory_budget(&memory, NULL, 0), 300 * MIB);
	memory.available_bytes = 600 * MIB - 2 * MIB; /* what we hold is ours to use */
	memory.self_bytes = 2 * MIB;
	assert_int_equal(machine_memory_budget(&memory, NULL, 0), 300 * MIB);
	memory = (struct machine_memory){ .total_bytes = 16 * GIB,
					  .available_bytes = 10 * GIB,
					  .limit_bytes = 160 * MIB,
					  .limit_left_bytes = 150 * MIB,
					  .self_bytes = 4 * MIB };
	assert_int_equal(machine_memory_budget(&memory, sentence, sizeof(sentence)), 134 * MIB);
	assert_non_null(strstr(sentence, "control group"));
	memory.limit_left_bytes = 159 * MIB; /* never more than the limit less its reserve */
	assert_int_equal(machine_memory_budget(&memory, NULL, 0), 140 * MIB);
	memory.available_bytes = 100 * MIB; /* the machine itself may be the tighter one */
	assert_int_equal(machine_memory_budget(&memory, NULL, 0), 52 * MIB);
	memset(&memory, 0, sizeof(memory));
	assert_int_equal(machine_memory_budget(&memory, NULL, 0), 0);
}

static void ugly_files_full_of_noise(void **state)
{
	static const char *const paths[] = { "/proc/meminfo",
					     "/proc/cpuinfo",
					     "/proc/self/status",
					     "/proc/self/cgroup",
					     "/proc/self/mountinfo",
					     "/sys/class/power_supply/BAT0/type",
					     "/sys/class/power_supply/BAT0/status" };
	static uint8_t noise[40000];
	struct machine machine;
	uint32_t seed = 1;
	for (int round = 0; round < 20; round++) {
		for (size_t p = 0; p < sizeof(paths) / sizeof(paths[0]); p++) {
			for (size_t i = 0; i < sizeof(noise); i++) {
				seed = seed * 1664525u + 1013904223u;
				noise[i] = round % 2 ? (uint8_t)(seed >> 24)
						     : (uint8_t)(" \n:/-09am"[seed >> 29]);
			}
			put_bytes(paths[p], noise, round * 2000u);
		}
		machine_read(&machine, root);
		assert_true(machine.cores >= 1);
	}
	put("/proc/self/mountinfo", "35 31 0:32 /x\n1 2 3 - cgroup\n1 2 3 4 /m - cgroup2\n - \n");
	put("/proc/self/cgroup", ":::\n4\n4:memory\n0::../../../..\n");
	machine_read(&machine, root);
	assert_true(machine.memory.limit_bytes == UINT64_MAX);
}

static void good_this_machine(void **state)
{
	struct machine machine;
	struct machine_interface interfaces[MACHINE_INTERFACES_MAX];
	machine_read(&machine, "");
	assert_true(machine.cores >= 1);
	assert_true(machine.memory.total_bytes > 64 * MIB);
	assert_true(machine.memory.available_bytes <= machine.memory.total_bytes);
	assert_true(machine.memory.self_bytes > 0);
	assert_true(machine_memory_budget(&machine.memory, NULL, 0) < machine.memory.total_bytes);
	const uint32_t count = machine_interfaces(interfaces, "");
	for (uint32_t i = 0; i < count; i++) {
		const struct machine_interface *interface = &interfaces[i];
		assert_true(interface->index > 0);
		assert_true(interface->n_addresses > 0);
		const bool loopback = strcmp(interface->name, "lo") == 0;
		assert_int_equal(interface->medium == LINK_LOOPBACK, loopback);
		assert_int_equal(address_is_loopback(&interface->addresses[0]), loopback);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(good_v1_limits, make_root, drop_root),
		cmocka_unit_test_setup_teardown(good_v2_limits, make_root, drop_root),
		cmocka_unit_test_setup_teardown(good_a_container_on_v1, make_root, drop_root),
		cmocka_unit_test_setup_teardown(good_no_limits, make_root, drop_root),
		cmocka_unit_test_setup_teardown(good_processor_time, make_root, drop_root),
		cmocka_unit_test(good_threads),
		cmocka_unit_test_setup_teardown(good_instruction_sets, make_root, drop_root),
		cmocka_unit_test_setup_teardown(good_power, make_root, drop_root),
		cmocka_unit_test(good_budget),
		cmocka_unit_test_setup_teardown(ugly_files_full_of_noise, make_root, drop_root),
		cmocka_unit_test(good_this_machine),
	};
	return cmocka_run_group_tests_name("machine", tests, NULL, NULL);
}
