#include "compute/forward.h"

#include "compute/cpu/matmul.h"
#include "compute/cpu/rope.h"
#include "compute/cpu/rows.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define ANGLE_MAX        0x1p24 /* of maths_sin_cos */
#define KINDS_MAX        8u     /* distinct RoPE settings of a model's layers */
#define SPAN_ROWS        16u    /* rows of one sequence that share a pass over its keys */
#define OUTPUT_ROWS      4u     /* logits rows of one product */
#define SPLIT_JOIN_TILES 16u    /* joining more tiles than this is shared out too */

/* Rows of one sequence at consecutive positions. */
struct span {
	uint32_t row, n_rows;
};

struct forward {
	const struct model_shape *shape;
	const struct weights *weights;
	const struct kernels *kernels;
	struct pool *pool;
	struct account *account;
	uint64_t bytes;
	void *memory;
	uint32_t rows_max;

	uint32_t n_kinds;
	float kind_base[KINDS_MAX], kind_scale[KINDS_MAX];
	uint8_t kind_of[MODEL_LAYERS_LIMIT];
	double *turns; /* [n_kinds, n_rot / 2] */

	/* the batch */
	const struct work_row *rows; /* [n_rows] */
	uint32_t n_rows, n_spans;
	struct span *spans; /* [rows_max] */
	float *tables;      /* [n_kinds, rows_max, n_rot] */

	/* the layer it is in */
	const struct layer_shape *layer;
	const struct weights_layer *held;
	const float *table; /* [rows_max, n_rot] */
	struct state *state;
	uint32_t state_layer;
	const uint32_t *slots;
	float *hidden;                   /* [n_rows, n_embd] */
	uint8_t *quantised[ROW_FORMATS]; /* [2 * rows_max], widest row; NULL: not in use */
	float *normed;                   /* [rows_max, n_embd] */
	float *branch;                   /* [2 * rows_max, n_embd] */
	float *q;                        /* [rows_max, n_head * head_k] */
	float *k;                        /* [rows_max, n_head_kv * head_k] */
	float *v;                        /* [rows_max, n_head_kv * head_v] */
	float *mixed;                    /* [rows_max, n_head * head_v] */
	float *gate, *up;                /* [rows_max, n_ff] */
	float *logits;                   /* [2 * OUTPUT_ROWS, n_vocab] */
	float *partials;                 /* [n_head_kv, tiles, attention_partial_floats] */
	uint32_t split_row, split_first, split_end; /* the row whose tiles are shared out */
};

/* ---- memory ---- */

struct widths {
	uint32_t q, k, v, mixed, ff, widest;
	uint32_t formats; /* bit per row format in use */
	size_t partial;   /* floats of one tile's partial results of all heads */
};

static uint32_t max_u32(uint32_t a, uint32_t b)
{
	return a > b ? a : b;
}

static uint32_t formats_in_use(const struct model *model)
{
	uint32_t formats = 0;
	const struct gguf *gguf = model_gguf(model);
	for (uint32_t i = 0; i < gguf_tensor_count(gguf); i++) {
		const struct gguf_tensor *tensor = gguf_tensor_at(gguf, i);
		if (tensor->n_dims == 2 && tensor_type_supported(tensor->type))
			formats |= 1u << row_format_of(tensor->type);
	}
	return formats;
}

static struct widths widths_of(const struct model *model)
{
	const struct model_shape *shape = model_shape(model);
	struct widths widths = { .formats = formats_in_use(model) };
	for (uint32_t i = 0; i < shape->n_layers; i++) {
		const struct layer_shape *layer = &shape->layers[i];
		const struct attention attention = {
			.head_k = shape->head_k,
			.head_v = shape->head_v,
			.n_q = layer->n_head / layer->n_head_kv,
		};
		const size_t partial = layer->n_head_kv * attention_partial_floats(&attention);
		widths.partial = partial > widths.partial ? partial : widths.partial;
		widths.q = max_u32(widths.q, layer->n_head * shape->head_k);
		widths.k = max_u32(widths.k, layer->n_head_kv * shape->head_k);
		widths.v = max_u32(widths.v, layer->n_head_kv * shape->head_v);
		widths.mixed = max_u32(widths.mixed, layer->n_head * shape->head_v);
		widths.ff = max_u32(widths.ff, layer->n_ff);
	}
	widths.widest = max_u32(shape->n_embd, max_u32(widths.mixed, widths.ff));
	return widths;
}

