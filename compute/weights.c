#include "compute/weights.h"

#include "base/mapping.h"
#include "compute/cpu/kernels.h"
#include "compute/family.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_BYTES  (1u << 20)
#define STEP_BYTES  (4 * MAPPING_LARGE_BYTES) /* between two calls of the progress */
#define UNITS_EXTRA 2                         /* embedding, output */

/* Bytes [first, end) of the file. */
struct weights_map {
	uint64_t first, end;
	struct mapping mapping;
};

/* ---- which tensors ---- */

struct tensors {
	const struct gguf_tensor **list;
	uint32_t count;
};

static int by_offset(const void *a, const void *b)
{
	const struct gguf_tensor *x = *(const struct gguf_tensor *const *)a;
	const struct gguf_tensor *y = *(const struct gguf_tensor *const *)b;
	return x->offset < y->offset ? -1 : x->offset > y->offset;
}

static void add_unit(struct tensors *tensors, const struct model *model, enum unit_kind kind,
		     uint32_t layer)
{
	tensors->count += model_unit_tensors(model, kind, layer, tensors->list + tensors->count);
}

/* RoPE factors belong to many units but are one tensor. */
static void drop_doubles(struct tensors *tensors)
{
	uint32_t kept = 0;
	for (uint32_t i = 0; i < tensors->count; i++)
		if (kept == 0 || tensors->list[kept - 1] != tensors->list[i])
			tensors->list[kept++] = tensors->list[i];
	tensors->count = kept;
}

/* The tensors of the slice's units in the order of the file. False when memory is short; else the
 * caller frees the list. */
static bool collect(struct tensors *tensors, const struct model *model,
		    const struct slice_config *config)
{
	size_t units = UNITS_EXTRA;
	for (uint32_t i = 0; i < config->n_ranges; i++)
		units += config->ranges[i].end - config->ranges[i].first;
	tensors->count = 0;
	tensors->list = calloc(units * UNIT_TENSORS_MAX, sizeof(*tensors->list));
	if (!tensors->list)
		return false;
	for (uint32_t i = 0; i < config->n_ranges; i++)
		for (uint32_t j = config->ranges[i].first; j < config->ranges[i].end; j++)
			add_unit(tensors, model, UNIT_LAYER, j);
	if (config->head) {
		add_unit(tensors, model, UNIT_EMBEDDING, 0);
		add_unit(tensors, model, UNIT_OUTPUT, 0);
	}
	qsort(tensors->list, tensors->count, sizeof(*tensors->list), by_offset);
	drop_doubles(tensors);
	return true;
}

static uint64_t sum_bytes(const struct tensors *tensors)
{
	uint64_t bytes = 0;
	for (uint32_t i = 0; i < tensors->count; i++)
		bytes += tensors->list[i]->bytes;
	return bytes;
}

uint64_t weights_bytes(const struct model *model, const struct slice_config *config)
{
	struct tensors tensors;
	if (!collect(&tensors, model, config))
		return UINT64_MAX;
	const uint64_t bytes = sum_bytes(&tensors);
	free(tensors.list);
	return bytes;
}

/* ---- reading and mapping ---- */

/* Tensors that touch the same or neighbouring memory pages share a map. */
static bool plan_maps(struct weights *weights, const struct tensors *tensors)
{
	const uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	weights->maps = calloc(tensors->count + 1, sizeof(*weights->maps));
	if (!weights->maps)
		return false;
	for (uint32_t i = 0; i < tensors->count; i++) {
		const struct gguf_tensor *tensor = tensors->list[i];
		struct weights_map *last =
			weights->n_maps ? &weights->maps[weights->n_maps - 1] : NULL;
		if (last && tensor->offset / page <= (last->end - 1) / page + 1) {
			last->end = tensor->offset + tensor->bytes;
			continue;
		}
		weights->maps[weights->n_maps++] = (struct weights_map){
			.first = tensor->offset,
			.end = tensor->offset + tensor->bytes,
		};
	}
	return true;
}

/* Brings bytes into the page cache; finds what mapped reads would die of. */
static int read_through(int fd, const char *path, uint64_t at, uint64_t end, uint8_t *scratch,
			struct fail *fail)
{
	while (at < end) {
		const uint64_t left = end - at;
		const ssize_t got =
			pread(fd, scratch, left < READ_BYTES ? left : READ_BYTES, (off_t)at);
		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return fail_errno(fail, errno, "cannot read the model file %s", path);
		if (got == 0)
			return fail_set(
				fail, FAIL_CORRUPT,
				"the model file %s became shorter while it was read; restore "
				"it or add the model again",
				path);
		at += (uint64_t)got;
	}
	return 0;
}

