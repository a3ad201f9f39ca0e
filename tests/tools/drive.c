#include "tests/tools/drive.h"

#include <pthread.h>

struct wait {
	pthread_mutex_t lock;
	pthread_cond_t wake;
	bool answered;
};

static void answer(struct work *work)
{
	struct wait *wait = work->context;
	pthread_mutex_lock(&wait->lock);
	wait->answered = true;
	pthread_cond_signal(&wait->wake);
	pthread_mutex_unlock(&wait->lock);
}

enum fail_code drive(struct slice *slice, struct work *work)
{
	struct wait wait = { .lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER };
	work->done = answer;
	work->context = &wait;
	slice_submit(slice, work);
	pthread_mutex_lock(&wait.lock);
	while (!wait.answered)
		pthread_cond_wait(&wait.wake, &wait.lock);
	pthread_mutex_unlock(&wait.lock);
	return work->code;
}

enum fail_code drive_sequence(struct slice *slice, enum work_kind kind, uint32_t a, uint32_t b,
			      uint32_t position)
{
	struct work work = { .kind = kind, .sequence_a = a, .sequence_b = b, .position = position };
	return drive(slice, &work);
}

enum fail_code drive_embed(struct slice *slice, const struct work_row *rows, uint32_t n_rows,
			   float *hidden)
{
	struct work work = { .kind = WORK_EMBED, .n_rows = n_rows, .rows = rows, .hidden = hidden };
	return drive(slice, &work);
}

enum fail_code drive_layers(struct slice *slice, uint32_t first, uint32_t end,
			    const struct work_row *rows, uint32_t n_rows, float *hidden)
{
	struct work work = {
		.kind = WORK_LAYERS,
		.layers = { first, end },
		.n_rows = n_rows,
		.rows = rows,
		.hidden = hidden,
	};
	return drive(slice, &work);
}

enum fail_code drive_output(struct slice *slice, const struct work_row *rows, uint32_t n_rows,
			    float *hidden, float *logits)
{
	struct work work = {
		.kind = WORK_OUTPUT,
		.n_rows = n_rows,
		.rows = rows,
		.hidden = hidden,
		.logits = logits,
	};
	return drive(slice, &work);
}

struct slice *drive_whole(struct backend *backend, const struct model *model, uint32_t kv_positions,
			  uint32_t rows_max, struct fail *fail)
{
	const struct layer_range range = { 0, model_shape(model)->n_layers };
	const struct slice_config config = {
		.ranges = &range,
		.n_ranges = 1,
		.head = true,
		.kv_positions = kv_positions,
		.rows_max = rows_max,
	};
	return slice_create(backend, model, &config, fail);
}