/* Places `bytes` at the next aligned offset; NULL while only measuring. */
static void *place(uint8_t *base, uint64_t *at, uint64_t bytes)
{
	void *here = base ? base + *at : NULL;
	*at += (bytes + ROW_ALIGN - 1) / ROW_ALIGN * ROW_ALIGN;
	return here;
}

/* Lays the buffers out from `base`; gives the bytes in all. */
static uint64_t lay_out(struct forward *to, const struct forward_config *config, uint8_t *base)
{
	const struct model_shape *shape = model_shape(config->model);
	const struct widths widths = widths_of(config->model);
	const uint64_t rows = config->rows_max;
	const uint64_t tiles = ((uint64_t)config->positions + ATTENTION_TILE - 1) / ATTENTION_TILE;
	const uint64_t logits = config->head ? 2ull * OUTPUT_ROWS * shape->n_vocab : 0;
	uint64_t at = 0;
	to->turns = place(base, &at, KINDS_MAX * sizeof(double) * (shape->n_rot / 2));
	to->tables = place(base, &at, KINDS_MAX * rows * sizeof(float) * shape->n_rot);
	to->spans = place(base, &at, rows * sizeof(struct span));
	for (uint32_t i = 0; i < ROW_FORMATS; i++) {
		const bool used = widths.formats >> i & 1;
		const uint64_t bytes = used ? 2 * rows * row_bytes(i, widths.widest) : 0;
		to->quantised[i] = used ? place(base, &at, bytes) : NULL;
	}
	to->normed = place(base, &at, rows * shape->n_embd * sizeof(float));
	to->branch = place(base, &at, 2 * rows * shape->n_embd * sizeof(float));
	to->q = place(base, &at, rows * widths.q * sizeof(float));
	to->k = place(base, &at, rows * widths.k * sizeof(float));
	to->v = place(base, &at, rows * widths.v * sizeof(float));
	to->mixed = place(base, &at, rows * widths.mixed * sizeof(float));
	to->gate = place(base, &at, rows * widths.ff * sizeof(float));
	to->up = place(base, &at, rows * widths.ff * sizeof(float));
	to->logits = place(base, &at, logits * sizeof(float));
	to->partials = place(base, &at, tiles * widths.partial * sizeof(float));
	return at;
}

uint64_t forward_bytes(const struct forward_config *config)
{
	struct forward measured = { 0 };
	return sizeof(measured) + lay_out(&measured, config, NULL);
}

/* Angles are exact up to ANGLE_MAX; a file's factors may be anything. */
static bool angles_fit(const double *turns, uint32_t count, uint32_t positions)
{
	for (uint32_t i = 0; i < count; i++)
		if (!(turns[i] >= 0 && turns[i] * positions <= ANGLE_MAX)) /* NaN too */
			return false;
	return true;
}

/* Layers with the same base and scale share their angles. */
static bool find_kinds(struct forward *forward)
{
	const struct model_shape *shape = forward->shape;
	for (uint32_t i = 0; i < shape->n_layers; i++) {
		const struct layer_shape *layer = &shape->layers[i];
		uint32_t kind = 0;
		while (kind < forward->n_kinds && (forward->kind_base[kind] != layer->rope_base ||
						   forward->kind_scale[kind] != layer->rope_scale))
			kind++;
		if (kind == KINDS_MAX)
			return false;
		if (kind == forward->n_kinds) {
			forward->kind_base[kind] = layer->rope_base;
			forward->kind_scale[kind] = layer->rope_scale;
			forward->n_kinds++;
		}
		forward->kind_of[i] = (uint8_t)kind;
	}
	for (uint32_t i = 0; i < forward->n_kinds; i++)
		rope_turns(forward->turns + i * (shape->n_rot / 2), shape->n_rot,
			   forward->kind_base[i], forward->kind_scale[i],
			   forward->weights->rope_freqs);
	return true;
}