struct load {
	int fd;
	const char *path;
	uint8_t *scratch; /* [READ_BYTES] */
	uint64_t done, total;
	const struct slice_config *config;
};

/* Through the map, since the system reads in large pages only then. */
static int load_one(struct load *load, struct weights_map *map, struct fail *fail)
{
	const int error = mapping_init(&map->mapping, load->fd, map->first, map->end);
	if (error)
		return fail_errno(fail, error, "cannot map the model file %s", load->path);
	for (uint64_t at = map->first, end; at < map->end; at = end) {
		int status = 0;
		end = (at / STEP_BYTES + 1) * STEP_BYTES;
		end = end < map->end ? end : map->end;
		if (!mapping_fill(&map->mapping, at, end))
			status = read_through(load->fd, load->path, at, end, load->scratch, fail);
		if (status)
			return status;
		load->done += end - at;
		if (load->config->progress)
			load->config->progress(load->config->progress_context, load->done,
					       load->total);
	}
	return 0;
}

static int check_size(int fd, const char *path, const struct model *model, struct fail *fail)
{
	struct stat stat;
	if (fstat(fd, &stat) < 0)
		return fail_errno(fail, errno, "cannot look at the model file %s", path);
	const uint64_t size = gguf_file_size(model_gguf(model));
	if (!S_ISREG(stat.st_mode) || (uint64_t)stat.st_size != size)
		return fail_set(fail, FAIL_CORRUPT,
				"the model file %s had %" PRIu64
				" bytes when it was opened and has "
				"%" PRIu64 " now; add the model again",
				path, size, (uint64_t)stat.st_size);
	return 0;
}

static int load_all(struct weights *weights, struct load *load, const struct model *model,
		    struct fail *fail)
{
	int status = check_size(load->fd, load->path, model, fail);
	for (uint32_t i = 0; i < weights->n_maps; i++)
		load->total += weights->maps[i].end - weights->maps[i].first;
	for (uint32_t i = 0; i < weights->n_maps && !status; i++)
		status = load_one(load, &weights->maps[i], fail);
	/* again: what a file lost of its last page reads as zeros through a map */
	return status ? status : check_size(load->fd, load->path, model, fail);
}

