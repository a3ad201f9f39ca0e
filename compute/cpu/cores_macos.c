#include "compute/cpu/cores.h"

#include <sys/sysctl.h>
#include <sys/types.h>

/* The fast cores where there are two kinds: slow ones would make every product wait for them. */
uint32_t cores_usable(void)
{
	static const char *const names[] = { "hw.perflevel0.physicalcpu", "hw.physicalcpu" };
	for (int i = 0; i < 2; i++) {
		int count = 0;
		size_t size = sizeof(count);
		if (sysctlbyname(names[i], &count, &size, NULL, 0) == 0 && count > 0)
			return (uint32_t)count;
	}
	return 1;
}
