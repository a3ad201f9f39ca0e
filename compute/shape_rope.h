/* shape_rope.h: which layers have a window, and how the heads of each layer turn. Inside compute
 * only. */
#ifndef COMPUTE_SHAPE_ROPE_H
#define COMPUTE_SHAPE_ROPE_H

#include "compute/keys.h"

/* Fill shape->ropes, and `mixer`, `window` and `rope` of all layers; heads were read before. */
int shape_rope_read(struct keys *keys, struct model_shape *shape);
int shape_windows_read(struct keys *keys, struct model_shape *shape);
/* In shape.c: refuses widths of heads that cannot be. */
int shape_check_head(struct keys *keys, uint32_t head_k, uint32_t head_v);

#endif