static int load(struct weights *weights, const struct model *model,
		const struct slice_config *config, struct fail *fail)
{
	struct load load = { .path = model_path(model), .config = config };
	load.fd = open(load.path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (load.fd < 0)
		return fail_errno(fail, errno, "cannot open the model file %s", load.path);
	load.scratch = malloc(READ_BYTES);
	const int status = load.scratch
				   ? load_all(weights, &load, model, fail)
				   : fail_set(fail, FAIL_MEMORY,
					      "no memory to read the model file %s", load.path);
	free(load.scratch);
	close(load.fd);
	return status;
}

/* ---- finding ---- */

static const uint8_t *bytes_of(const struct weights *weights, const struct gguf_tensor *tensor)
{
	for (uint32_t i = 0; i < weights->n_maps; i++) {
		const struct weights_map *map = &weights->maps[i];
		if (tensor->offset >= map->first && tensor->offset + tensor->bytes <= map->end)
			return map->mapping.base + (tensor->offset - map->mapping.offset);
	}
	return NULL;
}

static struct matrix find_matrix(const struct weights *weights, const struct model *model,
				 const char *name)
{
	const struct gguf_tensor *tensor = gguf_tensor_find(model_gguf(model), name);
	if (!tensor)
		return (struct matrix){ 0 };
	return (struct matrix){
		.type = tensor->type,
		.n_in = (uint32_t)tensor->dims[0],
		.n_out = (uint32_t)tensor->dims[1],
		.plane = (uint32_t)tensor->dims[1],
		.data = bytes_of(weights, tensor),
	};
}

static int find_vector(const struct weights *weights, const struct model *model, const char *name,
		       const float **out, struct fail *fail)
{
	const struct gguf_tensor *tensor = gguf_tensor_find(model_gguf(model), name);
	*out = NULL;
	if (!tensor)
		return 0;
	const uint8_t *bytes = bytes_of(weights, tensor);
	if (tensor->type != TENSOR_F32 || (uintptr_t)bytes % sizeof(float) != 0)
		return fail_set(fail, FAIL_UNSUPPORTED,
				"tensor %s of %s is not stored as aligned F32, which norms and "
				"biases must be",
				name, model_path(model));
	*out = (const float *)(const void *)bytes;
	return 0;
}

#define IN_LAYER(member) offsetof(struct weights_layer, member)

/* Where a slot's tensor goes; a fused one goes to several places, see split_rows. */
static const size_t slots[FAMILY_SLOTS] = {
	[SLOT_ATTN_NORM] = IN_LAYER(attn_norm),
	[SLOT_Q] = IN_LAYER(q),
	[SLOT_K] = IN_LAYER(k),
	[SLOT_V] = IN_LAYER(v),
	[SLOT_QKV] = IN_LAYER(q),
	[SLOT_Q_BIAS] = IN_LAYER(q_bias),
	[SLOT_K_BIAS] = IN_LAYER(k_bias),
	[SLOT_V_BIAS] = IN_LAYER(v_bias),
	[SLOT_Q_NORM] = IN_LAYER(q_norm),
	[SLOT_K_NORM] = IN_LAYER(k_norm),
	[SLOT_ATTN_OUT] = IN_LAYER(attn_out),
	[SLOT_OUT_BIAS] = IN_LAYER(out_bias),
	[SLOT_POST_ATTN_NORM] = IN_LAYER(post_attn_norm),
	[SLOT_SINKS] = IN_LAYER(sinks),
	[SLOT_FFN_NORM] = IN_LAYER(ffn_norm),
	[SLOT_GATE] = IN_LAYER(gate),
	[SLOT_UP] = IN_LAYER(up),
	[SLOT_GATE_UP] = IN_LAYER(gate),
	[SLOT_DOWN] = IN_LAYER(down),
	[SLOT_POST_FFN_NORM] = IN_LAYER(post_ffn_norm),
	[SLOT_ROUTER] = IN_LAYER(router),
	[SLOT_ROUTER_BIAS] = IN_LAYER(router_bias),
	[SLOT_GATE_BIAS] = IN_LAYER(gate_bias),
	[SLOT_UP_BIAS] = IN_LAYER(up_bias),
	[SLOT_DOWN_BIAS] = IN_LAYER(down_bias),
	[SLOT_OUT_SCALE] = IN_LAYER(out_scale),
	[SLOT_SHARED_GATE] = IN_LAYER(shared_gate),
	[SLOT_SHARED_UP] = IN_LAYER(shared_up),
	[SLOT_SHARED_DOWN] = IN_LAYER(shared_down),
	[SLOT_SHARED_SHARE] = IN_LAYER(shared_share),
	[SLOT_SHARED_POST_NORM] = IN_LAYER(shared_post_norm),
	[SLOT_ROUTER_NORM] = IN_LAYER(router_norm),
	[SLOT_EXPERT_NORM] = IN_LAYER(expert_norm),
	[SLOT_EXPERT_POST_NORM] = IN_LAYER(expert_post_norm),
	[SLOT_EXPERT_SCALE] = IN_LAYER(expert_scale),
	[SLOT_TOKEN_GATE] = IN_LAYER(token_gate),
	[SLOT_TOKEN_OUT] = IN_LAYER(token_out),
	[SLOT_TOKEN_NORM] = IN_LAYER(token_norm),
	[SLOT_Z] = IN_LAYER(z),
	[SLOT_ALPHA] = IN_LAYER(alpha),
	[SLOT_BETA] = IN_LAYER(beta),
	[SLOT_CONV] = IN_LAYER(conv),
	[SLOT_DT_BIAS] = IN_LAYER(dt_bias),
	[SLOT_DECAY] = IN_LAYER(decay),
	[SLOT_DELTA_NORM] = IN_LAYER(delta_norm),
};

/* Takes rows [first, first + n_out) of a matrix. */
static struct matrix some_rows(const struct matrix *whole, uint32_t first, uint32_t n_out)
{
	struct matrix part = *whole;
	part.data += first * weight_row_bytes(whole->type, whole->n_in);
	part.n_out = n_out;
	return part;
}

/* Fused rows lie in the order q, k, v, and gate, up. */
static void split_rows(struct weights_layer *held, const struct layer_shape *layer)
{
	if (layer->parts & LAYER_FUSED_QKV && !(layer->parts & LAYER_SHARED_KV)) {
		const struct matrix whole = held->q;
		const uint32_t q = layer->n_head * layer->head_k;
		const uint32_t k = layer->n_head_kv * layer->head_k;
		held->q = some_rows(&whole, 0, q);
		held->k = some_rows(&whole, q, k);
		held->v = some_rows(&whole, q + k, layer->n_head_kv * layer->head_v);
	}
	if (layer->parts & LAYER_V_IS_K)
		held->v = held->k;
	if (layer->parts & (LAYER_FUSED_GATE_UP | LAYER_FUSED_EXPERTS)) {
		const struct matrix whole = held->gate;
		held->gate = some_rows(&whole, 0, layer->n_ff);
		held->up = some_rows(&whole, layer->n_ff, layer->n_ff);
	}
}

static int find_layer(struct weights *weights, const struct model *model, uint32_t index,
		      struct fail *fail)
{
	const struct layer_shape *layer = &model_shape(model)->layers[index];
	struct weights_layer *held = &weights->layers[index];
	const struct family_tensor *row;
	for (uint32_t i = 0; (row = family_tensor_at(i)); i++) {
		void *place = (char *)held + slots[row->slot];
		char name[GGUF_NAME_BYTES];
		if (!family_tensor_present(row, layer))
			continue;
		snprintf(name, sizeof(name), "blk.%" PRIu32 ".%s", index, row->name);
		if (!family_tensor_is_float(row))
			*(struct matrix *)place = find_matrix(weights, model, name);
		else if (find_vector(weights, model, name, place, fail))
			return -FAIL_UNSUPPORTED;
	}
	split_rows(held, layer);
	return 0;
}

static int find_rope_factors(struct weights *weights, const struct model *model, struct fail *fail)
{
	if (find_vector(weights, model, "rope_freqs.weight", &weights->rope_freqs, fail) ||
	    find_vector(weights, model, "rope_factors_long.weight", &weights->rope_long, fail) ||
	    find_vector(weights, model, "rope_factors_short.weight", &weights->rope_short, fail))
		return -FAIL_UNSUPPORTED;
	return 0;
}

static int find_head(struct weights *weights, const struct model *model, struct fail *fail)
{
	weights->embedding = find_matrix(weights, model, "token_embd.weight");
	weights->token_table = find_matrix(weights, model, "per_layer_token_embd.weight");
	weights->token_projection = find_matrix(weights, model, "per_layer_model_proj.weight");
	if (find_vector(weights, model, "per_layer_proj_norm.weight", &weights->token_norm, fail))
		return -FAIL_UNSUPPORTED;
	weights->output = model_shape(model)->tied ? weights->embedding
						   : find_matrix(weights, model, "output.weight");
	return find_vector(weights, model, "output_norm.weight", &weights->output_norm, fail);
}

static int find_all(struct weights *weights, const struct model *model,
		    const struct slice_config *config, struct fail *fail)
{
	weights->layers = calloc(model_shape(model)->n_layers, sizeof(*weights->layers));
	if (!weights->layers)
		return fail_set(fail, FAIL_MEMORY, "no memory for the table of layers");
	int status = find_rope_factors(weights, model, fail);
	for (uint32_t i = 0; i < config->n_ranges; i++)
		for (uint32_t j = config->ranges[i].first; j < config->ranges[i].end && !status;
		     j++)
			status = find_layer(weights, model, j, fail);
	if (config->head && !status)
		status = find_head(weights, model, fail);
	return status;
}

/* ---- the whole ---- */

static int charge(struct weights *weights, uint64_t bytes, struct account *account,
		  const struct model *model, struct fail *fail)
{
	if (!account_charge(account, ACCOUNT_WEIGHTS, bytes))
		return fail_set(fail, FAIL_MEMORY,
				"the weights of %s held here take %" PRIu64 " MiB, and %" PRIu64
				" MiB of this device's limit are left",
				model_path(model), bytes >> 20, account_left(account) >> 20);
	weights->account = account;
	weights->bytes = bytes;
	return 0;
}

struct weights *weights_create(const struct model *model, const struct slice_config *config,
			       struct account *account, struct fail *fail)
{
	struct tensors tensors;
	struct weights *weights = calloc(1, sizeof(*weights));
	if (!weights || !collect(&tensors, model, config)) {
		fail_set(fail, FAIL_MEMORY, "no memory for the table of tensors");
		free(weights);
		return NULL;
	}
	int status = charge(weights, sum_bytes(&tensors), account, model, fail);
	if (!status && !plan_maps(weights, &tensors))
		status = fail_set(fail, FAIL_MEMORY, "no memory for the table of mappings");
	free(tensors.list);
	if (!status)
		status = load(weights, model, config, fail);
	if (!status)
		status = find_all(weights, model, config, fail);
	if (!status)
		return weights;
	weights_destroy(weights);
	return NULL;
}

uint64_t weights_large(const struct weights *weights)
{
	uint64_t bytes = 0;
	for (uint32_t i = 0; i < weights->n_maps; i++)
		bytes += mapping_large(&weights->maps[i].mapping);
	return bytes;
}

void weights_destroy(struct weights *weights)
{
	if (!weights)
		return;
	for (uint32_t i = 0; i < weights->n_maps; i++)
		mapping_finish(&weights->maps[i].mapping);
	if (weights->account)
		account_release(weights->account, ACCOUNT_WEIGHTS, weights->bytes);
	free(weights->maps);
	free(weights->layers);
	free(weights);
}
