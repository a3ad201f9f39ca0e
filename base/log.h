/* log.h: key=value lines to standard error and to a ring of the last 1,000 lines.
 *
 * A line is `level component message key=value ...`. Prompts, answers, codes and keys never go
 * into a log. All functions may be called from any thread. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stddef.h>
#include <stdint.h>

#define LOG_LINES 1000
#define LOG_LINE_BYTES 512

/* ERROR: a person must act. WARN: something was refused or lost and the daemon went on.
 * INFO: what a person would like to see once. DEBUG: for developers, off by default. */
enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

void log_set_level(enum log_level level); /* what is less severe is dropped */
void log_write(enum log_level level, const char *component, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...) log_write(LOG_LEVEL_DEBUG, __VA_ARGS__)

/* Calls `line` for every kept line with a number greater than `after`, oldest first; gives the
 * number of the newest line. Numbers start at 1. The callback must not log. */
uint64_t log_replay(uint64_t after, void (*line)(void *context, uint64_t number, const char *text),
		    void *context);

#endif
