#include "daemon/process.h"

#include <sys/prctl.h>
#include <sys/resource.h>

void process_harden(void)
{
	const struct rlimit none = { 0, 0 };
	setrlimit(RLIMIT_CORE, &none);
	prctl(PR_SET_DUMPABLE, 0);
}
