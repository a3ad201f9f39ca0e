#include "compute/cpu/platform.h"

#include <stddef.h>
#include <sys/sysctl.h>

static bool has(const char *name)
{
	int value = 0;
	size_t size = sizeof(value);
	return sysctlbyname(name, &value, &size, NULL, 0) == 0 && value;
}

bool platform_has_dotprod(void)
{
	return has("hw.optional.arm.FEAT_DotProd");
}

bool platform_has_i8mm(void)
{
	return platform_has_dotprod() && has("hw.optional.arm.FEAT_I8MM");
}
