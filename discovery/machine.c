#include "discovery/machine.h"

#include <stdio.h>
#include <string.h>

#define MIB           (1ull << 20)
#define RESERVE_LEAST (512 * MIB)
#define RESERVE_MOST  (4096 * MIB)

uint32_t machine_threads(const struct machine *machine)
{
	const double fed = machine->cpu_quota > 0 ? machine->cpu_quota + 0.5 : machine->cores;
	const uint32_t threads = fed < machine->cores ? (uint32_t)fed : machine->cores;
	return threads > 0 ? threads : 1;
}

const char *machine_isa_text(uint32_t isa, char *text, size_t size)
{
	static const char *const names[] = { "AVX2",     "FMA",  "F16C",    "AVX512", "AVX512_VNNI",
					     "AVX_VNNI", "NEON", "DOTPROD", "I8MM" };
	size_t used = 0;
	snprintf(text, size, "none");
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (isa >> i & 1 && used < size)
			used += (size_t)snprintf(text + used, size - used, "%s%s",
						 used > 0 ? " " : "", names[i]);
	return text;
}

static uint64_t clamp(uint64_t value, uint64_t least, uint64_t most)
{
	return value < least ? least : value > most ? most : value;
}

static uint64_t all_but(uint64_t left, uint64_t reserve)
{
	return left - (reserve < left / 2 ? reserve : left / 2);
}

/* What this process holds already is its own to use. */
uint64_t machine_memory_budget(const struct machine_memory *memory, char *sentence, size_t size)
{
	const uint64_t free_bytes = memory->available_bytes + memory->self_bytes;
	uint64_t reserve = clamp(memory->total_bytes / 8, RESERVE_LEAST, RESERVE_MOST);
	uint64_t budget = all_but(free_bytes, reserve);
	uint64_t left = free_bytes;
	const char *of = "of the machine";
	if (memory->limit_bytes != UINT64_MAX) {
		uint64_t below = memory->limit_left_bytes + memory->self_bytes;
		if (below > memory->limit_bytes)
			below = memory->limit_bytes;
		if (all_but(below, memory->limit_bytes / 8) < budget) {
			reserve = memory->limit_bytes / 8;
			left = below;
			budget = all_but(below, reserve);
			of = "below the control group's limit";
		}
	}
	if (sentence)
		snprintf(sentence, size, "%llu MiB: %llu MiB %s are free, %llu MiB stay in reserve",
			 (unsigned long long)(budget / MIB), (unsigned long long)(left / MIB), of,
			 (unsigned long long)((left - budget) / MIB));
	return budget;
}
