/* Linux tells everything in small files of /proc and /sys. A file that is missing or unreadable
 * means that its fact is unknown, never that reading the machine fails. */
#include "discovery/machine.h"

#include <dirent.h>
#include <ifaddrs.h>
#include <limits.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define FILE_BYTES 16384

/* Reads at most FILE_BYTES - 1 bytes of ROOT/PATH as text. */
static bool read_text(const char *root, const char *path, char text[FILE_BYTES])
{
	char full[PATH_MAX];
	if (snprintf(full, sizeof(full), "%s%s", root, path) >= (int)sizeof(full))
		return false;
	FILE *file = fopen(full, "re");
	if (!file)
		return false;
	const size_t size = fread(text, 1, FILE_BYTES - 1, file);
	fclose(file);
	text[size] = '\0';
	return true;
}

static void cut_line(char *text)
{
	text[strcspn(text, "\n")] = '\0';
}

/* The text behind "NAME" and blanks or a colon, at the start of a line; NULL: no such line. */
static const char *line_value(const char *text, const char *name)
{
	const size_t length = strlen(name);
	for (const char *line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (strncmp(line, name, length) == 0 && strchr(" \t:", line[length]) &&
		    line[length] != '\0')
			return line + length + strspn(line + length, " \t:");
	}
	return NULL;
}

static uint64_t line_number(const char *text, const char *name)
{
	const char *value = line_value(text, name);
	return value ? strtoull(value, NULL, 10) : 0;
}

/* "max", a missing file and nonsense: no limit. */
static uint64_t read_limit(const char *root, const char *folder, const char *name)
{
	char path[PATH_MAX], text[FILE_BYTES];
	if (snprintf(path, sizeof(path), "%s/%s", folder, name) >= (int)sizeof(path) ||
	    !read_text(root, path, text) || text[0] < '0' || text[0] > '9')
		return UINT64_MAX;
	return strtoull(text, NULL, 10);
}

/* ---- control groups ---- */

/* The folder of this process's group for a controller: `mount` is where its hierarchy is mounted,
 * and the walk upwards ends there. */
struct group {
	char folder[PATH_MAX];
	size_t mount_length;
	bool unified; /* v2 */
};

static bool has_word(const char *list, const char *word, char separator)
{
	const size_t length = strlen(word);
	for (const char *at = list; at; at = strchr(at, separator)) {
		at += *at == separator;
		if (strncmp(at, word, length) == 0 &&
		    (at[length] == separator || at[length] == '\0'))
			return true;
	}
	return false;
}

/* One line of /proc/self/cgroup, "4:memory,cpu:/path"; v2 has no controllers: "0::/path". */
static bool group_path(const char *root, const char *controller, char path[PATH_MAX])
{
	char text[FILE_BYTES];
	if (!read_text(root, "/proc/self/cgroup", text))
		return false;
	char *rest = NULL;
	for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		char *list = strchr(line, ':');
		char *own = list ? strchr(list + 1, ':') : NULL;
		if (!own)
			continue;
		*own = '\0';
		const bool match =
			controller ? has_word(list + 1, controller, ',') : list[1] == '\0';
		if (match)
			return snprintf(path, PATH_MAX, "%s", own + 1) < PATH_MAX;
	}
	return false;
}

/* A line of /proc/self/mountinfo: numbers, root, mount point, ..., " - ", type, source, options. */
static bool parse_mount(char *line, const char *controller, char **mount_root, char **mount)
{
	char *fields[5], *rest = NULL;
	char *tail = strstr(line, " - ");
	if (!tail)
		return false;
	*tail = '\0';
	for (int i = 0; i < 5; i++) {
		fields[i] = strtok_r(i == 0 ? line : NULL, " ", &rest);
		if (!fields[i])
			return false;
	}
	*mount_root = fields[3];
	*mount = fields[4];
	char *type = strtok_r(tail + 3, " ", &rest);
	char *source = type ? strtok_r(NULL, " ", &rest) : NULL;
	char *options = source ? strtok_r(NULL, " ", &rest) : NULL;
	if (!type || strcmp(type, controller ? "cgroup" : "cgroup2") != 0)
		return false;
	return !controller || (options && has_word(options, controller, ','));
}

