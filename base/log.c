#include "base/log.h"

#include "base/clock.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The one global of the tree: a log is reached from every thread and every error path. */
static struct {
	pthread_mutex_t lock; /* guards lines and count */
	char (*lines)[LOG_LINE_BYTES];
	uint64_t count;
	atomic_int level;
} the_log = { .lock = PTHREAD_MUTEX_INITIALIZER, .level = LOG_LEVEL_INFO };

static const char *level_name(enum log_level level)
{
	static const char *const names[] = { "error", "warn", "info", "debug" };
	return names[level];
}

void log_set_level(enum log_level level)
{
	atomic_store(&the_log.level, (int)level);
}

/* Control characters would let a peer's name forge a line. */
static void make_printable(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < 0x20 || *text == 0x7f)
			*text = '?';
}

static void keep(const char *text)
{
	pthread_mutex_lock(&the_log.lock);
	if (!the_log.lines)
		the_log.lines = calloc(LOG_LINES, LOG_LINE_BYTES);
	if (the_log.lines) {
		char *line = the_log.lines[the_log.count % LOG_LINES];
		snprintf(line, LOG_LINE_BYTES, "%s", text);
		the_log.count++;
	}
	pthread_mutex_unlock(&the_log.lock);
}

void log_write(enum log_level level, const char *component, const char *format, ...)
{
	if ((int)level > atomic_load(&the_log.level))
		return;
	char line[LOG_LINE_BYTES];
	const int head = snprintf(line, sizeof(line), "t=%.3f %s %s ", (double)clock_us() / 1e6,
				  level_name(level), component);
	va_list args;
	va_start(args, format);
	vsnprintf(line + head, sizeof(line) - (size_t)head, format, args);
	va_end(args);
	make_printable(line);
	fprintf(stderr, "%s\n", line);
	keep(line);
}

uint64_t log_replay(uint64_t after, void (*line)(void *, uint64_t, const char *), void *context)
{
	pthread_mutex_lock(&the_log.lock);
	const uint64_t count = the_log.count;
	uint64_t first = count > LOG_LINES ? count - LOG_LINES : 0;
	if (after > first)
		first = after;
	for (uint64_t i = first; the_log.lines && i < count; i++)
		line(context, i + 1, the_log.lines[i % LOG_LINES]);
	pthread_mutex_unlock(&the_log.lock);
	return count;
}
