/* parts.h: a model file as it is added: one GGUF file, or several parts of one seen as if they
 * were.
 *
 * Parts are named NAME-00001-of-00003.gguf and so on; each is a GGUF file with the keys split.no
 * (from 0), split.count and split.tensors.count, and the first has all other keys (source:
 * llama.cpp's gguf-split). The joined file has the first part's keys but for split.*, the tensors
 * of all parts in their order, and the first part's alignment. */
#ifndef COMPUTE_PARTS_H
#define COMPUTE_PARTS_H

#include "base/fail.h"

#include <stddef.h>
#include <stdint.h>

#define PARTS_LIMIT 1024u

struct parts;

/* `path`: a whole file, or the first part. Reads metadata only, of all parts, and checks it as
 * model_open does; the sentence names the parts that are missing or do not belong together. Gives.
 */
struct parts *parts_open(const char *path, struct fail *fail);
void parts_close(struct parts *parts); /* accepts NULL */

uint32_t parts_count(const struct parts *parts);
uint64_t parts_size(const struct parts *parts); /* bytes of the joined file */
/* Length of the path without -00001-of-00003.gguf or .gguf. */
size_t parts_stem(const char *path);

/* Fills `bytes` with [offset, offset + size) of the joined file, which must lie inside. Quick when
 * read from front to back. FAIL_IO, FAIL_CORRUPT when a part became shorter. */
int parts_read(struct parts *parts, uint64_t offset, void *bytes, size_t size, struct fail *fail);

#endif
