/* machine.h: facts about the machine this daemon runs on, read from the system and never by running
 * a program. One machine_SYSTEM.c per system.
 *
 * Every reader takes the folder under which /proc and /sys lie ("" on a real machine), so that a
 * test can show it any machine. */
#ifndef DISCOVERY_MACHINE_H
#define DISCOVERY_MACHINE_H

#include "discovery/address.h"
#include "proto/profile.h"

#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>

#define MACHINE_INTERFACES_MAX          16
#define MACHINE_INTERFACE_ADDRESSES_MAX 8
#define MACHINE_CPU_BYTES               64

/* Instruction sets the engine may have variants for. */
enum machine_isa {
	MACHINE_ISA_AVX2 = 1u << 0,
	MACHINE_ISA_FMA = 1u << 1,
	MACHINE_ISA_F16C = 1u << 2,
	MACHINE_ISA_AVX512 = 1u << 3, /* F, BW, DQ and VL together */
	MACHINE_ISA_AVX512_VNNI = 1u << 4,
	MACHINE_ISA_AVX_VNNI = 1u << 5,
	MACHINE_ISA_NEON = 1u << 6,
	MACHINE_ISA_DOTPROD = 1u << 7,
	MACHINE_ISA_I8MM = 1u << 8,
};

/* Memory as far as this process may use it. Of several limits (machine, control groups and all
 * their ancestors) each counts. UINT64_MAX: no limit. */
struct machine_memory {
	uint64_t total_bytes;      /* of the machine */
	uint64_t available_bytes;  /* of the machine, without swapping, at this moment */
	uint64_t limit_bytes;      /* smallest control group limit; UINT64_MAX: none */
	uint64_t limit_left_bytes; /* least that is left below any of the limits, page cache counted
				      as free; UINT64_MAX: no limit */
	uint64_t self_bytes; /* anonymous memory of this process, counted in the above as used */
};

struct machine {
	char cpu[MACHINE_CPU_BYTES]; /* the processor's own name */
	uint32_t cores;              /* this process may run on so many at once, at least 1 */
	double cpu_quota;            /* cores' worth of time it may use; 0: no limit */
	uint32_t isa;                /* MACHINE_ISA_ bits */
	struct machine_memory memory;
	enum power_source power;
};

struct machine_interface {
	char name[IF_NAMESIZE];
	uint32_t index;
	enum link_medium medium;
	uint32_t n_addresses;
	struct address addresses[MACHINE_INTERFACE_ADDRESSES_MAX]; /* port 0 */
};

void machine_read(struct machine *machine, const char *root);
void machine_read_memory(struct machine_memory *memory, const char *root);
enum power_source machine_power(const char *root);
/* Interfaces that are up and have an address; gives the count. */
uint32_t machine_interfaces(struct machine_interface interfaces[MACHINE_INTERFACES_MAX],
			    const char *root);
/* Processor threads to compute with: the cores, but no more than the quota feeds; at least 1. */
uint32_t machine_threads(const struct machine *machine);
/* "AVX2 FMA F16C", or "none"; gives `text`. */
const char *machine_isa_text(uint32_t isa, char *text, size_t size);

/* How much memory the daemon takes when nobody says: see MACHINE_BUDGET_RULE, which --help prints.
 * `sentence` (of at least 200 bytes, may be NULL) says how it came about. */
uint64_t machine_memory_budget(const struct machine_memory *memory, char *sentence, size_t size);
#define MACHINE_BUDGET_RULE                                                                        \
	"of the memory that is free when the daemon starts, all but a reserve: on a machine an "   \
	"eighth of its memory, at least 512 MiB and at most 4 GiB, but never more than half of "   \
	"what is free; below a control group's limit an eighth of that limit. The smaller counts"

#endif
