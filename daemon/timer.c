#include "daemon/timer.h"

#include <stdlib.h>

uv_timer_t *timer_make(uv_loop_t *loop, void *data)
{
	uv_timer_t *timer = calloc(1, sizeof(*timer));
	if (timer) {
		uv_timer_init(loop, timer);
		timer->data = data;
	}
	return timer;
}

static void free_handle(uv_handle_t *handle)
{
	free(handle);
}

void timer_free(uv_timer_t *timer)
{
	if (timer)
		uv_close((uv_handle_t *)timer, free_handle);
}
