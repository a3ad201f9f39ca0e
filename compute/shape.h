/* shape.h: reads a model's shape from its metadata keys: every number bounded, every pair that must
 * agree compared, what this version does not compute refused by name. */
#ifndef COMPUTE_SHAPE_H
#define COMPUTE_SHAPE_H

#include "base/fail.h"
#include "compute/gguf.h"
#include "compute/model.h"

/* Fills all of `shape` but `tied`, which follows from the tensors. */
int shape_read(const struct gguf *gguf, struct model_shape *shape, struct fail *fail);

#endif
