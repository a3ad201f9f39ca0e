/* statics.h: peers that a person wrote down as "host:port", for networks without multicast. Names
 * are looked up without blocking the loop, again when that fails, and now and then, for addresses
 * change. Loop thread only. */
#ifndef DISCOVERY_STATICS_H
#define DISCOVERY_STATICS_H

#include "base/fail.h"
#include "discovery/address.h"

#include <stdint.h>
#include <uv.h>

#define STATICS_MAX           32
#define STATICS_ADDRESSES_MAX 8 /* of one peer */
#define STATICS_TEXT_BYTES    160

struct statics;

/* `found` is called from the loop with all addresses of one peer, first and whenever they changed.
 */
typedef void statics_found(void *context, const char *text, const struct address *addresses,
			   uint32_t count);

/* Gives; NULL with a sentence that names a malformed peer. The texts are copied. */
struct statics *statics_create(uv_loop_t *loop, const char *const *texts, uint32_t count,
			       uint16_t port_default, statics_found *found, void *context,
			       struct fail *fail);
/* Takes; `closed` comes from the loop when nothing is left on it. */
void statics_destroy(struct statics *statics, void (*closed)(void *context), void *context);

#endif
