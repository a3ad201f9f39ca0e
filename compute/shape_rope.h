/* shape_rope.h: which layers have a window, and how the heads of each layer turn. Inside compute
 * only. */
#ifndef COMPUTE_SHAPE_ROPE_H
#define COMPUTE_SHAPE_ROPE_H

#include "compute/keys.h"

/* Fill shape->ropes, and `mixer`, `window` and `rope` of all layers; heads were read before. */
int shape_rope_read(struct keys *keys, struct model_shape *shape);
int shape_windows_read(struct keys *keys, struct model_shape *shape);

#endif