static int allocate(struct forward *forward, const struct forward_config *config, uint64_t bytes,
		    struct account *account, struct fail *fail)
{
	if (!account_charge(account, ACCOUNT_BUFFERS, bytes))
		return fail_set(fail, FAIL_MEMORY,
				"buffers for batches of %" PRIu32 " rows need %" PRIu64
				" MiB, and %" PRIu64 " MiB of this device's limit are left",
				config->rows_max, bytes >> 20, account_left(account) >> 20);
	forward->account = account;
	forward->bytes = bytes;
	void *memory =
		mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (memory == MAP_FAILED)
		return fail_set(fail, FAIL_MEMORY, "the system has no %" PRIu64 " MiB for buffers",
				bytes >> 20);
	forward->memory = memory;
	return 0;
}

struct forward *forward_create(const struct forward_config *config, struct account *account,
			       struct fail *fail)
{
	struct forward *forward = calloc(1, sizeof(*forward));
	if (!forward) {
		fail_set(fail, FAIL_MEMORY, "no memory for a forward pass");
		return NULL;
	}
	forward->shape = model_shape(config->model);
	forward->weights = config->weights;
	forward->kernels = config->kernels;
	forward->pool = config->pool;
	forward->rows_max = config->rows_max;
	if (allocate(forward, config, forward_bytes(config), account, fail))
		goto fail;
	lay_out(forward, config, forward->memory);
	if (!find_kinds(forward)) {
		fail_set(fail, FAIL_UNSUPPORTED, "the layers of %s have more than %u RoPE settings",
			 model_path(config->model), KINDS_MAX);
		goto fail;
	}
	if (!angles_fit(forward->turns, forward->n_kinds * (forward->shape->n_rot / 2),
			config->positions)) {
		fail_set(fail, FAIL_UNSUPPORTED,
			 "the RoPE factors of %s turn positions too fast to compute them",
			 model_path(config->model));
		goto fail;
	}
	return forward;
fail:
	forward_destroy(forward);
	return NULL;
}

void forward_destroy(struct forward *forward)
{
	if (!forward)
		return;
	if (forward->memory)
		munmap(forward->memory, forward->bytes);
	if (forward->account)
		account_release(forward->account, ACCOUNT_BUFFERS, forward->bytes);
	free(forward);
}

/* ---- helpers ---- */

/* Calls fn for pieces of one row each; a single row stays on the leader. */
static void each_row(struct forward *forward, pool_fn fn)
{
	if (forward->n_rows == 1)
		fn(forward, 0, 0);
	else
		pool_run(forward->pool, fn, forward, forward->n_rows);
}

static uint8_t *quantised_row(const struct forward *forward, enum row_format format, uint32_t width,
			      uint32_t row)
{
	return forward->quantised[format] + row * row_bytes(format, width);
}

/* How many rows a product with fine inputs has: an int8 row and its rest count as two. */
static uint32_t fine_rows(const struct matrix *matrix, uint32_t n_rows)
{
	return row_format_of(matrix->type) == ROW_F32 ? n_rows : 2 * n_rows;
}

/* x becomes what its int8 row leaves out. */
static void subtract_row(enum row_format format, float *x, uint32_t width, const uint8_t *row)
{
	const int8_t *q = (const int8_t *)row;
	const float *scales = (const float *)(const void *)(row + row_scale_offset(width));
	const uint32_t block = row_block(format);
	for (uint32_t i = 0; i < width; i += block)
		for (uint32_t j = 0; j < block; j++)
			x[i + j] -= scales[i / block] * (float)q[i + j];
}

/* A fine input: row `row` of `n_rows` is quantised, then, n_rows further on, what that rounding
 * left out; the sum of both products is exact to 15 bits. The inputs of the last products (of the
 * FFN and of the model) have outliers: of the whole error of int8 they make nine tenths. Overwrites
 * x. An f32 row leaves nothing out. */
static void quantise_fine(const struct forward *forward, float *x, uint32_t row, uint32_t n_rows,
			  const struct matrix *matrix)
{
	const enum row_format format = row_format_of(matrix->type);
	const uint32_t width = matrix->n_in;
	uint8_t *first = quantised_row(forward, format, width, row);
	forward->kernels->quantize_row(format, x, width, first);
	if (format == ROW_F32)
		return;
	subtract_row(format, x, width, first);
	forward->kernels->quantize_row(format, x, width,
				       quantised_row(forward, format, width, n_rows + row));
}