/* In a container only a part of the hierarchy is mounted, and the path is told from the top. */
static bool set_folder(struct group *group, const char *mount, const char *mount_root,
		       const char *path)
{
	const size_t skip = strlen(mount_root);
	const bool below = skip > 1 && strncmp(path, mount_root, skip) == 0;
	group->mount_length = strlen(mount);
	return snprintf(group->folder, sizeof(group->folder), "%s%s", mount,
			below ? path + skip : path) < (int)sizeof(group->folder);
}

/* `controller` NULL: the unified hierarchy. */
static bool group_find(const char *root, const char *controller, struct group *group)
{
	char path[PATH_MAX], mounts[PATH_MAX];
	if (!group_path(root, controller, path) ||
	    snprintf(mounts, sizeof(mounts), "%s/proc/self/mountinfo", root) >= (int)sizeof(mounts))
		return false;
	FILE *file = fopen(mounts, "re");
	if (!file)
		return false;
	group->unified = !controller;
	char *line = NULL;
	size_t size = 0;
	bool found = false;
	while (!found && getline(&line, &size, file) > 0) { /* may be hundreds of lines */
		char *mount_root, *mount;
		cut_line(line);
		found = parse_mount(line, controller, &mount_root, &mount) &&
			set_folder(group, mount, mount_root, path);
	}
	free(line);
	fclose(file);
	return found;
}

/* To the parent's folder; false at the mount point. */
static bool group_up(struct group *group)
{
	char *slash = strrchr(group->folder, '/');
	if (!slash || (size_t)(slash - group->folder) < group->mount_length)
		return false;
	*slash = '\0';
	return true;
}

static uint64_t group_file_cache(const char *root, const struct group *group)
{
	char path[PATH_MAX], text[FILE_BYTES];
	if (snprintf(path, sizeof(path), "%s/memory.stat", group->folder) >= (int)sizeof(path) ||
	    !read_text(root, path, text))
		return 0;
	const char *inactive = group->unified ? "inactive_file" : "total_inactive_file";
	const char *active = group->unified ? "active_file" : "total_active_file";
	return line_number(text, inactive) + line_number(text, active);
}

static void take_memory_limit(struct machine_memory *memory, const char *root,
			      const struct group *group)
{
	const uint64_t limit = read_limit(root, group->folder,
					  group->unified ? "memory.max" : "memory.limit_in_bytes");
	if (limit >= memory->total_bytes) /* also v1's way to say that there is none */
		return;
	const uint64_t used = read_limit(
		root, group->folder, group->unified ? "memory.current" : "memory.usage_in_bytes");
	const uint64_t cache = group_file_cache(root, group);
	const uint64_t held = used == UINT64_MAX || cache > used ? 0 : used - cache;
	const uint64_t left = held < limit ? limit - held : 0;
	if (limit < memory->limit_bytes)
		memory->limit_bytes = limit;
	if (left < memory->limit_left_bytes)
		memory->limit_left_bytes = left;
}

static void read_memory_limits(struct machine_memory *memory, const char *root)
{
	static const char *const hierarchies[] = { "memory", NULL };
	for (int i = 0; i < 2; i++) {
		struct group group;
		if (!group_find(root, hierarchies[i], &group))
			continue;
		do
			take_memory_limit(memory, root, &group);
		while (group_up(&group));
	}
}

/* "50000 100000" or "max 100000"; v1 has two files and -1 for none. */
static double group_quota(const char *root, const struct group *group)
{
	char path[PATH_MAX], text[FILE_BYTES];
	uint64_t quota, period;
	if (group->unified) {
		if (snprintf(path, sizeof(path), "%s/cpu.max", group->folder) >=
			    (int)sizeof(path) ||
		    !read_text(root, path, text) || text[0] < '0' || text[0] > '9')
			return 0;
		char *end;
		quota = strtoull(text, &end, 10);
		period = strtoull(end, NULL, 10);
	} else {
		quota = read_limit(root, group->folder, "cpu.cfs_quota_us");
		period = read_limit(root, group->folder, "cpu.cfs_period_us");
	}
	if (quota == UINT64_MAX || period == UINT64_MAX || period == 0)
		return 0;
	return (double)quota / (double)period;
}

