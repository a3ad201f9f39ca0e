/* tokenizer_roles.h: what single tokens are for: which begins a text, which end an answer, and
 * which kinds a file states wrongly or not at all. */
#ifndef COMPUTE_TOKENIZER_ROLES_H
#define COMPUTE_TOKENIZER_ROLES_H

#include "compute/vocab.h"

#define ROLES_ENDS_MAX 40

struct roles {
	uint32_t bos, eos, unknown; /* or TOKEN_NONE */
	uint32_t ends[ROLES_ENDS_MAX];
	uint32_t n_ends;
};

/* Reads the file's ids and looks the known spellings up; then the vocabulary's kinds are as
 * llama.cpp has them. FAIL_INVALID for an id past the vocabulary. */
int roles_init(struct roles *roles, const struct gguf *gguf, struct vocab *vocab,
	       struct fail *fail);
bool roles_end(const struct roles *roles, uint32_t token);

#endif
