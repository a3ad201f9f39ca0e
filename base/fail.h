/* fail.h: one failure, told in one sentence that a person can act on.
 *
 * A function that can fail for a reason somebody will read takes a `struct fail *` as its last
 * parameter and returns a negative code (or NULL). The sentence says what happened, to what, and
 * what to do. Passing NULL is allowed where the caller does not care for the sentence. */
#ifndef BASE_FAIL_H
#define BASE_FAIL_H

#include <stddef.h>

enum fail_code {
	FAIL_NONE = 0,
	FAIL_INVALID,     /* the input is malformed or hostile */
	FAIL_UNSUPPORTED, /* well formed, but not something this version does */
	FAIL_NOT_FOUND,
	FAIL_MEMORY,    /* no memory, or the memory account is full */
	FAIL_SPACE,     /* the disk is full or the store limit is reached */
	FAIL_IO,        /* the system refused; the text carries strerror */
	FAIL_CORRUPT,   /* stored or received bytes do not match their checksum */
	FAIL_BUSY,      /* a stated queue limit is reached; trying later helps */
	FAIL_DENIED,    /* not allowed for this peer, user or role */
	FAIL_CANCELLED, /* the asker went away or said stop */
	FAIL_LOST,      /* a device was lost */
	FAIL_TIMEOUT,
	FAIL_VERSION, /* protocol, numerics or file version does not match */
	FAIL_CODES
};

struct fail {
	enum fail_code code;
	char text[400];
};

/* Sets code and sentence (printf form); returns -code, so that failing is one line. */
int fail_set(struct fail *fail, enum fail_code code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* As fail_set with FAIL_IO, or FAIL_SPACE for ENOSPC and EDQUOT, FAIL_MEMORY for ENOMEM;
 * appends strerror(errno_value) to the text. */
int fail_errno(struct fail *fail, int errno_value, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* A stable lower-case word for a code, for logs and JSON: "not_found". */
const char *fail_code_name(enum fail_code code);

#endif
