#include "compute/cpu/platform.h"

#include <asm/hwcap.h>
#include <sys/auxv.h>

bool platform_has_dotprod(void)
{
	return getauxval(AT_HWCAP) & HWCAP_ASIMDDP;
}

bool platform_has_i8mm(void)
{
	return platform_has_dotprod() && (getauxval(AT_HWCAP2) & HWCAP2_I8MM);
}
