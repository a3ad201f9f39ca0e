/* model_facts.h: what the home must know about a model, read from its opened file. */
#ifndef DAEMON_MODEL_FACTS_H
#define DAEMON_MODEL_FACTS_H

#include "compute/compute.h"
#include "proto/facts.h"

#include <stdint.h>

/* Fills all but `id` and `name`. rope_freqs, which every layer shares, counts once: in output. */
void model_facts_read(const struct model *model, struct model_facts *facts);

/* To which unit a tensor belongs: a layer's number, or one of these. */
enum tensor_unit { TENSOR_UNIT_EVERY = -1, TENSOR_UNIT_EMBEDDING = -2, TENSOR_UNIT_OUTPUT = -3 };

/* Fills `units` [number of tensors], in the order of the file's table. */
void model_facts_units(const struct model *model, int32_t *units);

#endif
