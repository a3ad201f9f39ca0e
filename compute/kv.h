/* kv.h: in what form keys and values are cached, and how they lie in a page.
 *
 * A page holds KV_PAGE_POSITIONS positions (one attention tile). The keys of one key-value head in
 * a page are turned, so that a vector of positions meets one column at a time; values lie in blocks
 * of columns, so that a pass over the positions reads forward. With P = KV_PAGE_POSITIONS:
 *
 *   KV_F16, KV_F32   keys [width, P]; values [width / 16, P, 16], the last block may have 8 columns
 *   KV_Q8_0          keys int8 [width / 4, P, 4], then F16 scales [width / 32, P]
 *                    values int8 [width / 16, P, 16], then F16 scales [width / 32, P]
 *
 * A Q8_0 block is 32 columns of one position, quantised as numerics.md says, its scale rounded to
 * F16; so widths must be multiples of 32. The others take multiples of 8. */
#ifndef COMPUTE_KV_H
#define COMPUTE_KV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Positions of a KV page. A sequence takes whole pages: reservations are rounded up to it. */
#define KV_PAGE_POSITIONS 64u
#define KV_VALUE_BLOCK    16u
#define KV_SCALE_BLOCK    32u

/* The numbers are those of enum kv_type in proto/facts.h. */
enum kv_kind { KV_F16, KV_Q8_0, KV_F32, KV_KINDS };

const char *kv_kind_name(enum kv_kind kind); /* "f16", "q8_0", "f32" */
/* True when this kind can hold heads of this width. */
bool kv_kind_fits(enum kv_kind kind, uint32_t width);
/* Of the keys, or of the values, of one head in one page; a multiple of 64. */
size_t kv_head_bytes(enum kv_kind kind, uint32_t width);

#endif
