#include "base/clock.h"

#include <time.h>

#ifdef CLOCK_BOOTTIME
#define CLOCK_SLEEPING CLOCK_BOOTTIME
#else
#define CLOCK_SLEEPING CLOCK_MONOTONIC /* on macOS the monotonic clock includes sleep */
#endif

static int64_t read_us(clockid_t id)
{
	struct timespec now;
	clock_gettime(id, &now);
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

int64_t clock_us(void)
{
	return read_us(CLOCK_MONOTONIC);
}

int64_t clock_ms(void)
{
	return clock_us() / 1000;
}

int64_t clock_boot_ms(void)
{
	return read_us(CLOCK_SLEEPING) / 1000;
}

int64_t clock_wall_s(void)
{
	return read_us(CLOCK_REALTIME) / 1000000;
}
