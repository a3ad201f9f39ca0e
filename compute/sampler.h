/* sampler.h: logits to a token: a pure function, so that any head can go on where another stopped.
 *
 * Order: repetition penalty, top-k, temperature, softmax, top-p, min-p, draw. Temperature 0 is
 * argmax (after the penalty), lowest id first among equals. The random number is counter-based: a
 * fixed mixing of (seed, position), so there is no other state. Equal inputs give equal tokens on
 * every machine: weights are whole numbers, so sums do not depend on their order, and what is not
 * whole uses only single additions, multiplications and divisions. A change of this rule raises
 * NUMERICS_VERSION. In detail:
 *   w(i) = floor(2^40 * e^((logit(i) - largest logit) / temperature)), 0 below e^-28;
 *   top-k keeps the k largest logits, top-p the fewest largest weights that add up to top_p of all
 *   that top-k kept, min-p those of at least min_p * 2^40; lowest ids first among equals;
 *   the token is the first one, by id, at which the sum of kept weights exceeds u * their total. */
#ifndef COMPUTE_SAMPLER_H
#define COMPUTE_SAMPLER_H

#include <stdbool.h>
#include <stdint.h>

struct sampler_config {
	float temperature;    /* 0: greedy; up to 100 */
	uint32_t top_k;       /* 0: all */
	float top_p;          /* 1: all; 0: the most likely one */
	float min_p;          /* 0: all; keep p >= min_p * largest p */
	float repeat_penalty; /* 1: off; logit > 0 ? / : * for each token seen; above 0, up to 100
			       */
	uint32_t repeat_last; /* tokens looked back at; 0: off */
	uint64_t seed;
};

/* False with a reason in `reason` (static text) when a number is NaN or out of range. */
bool sampler_config_check(const struct sampler_config *config, const char **reason);

/* The uniform number in [0, 1) for a position: 24 bits of a 64-bit mix. */
float sampler_uniform(uint64_t seed, uint64_t position);

/* `logits` [n_vocab] may be overwritten. `history` [n_history]: all tokens of the sequence so far,
 * prompt included; `position` is the position the new token will have (= n_history). `scratch`
 * must hold 2 * n_vocab u32. NaN logits count as -infinity; all -infinity gives token 0; the
 * first +infinity is certain. The config has passed sampler_config_check. */
uint32_t sampler_pick(const struct sampler_config *config, float *logits, uint32_t n_vocab,
		      const uint32_t *history, uint32_t n_history, uint64_t position,
		      uint32_t *scratch);

#endif
