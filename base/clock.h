/* clock.h: the monotonic clock. Wall-clock time is for display only and never decides anything. */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

int64_t clock_ms(void); /* milliseconds since some point in the past; never goes back */
int64_t clock_us(void);
int64_t clock_boot_ms(void);  /* as clock_ms, but runs on while the machine sleeps */
int64_t clock_wall_s(void);   /* seconds since 1970, for display and API timestamps */

#endif