/* Quantises a row once for each format that these matrices read. */
static void quantise(const struct forward *forward, const float *x, uint32_t width, uint32_t row,
		     const struct matrix *const *matrices, uint32_t n_matrices)
{
	uint32_t done = 0;
	for (uint32_t i = 0; i < n_matrices; i++) {
		const enum row_format format = row_format_of(matrices[i]->type);
		if (!(done >> format & 1))
			forward->kernels->quantize_row(format, x, width,
						       quantised_row(forward, format, width, row));
		done |= 1u << format;
	}
}

static struct matmul product(const struct forward *forward, const struct matrix *matrix,
			     uint32_t n_rows, float *out)
{
	return (struct matmul){
		.type = matrix->type,
		.n_in = matrix->n_in,
		.n_out = matrix->n_out,
		.n_rows = n_rows,
		.weights = matrix->data,
		.rows = forward->quantised[row_format_of(matrix->type)],
		.out = out,
		.out_stride = matrix->n_out,
	};
}

static void multiply(const struct forward *forward, const struct matmul *products,
		     uint32_t n_products)
{
	matmul_run(forward->pool, forward->kernels, products, n_products);
}

/* ---- the layer, step by step; each step's rows are independent ---- */

/* x = norm(h); ready for q, k, v */
static void attention_input(void *context, uint32_t row, uint32_t thread)
{
	struct forward *forward = context;
	const struct weights_layer *held = forward->held;
	const uint32_t n_embd = forward->shape->n_embd;
	const struct matrix *const readers[] = { &held->q, &held->k, &held->v };
	float *x = forward->normed + (size_t)row * n_embd;
	forward->kernels->rms_norm(x, forward->hidden + (size_t)row * n_embd, held->attn_norm,
				   n_embd, forward->shape->norm_eps);
	quantise(forward, x, n_embd, row, readers, 3);
}

/* Q [rows, n_head, head_k], K [rows, n_head_kv, head_k], V [rows, n_head_kv, head_v] */
static void attention_products(struct forward *forward)
{
	const struct weights_layer *held = forward->held;
	const struct matmul products[] = {
		product(forward, &held->q, forward->n_rows, forward->q),
		product(forward, &held->k, forward->n_rows, forward->k),
		product(forward, &held->v, forward->n_rows, forward->v),
	};
	multiply(forward, products, 3);
}

static void turn_heads(const struct forward *forward, float *heads, uint32_t n_heads,
		       const float *norm, const float *bias, uint32_t row)
{
	const struct model_shape *shape = forward->shape;
	const uint32_t width = shape->head_k;
	if (bias)
		forward->kernels->add(heads, bias, n_heads * width);
	for (uint32_t i = 0; norm && i < n_heads; i++)
		forward->kernels->rms_norm(heads + i * width, heads + i * width, norm, width,
					   shape->norm_eps);
	forward->kernels->rope(heads, n_heads, width, shape->n_rot, shape->pairing,
			       forward->table + (size_t)row * shape->n_rot);
}

static void append_heads(const struct forward *forward, uint32_t row, const float *k,
			 const float *v)
{
	const struct model_shape *shape = forward->shape;
	const uint32_t position = forward->rows[row].position;
	const size_t at = position % STATE_PAGE;
	uint16_t *page = state_page(forward->state, forward->slots[row], position);
	for (uint32_t i = 0; i < forward->layer->n_head_kv; i++) {
		uint16_t *key = page + state_key_offset(forward->state, forward->state_layer, i);
		uint16_t *value =
			page + state_value_offset(forward->state, forward->state_layer, i);
		forward->kernels->to_f16(key + at * shape->head_k, k + i * shape->head_k,
					 shape->head_k);
		forward->kernels->to_f16(value + at * shape->head_v, v + i * shape->head_v,
					 shape->head_v);
	}
}

/* q, k = RoPE(norm(q)), RoPE(norm(k)); k and v join the cache */
static void attention_heads(void *context, uint32_t row, uint32_t thread)
{
	struct forward *forward = context;
	const struct layer_shape *layer = forward->layer;
	const struct weights_layer *held = forward->held;
	float *q = forward->q + (size_t)row * held->q.n_out;
	float *k = forward->k + (size_t)row * held->k.n_out;
	float *v = forward->v + (size_t)row * held->v.n_out;
	turn_heads(forward, q, layer->n_head, held->q_norm, held->q_bias, row);
	turn_heads(forward, k, layer->n_head_kv, held->k_norm, held->k_bias, row);
	if (held->v_bias)
		forward->kernels->add(v, held->v_bias, held->v.n_out);
	append_heads(forward, row, k, v);
}

