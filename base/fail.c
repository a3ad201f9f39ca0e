#include "base/fail.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static void fail_write(struct fail *fail, enum fail_code code, const char *format, va_list args)
{
	fail->code = code;
	vsnprintf(fail->text, sizeof(fail->text), format, args);
}

int fail_set(struct fail *fail, enum fail_code code, const char *format, ...)
{
	if (fail) {
		va_list args;
		va_start(args, format);
		fail_write(fail, code, format, args);
		va_end(args);
	}
	return -(int)code;
}

static enum fail_code code_of_errno(int errno_value)
{
	if (errno_value == ENOSPC || errno_value == EDQUOT)
		return FAIL_SPACE;
	if (errno_value == ENOMEM)
		return FAIL_MEMORY;
	if (errno_value == ENOENT)
		return FAIL_NOT_FOUND;
	if (errno_value == EACCES || errno_value == EPERM)
		return FAIL_DENIED;
	return FAIL_IO;
}

int fail_errno(struct fail *fail, int errno_value, const char *format, ...)
{
	const enum fail_code code = code_of_errno(errno_value);
	if (fail) {
		va_list args;
		va_start(args, format);
		fail_write(fail, code, format, args);
		va_end(args);
		const size_t length = strlen(fail->text);
		snprintf(fail->text + length, sizeof(fail->text) - length, ": %s",
			 strerror(errno_value));
	}
	return -(int)code;
}

const char *fail_code_name(enum fail_code code)
{
	switch (code) {
	case FAIL_NONE: return "none";
	case FAIL_INVALID: return "invalid";
	case FAIL_UNSUPPORTED: return "unsupported";
	case FAIL_NOT_FOUND: return "not_found";
	case FAIL_MEMORY: return "memory";
	case FAIL_SPACE: return "space";
	case FAIL_IO: return "io";
	case FAIL_CORRUPT: return "corrupt";
	case FAIL_BUSY: return "busy";
	case FAIL_DENIED: return "denied";
	case FAIL_CANCELLED: return "cancelled";
	case FAIL_LOST: return "lost";
	case FAIL_TIMEOUT: return "timeout";
	case FAIL_VERSION: return "version";
	case FAIL_CODES: break;
	}
	return "unknown";
}
