#include "compute/cpu/matmul.h"

#include <assert.h>

/* Pieces per thread and run: enough for a busy core to hand over what it cannot do. */
#define PIECES_PER_THREAD 8u
/* Work of a piece in bytes of weights times rows: with less, it costs more to hand out than it
 * shares; with more, the others wait long for the last one. */
#define PIECE_WORK_MIN (16u << 10)
#define PIECE_WORK_MAX (1u << 20)

struct share {
	const struct kernels *kernels;
	const struct matmul *products;
	uint32_t n_products;
	uint32_t rows[MATMUL_MAX];     /* outputs a piece */
	uint32_t n_pieces[MATMUL_MAX]; /* of each product */
};

static uint32_t divide_up(uint32_t a, uint32_t b)
{
	return (a + b - 1) / b;
}

static void run_piece(void *context, uint32_t piece, uint32_t thread)
{
	const struct share *share = context;
	uint32_t p = 0;
	while (piece >= share->n_pieces[p])
		piece -= share->n_pieces[p++];
	const struct matmul *product = &share->products[p];
	const uint32_t first = piece * share->rows[p], left = product->n_out - first;
	share->kernels->matmul(product, first,
			       first + (left < share->rows[p] ? left : share->rows[p]));
}

/* Outputs a piece: an even share, within the bounds of what is worth handing out. */
static uint32_t piece_rows(const struct matmul *product, uint32_t pieces)
{
	const uint64_t row_work =
		(uint64_t)weight_row_bytes(product->type, product->n_in) * product->n_rows + 1;
	const uint32_t least = (uint32_t)(PIECE_WORK_MIN / row_work) + 1;
	const uint32_t most = (uint32_t)(PIECE_WORK_MAX / row_work) + 1;
	uint32_t rows = divide_up(product->n_out, pieces);
	rows = rows < most ? rows : most;
	rows = rows > least ? rows : least;
	return divide_up(rows, MATMUL_ROWS) * MATMUL_ROWS;
}

void matmul_run(struct pool *pool, const struct kernels *kernels, const struct matmul *products,
		uint32_t n_products)
{
	assert(n_products <= MATMUL_MAX);
	struct share share = { .kernels = kernels, .products = products, .n_products = n_products };
	const uint32_t pieces = pool_threads(pool) * PIECES_PER_THREAD;
	uint32_t total = 0;
	for (uint32_t p = 0; p < n_products; p++) {
		share.rows[p] = piece_rows(&products[p], pieces);
		share.n_pieces[p] = divide_up(products[p].n_out, share.rows[p]);
		total += share.n_pieces[p];
	}
	pool_run(pool, run_piece, &share, total);
}
