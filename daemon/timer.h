/* timer.h: timers that outlive their owner until the loop has closed them. */
#ifndef DAEMON_TIMER_H
#define DAEMON_TIMER_H

#include <uv.h>

uv_timer_t *timer_make(uv_loop_t *loop, void *data); /* gives; NULL when memory is short */
void timer_free(uv_timer_t *timer);                  /* takes; accepts NULL */

#endif