static double read_quota(const char *root)
{
	static const char *const hierarchies[] = { "cpu", NULL };
	double least = 0;
	for (int i = 0; i < 2; i++) {
		struct group group;
		if (!group_find(root, hierarchies[i], &group))
			continue;
		do {
			const double quota = group_quota(root, &group);
			if (quota > 0 && (least == 0 || quota < least))
				least = quota;
		} while (group_up(&group));
	}
	return least;
}

void machine_read_memory(struct machine_memory *memory, const char *root)
{
	char text[FILE_BYTES];
	memset(memory, 0, sizeof(*memory));
	memory->limit_bytes = memory->limit_left_bytes = UINT64_MAX;
	if (read_text(root, "/proc/meminfo", text)) {
		memory->total_bytes = line_number(text, "MemTotal") * 1024;
		memory->available_bytes = line_number(text, "MemAvailable") * 1024;
	}
	if (read_text(root, "/proc/self/status", text))
		memory->self_bytes = line_number(text, "RssAnon") * 1024;
	read_memory_limits(memory, root);
}

/* ---- processor ---- */

/* The kernel lists an extension only when it saves its registers too. */
static uint32_t isa_of(const char *flags)
{
	static const struct {
		uint32_t isa;
		const char *words[4];
	} rows[] = { { MACHINE_ISA_AVX2, { "avx2" } },
		     { MACHINE_ISA_FMA, { "fma" } },
		     { MACHINE_ISA_F16C, { "f16c" } },
		     { MACHINE_ISA_AVX512, { "avx512f", "avx512bw", "avx512dq", "avx512vl" } },
		     { MACHINE_ISA_AVX512_VNNI, { "avx512_vnni" } },
		     { MACHINE_ISA_AVX_VNNI, { "avx_vnni" } },
		     { MACHINE_ISA_NEON, { "asimd" } },
		     { MACHINE_ISA_DOTPROD, { "asimddp" } },
		     { MACHINE_ISA_I8MM, { "i8mm" } } };
	uint32_t isa = 0;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool all = true;
		for (int w = 0; w < 4 && rows[i].words[w]; w++)
			all = all && has_word(flags, rows[i].words[w], ' ');
		isa |= all ? rows[i].isa : 0;
	}
	return isa;
}

static void read_cpu(struct machine *machine, const char *root)
{
	char text[FILE_BYTES], line[FILE_BYTES];
	snprintf(machine->cpu, sizeof(machine->cpu), "unknown");
	if (!read_text(root, "/proc/cpuinfo", text))
		return;
	const char *name = line_value(text, "model name");
	if (name)
		snprintf(machine->cpu, sizeof(machine->cpu), "%.*s", (int)strcspn(name, "\n"),
			 name);
	const char *flags = line_value(text, "flags");
	if (!flags)
		flags = line_value(text, "Features");
	if (!flags)
		return;
	snprintf(line, sizeof(line), "%s", flags);
	cut_line(line);
	machine->isa = isa_of(line);
}

/* CPU_SETSIZE is not a bound on real machines: ask with larger sets until the kernel's fits. */
static uint32_t usable_cores(void)
{
	for (int cpus = 1024; cpus <= 65536; cpus *= 4) {
		cpu_set_t *set = CPU_ALLOC((size_t)cpus);
		const size_t size = CPU_ALLOC_SIZE((size_t)cpus);
		if (!set)
			break;
		const bool ok = sched_getaffinity(0, size, set) == 0;
		const int count = ok ? CPU_COUNT_S(size, set) : 0;
		CPU_FREE(set);
		if (count > 0)
			return (uint32_t)count;
	}
	return 1;
}

/* ---- power ---- */

enum supply { SUPPLY_NONE, SUPPLY_MAINS, SUPPLY_CHARGED, SUPPLY_DISCHARGING };