static struct attention attention_of(const struct forward *forward, uint32_t row, uint32_t head)
{
	const struct model_shape *shape = forward->shape;
	const struct layer_shape *layer = forward->layer;
	return (struct attention){
		.head_k = shape->head_k,
		.head_v = shape->head_v,
		.n_q = layer->n_head / layer->n_head_kv,
		.window = layer->mixer == MIXER_SLIDING ? layer->window : 0,
		.scale = shape->attention_scale,
		.pages = state_pages(forward->state, forward->slots[row]),
		.key_offset = state_key_offset(forward->state, forward->state_layer, head),
		.key_stride = shape->head_k,
		.value_offset = state_value_offset(forward->state, forward->state_layer, head),
		.value_stride = shape->head_v,
	};
}

static float *query_of(const struct forward *forward, uint32_t row, uint32_t head)
{
	const struct layer_shape *layer = forward->layer;
	const size_t group = layer->n_head / layer->n_head_kv;
	return forward->q + ((size_t)row * layer->n_head + head * group) * forward->shape->head_k;
}

static float *mixed_of(const struct forward *forward, uint32_t row, uint32_t head)
{
	const struct layer_shape *layer = forward->layer;
	const size_t group = layer->n_head / layer->n_head_kv;
	return forward->mixed +
	       ((size_t)row * layer->n_head + head * group) * forward->shape->head_v;
}

/* mixed = softmax(q . K * scale) V: one span of rows, one key-value head */
static void attend_span(void *context, uint32_t piece, uint32_t thread)
{
	struct forward *forward = context;
	const struct layer_shape *layer = forward->layer;
	const uint32_t head = piece % layer->n_head_kv;
	/* the last rows see most: begin with them, so that the threads end together */
	const struct span *span = &forward->spans[forward->n_spans - 1 - piece / layer->n_head_kv];
	const struct attention attention = attention_of(forward, span->row, head);
	forward->kernels->attention_rows(&attention, query_of(forward, span->row, head),
					 (size_t)layer->n_head * forward->shape->head_k,
					 span->n_rows, forward->rows[span->row].position,
					 mixed_of(forward, span->row, head),
					 (size_t)layer->n_head * forward->shape->head_v);
}

static float *partials_of(const struct forward *forward, const struct attention *attention,
			  uint32_t head)
{
	const size_t tiles = forward->split_end - forward->split_first;
	return forward->partials + head * tiles * attention_partial_floats(attention);
}

static void attend_tile(void *context, uint32_t piece, uint32_t thread)
{
	struct forward *forward = context;
	const uint32_t row = forward->split_row;
	const uint32_t tiles = forward->split_end - forward->split_first;
	const uint32_t head = piece / tiles, tile = piece % tiles;
	const struct attention attention = attention_of(forward, row, head);
	forward->kernels->attention_tile(&attention, query_of(forward, row, head),
					 forward->rows[row].position, forward->split_first + tile,
					 partials_of(forward, &attention, head) +
						 tile * attention_partial_floats(&attention));
}

static void attend_join(void *context, uint32_t head, uint32_t thread)
{
	struct forward *forward = context;
	const uint32_t row = forward->split_row;
	const struct attention attention = attention_of(forward, row, head);
	forward->kernels->attention_join(&attention, partials_of(forward, &attention, head),
					 forward->split_end - forward->split_first,
					 mixed_of(forward, row, head));
}

/* One row over a long context: its tiles are shared out among the threads. */
static void attend_split(struct forward *forward, uint32_t row)
{
	const uint32_t n_heads = forward->layer->n_head_kv;
	const struct attention attention = attention_of(forward, row, 0);
	attention_tiles(&attention, forward->rows[row].position, &forward->split_first,
			&forward->split_end);
	forward->split_row = row;
	const uint32_t tiles = forward->split_end - forward->split_first;
	pool_run(forward->pool, attend_tile, forward, tiles * n_heads);
	if (tiles > SPLIT_JOIN_TILES) {
		pool_run(forward->pool, attend_join, forward, n_heads);
		return;
	}
	for (uint32_t i = 0; i < n_heads; i++)
		attend_join(forward, i, 0);
}

