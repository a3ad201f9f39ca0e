#include "compute/cpu/cores.h"

#include <sched.h>
#include <unistd.h>

uint32_t cores_usable(void)
{
	cpu_set_t set;
	if (sched_getaffinity(0, sizeof(set), &set) == 0 && CPU_COUNT(&set) > 0)
		return (uint32_t)CPU_COUNT(&set);
	const long online = sysconf(_SC_NPROCESSORS_ONLN); /* more cores than a cpu_set_t holds */
	return online > 0 ? (uint32_t)online : 1;
}
