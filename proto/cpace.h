/* cpace.h: CPace with ristretto255 and SHA-512, initiator and responder known (draft-irtf-cfrg-cpace,
 * "CPACE-RISTR255-SHA512"): from a short shared secret to a key, one guess per run.
 *
 * Names are the draft's: PRS the secret, CI what the run is bound to, sid the session, Y a public
 * share, AD associated data, ISK the result. */
#ifndef PROTO_CPACE_H
#define PROTO_CPACE_H

#include "base/buf.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CPACE_POINT_BYTES 32
#define CPACE_SCALAR_BYTES 32
#define CPACE_ISK_BYTES 64

struct cpace_bytes { /* borrowed */
	const void *bytes;
	size_t size;
};

/* lv(): the size as LEB128, then the bytes. */
void cpace_lv(struct buf *out, const void *bytes, size_t size);

/* calculate_generator. False when memory is short. */
bool cpace_generator(uint8_t g[CPACE_POINT_BYTES], struct cpace_bytes prs, struct cpace_bytes ci,
		     struct cpace_bytes sid);

void cpace_scalar(uint8_t y[CPACE_SCALAR_BYTES]); /* random */

/* Y = y * g. False only for a g that is no point or a zero y. */
bool cpace_share(uint8_t share[CPACE_POINT_BYTES], const uint8_t y[CPACE_SCALAR_BYTES],
		 const uint8_t g[CPACE_POINT_BYTES]);

/* One side's view of both shares. */
struct cpace_run {
	struct cpace_bytes sid;
	const uint8_t *ya; /* initiator's share and its associated data */
	struct cpace_bytes ada;
	const uint8_t *yb; /* responder's */
	struct cpace_bytes adb;
};

/* K = y * theirs, ISK = H(lv("CPaceRistretto255_ISK") lv(sid) lv(K) lv(Ya) lv(ADa) lv(Yb) lv(ADb)). K
 * does not leave. False, and nothing in `isk`, when `theirs` is no point or K is neutral: abort. */
bool cpace_key(uint8_t isk[CPACE_ISK_BYTES], const uint8_t y[CPACE_SCALAR_BYTES],
	       const uint8_t theirs[CPACE_POINT_BYTES], const struct cpace_run *run);

#endif