/* Both ways give the same bits. */
static void attend(struct forward *forward)
{
	const uint32_t pieces = forward->n_spans * forward->layer->n_head_kv;
	const uint32_t threads = pool_threads(forward->pool);
	if (threads == 1 || pieces >= 2 * threads || forward->n_rows > 2 * threads) {
		pool_run(forward->pool, attend_span, forward, pieces);
		return;
	}
	for (uint32_t i = 0; i < forward->n_rows; i++)
		attend_split(forward, i);
}

static void mixed_input(void *context, uint32_t row, uint32_t thread)
{
	struct forward *forward = context;
	const struct matrix *const readers[] = { &forward->held->attn_out };
	const uint32_t width = readers[0]->n_in;
	quantise(forward, forward->mixed + (size_t)row * width, width, row, readers, 1);
}

/* h = h + norm(branch) */
static void add_branch(const struct forward *forward, uint32_t row, const float *post_norm)
{
	const uint32_t n_embd = forward->shape->n_embd;
	float *branch = forward->branch + (size_t)row * n_embd;
	if (post_norm)
		forward->kernels->rms_norm(branch, branch, post_norm, n_embd,
					   forward->shape->norm_eps);
	forward->kernels->add(forward->hidden + (size_t)row * n_embd, branch, n_embd);
}

/* h = h + norm(attention); x = norm(h), ready for gate and up */
static void ffn_input(void *context, uint32_t row, uint32_t thread)
{
	struct forward *forward = context;
	const struct weights_layer *held = forward->held;
	const uint32_t n_embd = forward->shape->n_embd;
	const struct matrix *const readers[] = { &held->gate, &held->up };
	float *x = forward->normed + (size_t)row * n_embd;
	add_branch(forward, row, held->post_attn_norm);
	forward->kernels->rms_norm(x, forward->hidden + (size_t)row * n_embd, held->ffn_norm,
				   n_embd, forward->shape->norm_eps);
	quantise(forward, x, n_embd, row, readers, 2);
}

/* g = act(gate) * up */
static void ffn_gate(void *context, uint32_t row, uint32_t thread)
{
	struct forward *forward = context;
	const struct matrix *down = &forward->held->down;
	const uint32_t n_ff = down->n_in;
	float *gate = forward->gate + (size_t)row * n_ff;
	forward->kernels->activate(forward->shape->activation, gate,
				   forward->up + (size_t)row * n_ff, n_ff);
	quantise_fine(forward, gate, row, forward->n_rows, down);
}

static void ffn_output(void *context, uint32_t row, uint32_t thread)
{
	struct forward *forward = context;
	const uint32_t n_embd = forward->shape->n_embd;
	float *branch = forward->branch + (size_t)row * n_embd;
	if (fine_rows(&forward->held->down, 1) == 2)
		forward->kernels->add(branch, branch + (size_t)forward->n_rows * n_embd, n_embd);
	add_branch(forward, row, forward->held->post_ffn_norm);
}

static void mix(struct forward *forward)
{
	each_row(forward, attention_input);
	attention_products(forward);
	each_row(forward, attention_heads);
	attend(forward);
	each_row(forward, mixed_input);
	const struct matmul out =
		product(forward, &forward->held->attn_out, forward->n_rows, forward->branch);
	multiply(forward, &out, 1);
}

static void feed(struct forward *forward)
{
	const struct weights_layer *held = forward->held;
	const struct matmul inputs[] = {
		product(forward, &held->gate, forward->n_rows, forward->gate),
		product(forward, &held->up, forward->n_rows, forward->up),
	};
	each_row(forward, ffn_input);
	multiply(forward, inputs, 2);
	each_row(forward, ffn_gate);
	const struct matmul out = product(forward, &held->down,
					  fine_rows(&held->down, forward->n_rows), forward->branch);
	multiply(forward, &out, 1);
	each_row(forward, ffn_output);
}

void forward_layer(struct forward *forward, uint32_t layer, struct state *state,
		   uint32_t state_layer, const uint32_t *slots, float *hidden)
{
	const struct model_shape *shape = forward->shape;
	forward->layer = &shape->layers[layer];
	forward->held = &forward->weights->layers[layer];
	forward->table = forward->tables +
			 (size_t)forward->kind_of[layer] * forward->rows_max * shape->n_rot;
	forward->state = state;
	forward->state_layer = state_layer;
	forward->slots = slots;
	forward->hidden = hidden;
	mix(forward);
	feed(forward);
}

