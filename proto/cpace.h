/* cpace.h: CPace with ristretto255 and SHA-512 between an initiator and a responder
 * (draft-irtf-cfrg-cpace, CPACE-RISTR255-SHA512): from a short shared secret to a key, one guess
 * per run. Symbols are the draft's: PRS the secret, CI what the run is bound to, sid the session, g
 * the generator, y a secret scalar, Y a public share, AD associated data, ISK the resulting key. */
#ifndef PROTO_CPACE_H
#define PROTO_CPACE_H

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

/* lv(): the size in LEB128, then the bytes. Gives the place after; the caller has room for size + 2
 * bytes, and size is below 16,384. */
uint8_t *cpace_lv(uint8_t *to, const void *bytes, size_t size);

/* calculate_generator(H, PRS, CI, sid). */
void cpace_generator(uint8_t g[CPACE_POINT_BYTES], struct cpace_bytes prs, struct cpace_bytes ci,
		     struct cpace_bytes sid);

void cpace_scalar(uint8_t y[CPACE_SCALAR_BYTES]); /* random */

/* Y = scalar_mult(y, g). False when g is no point or Y would be neutral. */
bool cpace_share(uint8_t share[CPACE_POINT_BYTES], const uint8_t y[CPACE_SCALAR_BYTES],
		 const uint8_t g[CPACE_POINT_BYTES]);

/* Both shares with their associated data, as both sides see them. */
struct cpace_run {
	struct cpace_bytes sid;
	const uint8_t *ya; /* the initiator's share */
	struct cpace_bytes ada;
	const uint8_t *yb; /* the responder's */
	struct cpace_bytes adb;
};

/* K = scalar_mult_vfy(y, theirs); ISK = H(lv_cat("CPaceRistretto255_ISK", sid, K) ||
 * lv_cat(Ya, ADa) || lv_cat(Yb, ADb)). K never leaves. False, and nothing in `isk`, when `theirs`
 * is no point or K is neutral: abort. */
bool cpace_key(uint8_t isk[CPACE_ISK_BYTES], const uint8_t y[CPACE_SCALAR_BYTES],
	       const uint8_t theirs[CPACE_POINT_BYTES], const struct cpace_run *run);

#endif
