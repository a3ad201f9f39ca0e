/* kv_choice.h: how keys and values of each model are cached, as the setting kv-cache says: a type
 * for all models, types of some by their names, or both, with commas between: "f16,
 * big-model:q8_0". What is not said is f16. Pure. */
#ifndef DAEMON_KV_CHOICE_H
#define DAEMON_KV_CHOICE_H

#include "base/fail.h"
#include "proto/kv.h"

/* FAIL_INVALID: an entry that names no type, no model, or one twice. */
int kv_choice_check(const char *text, struct fail *fail);
/* `text` was checked; may be "". */
enum kv_type kv_choice_of(const char *text, const char *model);

#endif
