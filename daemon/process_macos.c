#include "daemon/process.h"

#include <sys/types.h>

#include <sys/ptrace.h>
#include <sys/resource.h>

void process_harden(void)
{
	const struct rlimit none = { 0, 0 };
	setrlimit(RLIMIT_CORE, &none);
	ptrace(PT_DENY_ATTACH, 0, 0, 0);
}