static enum supply read_supply(const char *root, const char *name)
{
	char path[PATH_MAX], type[FILE_BYTES], state[FILE_BYTES];
	snprintf(path, sizeof(path), "/sys/class/power_supply/%s/type", name);
	if (!read_text(root, path, type))
		return SUPPLY_NONE;
	cut_line(type);
	if (strcmp(type, "Battery") != 0) {
		snprintf(path, sizeof(path), "/sys/class/power_supply/%s/online", name);
		return read_text(root, path, state) && state[0] == '1' ? SUPPLY_MAINS : SUPPLY_NONE;
	}
	snprintf(path, sizeof(path), "/sys/class/power_supply/%s/scope", name);
	if (read_text(root, path, state) && strncmp(state, "Device", 6) == 0)
		return SUPPLY_NONE; /* a mouse's or headset's */
	snprintf(path, sizeof(path), "/sys/class/power_supply/%s/status", name);
	const bool draining =
		read_text(root, path, state) && strncmp(state, "Discharging", 11) == 0;
	return draining ? SUPPLY_DISCHARGING : SUPPLY_CHARGED;
}

enum power_source machine_power(const char *root)
{
	char path[PATH_MAX];
	bool draining = false, mains = false;
	snprintf(path, sizeof(path), "%s/sys/class/power_supply", root);
	DIR *folder = opendir(path);
	if (!folder)
		return POWER_UNKNOWN;
	for (struct dirent *entry = readdir(folder); entry; entry = readdir(folder)) {
		if (entry->d_name[0] == '.')
			continue;
		const enum supply supply = read_supply(root, entry->d_name);
		mains = mains || supply == SUPPLY_MAINS;
		draining = draining || supply == SUPPLY_DISCHARGING;
	}
	closedir(folder);
	return draining && !mains ? POWER_BATTERY : POWER_MAINS;
}

void machine_read(struct machine *machine, const char *root)
{
	memset(machine, 0, sizeof(*machine));
	read_cpu(machine, root);
	machine->cores = usable_cores();
	machine->cpu_quota = read_quota(root);
	machine_read_memory(&machine->memory, root);
	machine->power = machine_power(root);
}

/* ---- interfaces ---- */

static enum link_medium medium_of(const char *root, const struct ifaddrs *from)
{
	char path[PATH_MAX], type[FILE_BYTES];
	if (from->ifa_flags & IFF_LOOPBACK)
		return LINK_LOOPBACK;
	static const char *const marks[] = { "wireless", "phy80211" };
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/sys/class/net/%s/%s", root, from->ifa_name,
			 marks[i]);
		if (access(path, F_OK) == 0)
			return LINK_WIRELESS;
	}
	snprintf(path, sizeof(path), "/sys/class/net/%s/type", from->ifa_name);
	const bool ethernet = read_text(root, path, type) && strcmp(type, "1\n") == 0;
	return ethernet ? LINK_WIRED : LINK_UNKNOWN;
}

/* The record of this interface, made when it is new; NULL when there are too many. */
static struct machine_interface *interface_of(struct machine_interface *interfaces, uint32_t *count,
					      const char *root, const struct ifaddrs *from)
{
	for (uint32_t i = 0; i < *count; i++)
		if (strcmp(interfaces[i].name, from->ifa_name) == 0)
			return &interfaces[i];
	if (*count == MACHINE_INTERFACES_MAX || strlen(from->ifa_name) >= IF_NAMESIZE)
		return NULL;
	struct machine_interface *interface = &interfaces[(*count)++];
	memset(interface, 0, sizeof(*interface));
	snprintf(interface->name, sizeof(interface->name), "%s", from->ifa_name);
	interface->index = if_nametoindex(from->ifa_name);
	interface->medium = medium_of(root, from);
	return interface;
}

uint32_t machine_interfaces(struct machine_interface interfaces[MACHINE_INTERFACES_MAX],
			    const char *root)
{
	struct ifaddrs *all = NULL;
	uint32_t count = 0;
	if (getifaddrs(&all) != 0)
		return 0;
	for (const struct ifaddrs *at = all; at; at = at->ifa_next) {
		struct address address;
		const unsigned up = IFF_UP | IFF_RUNNING;
		if (!at->ifa_addr || (at->ifa_flags & up) != up ||
		    !address_from_sockaddr(&address, at->ifa_addr))
			continue;
		struct machine_interface *interface = interface_of(interfaces, &count, root, at);
		if (interface && interface->n_addresses < MACHINE_INTERFACE_ADDRESSES_MAX)
			interface->addresses[interface->n_addresses++] = address;
	}
	freeifaddrs(all);
	return count;
}