/* ---- before and after the layers ---- */

static void fill_tables(void *context, uint32_t row, uint32_t thread)
{
	struct forward *forward = context;
	const uint32_t n_rot = forward->shape->n_rot;
	for (uint32_t i = 0; i < forward->n_kinds; i++)
		rope_table(forward->tables + ((size_t)i * forward->rows_max + row) * n_rot,
			   forward->turns + i * (n_rot / 2), n_rot, forward->rows[row].position);
}

void forward_begin(struct forward *forward, const struct work_row *rows, uint32_t n_rows)
{
	forward->rows = rows;
	forward->n_rows = n_rows;
	forward->n_spans = 0;
	for (uint32_t i = 0; i < n_rows; i++) {
		struct span *last = &forward->spans[forward->n_spans - (forward->n_spans > 0)];
		if (i > 0 && rows[i].sequence == rows[i - 1].sequence && last->n_rows < SPAN_ROWS)
			last->n_rows++;
		else
			forward->spans[forward->n_spans++] = (struct span){ i, 1 };
	}
	each_row(forward, fill_tables);
}

enum fail_code forward_embed(struct forward *forward, const struct work_row *rows, uint32_t n_rows,
			     float *hidden)
{
	const struct model_shape *shape = forward->shape;
	const struct matrix *table = &forward->weights->embedding;
	const size_t row_size = weight_row_bytes(table->type, table->n_in);
	for (uint32_t i = 0; i < n_rows; i++)
		if (rows[i].token >= shape->n_vocab)
			return FAIL_INVALID;
	for (uint32_t i = 0; i < n_rows; i++) {
		float *row = hidden + (size_t)i * shape->n_embd;
		forward->kernels->dequantize_row(
			table->type, table->data + rows[i].token * row_size, shape->n_embd, row);
		if (shape->embedding_scale != 1.0f)
			forward->kernels->scale(row, shape->embedding_scale, shape->n_embd);
	}
	return FAIL_NONE;
}

/* The next wanted rows from `*at` on, at most OUTPUT_ROWS: normed, quantised. */
static uint32_t gather_wanted(struct forward *forward, const struct work_row *rows, uint32_t n_rows,
			      const float *hidden, uint32_t *at)
{
	const uint32_t n_embd = forward->shape->n_embd;
	uint32_t wanted[OUTPUT_ROWS], count = 0;
	for (; *at < n_rows && count < OUTPUT_ROWS; ++*at)
		if (rows[*at].want)
			wanted[count++] = *at;
	for (uint32_t i = 0; i < count; i++) {
		forward->kernels->rms_norm(forward->normed, hidden + (size_t)wanted[i] * n_embd,
					   forward->weights->output_norm, n_embd,
					   forward->shape->norm_eps);
		quantise_fine(forward, forward->normed, i, count, &forward->weights->output);
	}
	return count;
}

/* logits [count, n_vocab] */
static void output_product(struct forward *forward, uint32_t count, float *logits)
{
	const struct matrix *output = &forward->weights->output;
	const size_t values = (size_t)count * output->n_out;
	const uint32_t n_rows = fine_rows(output, count);
	float *out = n_rows > count ? forward->logits : logits;
	const struct matmul all = product(forward, output, n_rows, out);
	multiply(forward, &all, 1);
	if (n_rows == count)
		return;
	memcpy(logits, out, values * sizeof(float));
	for (uint32_t i = 0; i < count; i++)
		forward->kernels->add(logits + (size_t)i * output->n_out,
				      out + values + (size_t)i * output->n_out, output->n_out);
}

enum fail_code forward_output(struct forward *forward, const struct work_row *rows, uint32_t n_rows,
			      const float *hidden, float *logits, const atomic_bool *cancel)
{
	uint32_t at = 0;
	for (;;) {
		if (cancel && atomic_load(cancel))
			return FAIL_CANCELLED;
		const uint32_t count = gather_wanted(forward, rows, n_rows, hidden, &at);
		if (count == 0)
			return FAIL_NONE;
		output_product(forward, count, logits);
		logits += (size_t)count * forward->shape->n_vocab;
	}
}
