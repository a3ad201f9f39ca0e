/* span.h: who wrote which bytes of a text. */
#ifndef COMPUTE_SPAN_H
#define COMPUTE_SPAN_H

#include <stdbool.h>
#include <stdint.h>

/* A run of bytes. Spans follow one another and cover their text; neighbours differ. */
struct span {
	uint32_t size;
	bool trusted; /* a template's own: special tokens may stand in it */
};

#endif
