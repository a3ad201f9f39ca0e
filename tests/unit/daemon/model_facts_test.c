/* What is told about models with experts and with recurrent layers. Arguments: qwen3moe, qwen35moe. */
#include "daemon/model_facts.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static const char *const *models; /* [2] */
static struct model_facts facts;

static struct model *open_model(uint32_t which)
{
	struct fail fail = { 0 };
	struct model *model = model_open(models[which], &fail);
	if (!model)
		fail_msg("%s", fail.text);
	model_facts_read(model, &facts);
	return model;
}

static uint64_t chosen_in(const struct unit_facts *unit)
{
	uint64_t chosen = 0;
	for (uint32_t i = 0; i < unit->n_types; i++)
		chosen += unit->types[i].chosen;
	return chosen;
}

/* Weights of tensors with a plane for each expert, all of them. */
static uint64_t weights_of_experts(const struct model *model, uint32_t layer)
{
	const struct gguf_tensor *tensors[UNIT_TENSORS_MAX];
	const uint32_t count = model_unit_tensors(model, UNIT_LAYER, layer, tensors);
	uint64_t weights = 0;
	for (uint32_t i = 0; i < count; i++)
		if (strstr(tensors[i]->name, "_exps.weight"))
			weights += tensors[i]->dims[0] * tensors[i]->dims[1] * tensors[i]->dims[2];
	return weights;
}

static void a_row_passes_the_chosen_experts(void **unused)
{
	for (uint32_t which = 0; which < 2; which++) {
		struct model *model = open_model(which);
		const struct model_shape *shape = model_shape(model);
		assert_int_equal(facts.n_expert, shape->n_expert);
		assert_int_equal(facts.n_expert_used, shape->n_expert_used);
		assert_true(shape->n_expert_used < shape->n_expert);
		for (uint32_t i = 0; i < facts.n_layers; i++) {
			const uint64_t all = weights_of_experts(model, i);
			assert_true(all > 0);
			assert_int_equal(chosen_in(&facts.layers[i]) * shape->n_expert,
					 all * shape->n_expert_used);
		}
		assert_int_equal(chosen_in(&facts.output), 0);
		model_close(model);
	}
}

static void recurrent_layers_keep_a_state(void **unused)
{
	uint32_t recurrent = 0, attentive = 0;
	struct model *model = open_model(1);
	for (uint32_t i = 0; i < facts.n_layers; i++) {
		assert_int_equal(facts.state_bytes[i],
				 4 * model_recurrent_floats(model_shape(model), i));
		assert_true((facts.state_bytes[i] == 0) != (facts.kv_bytes[i] == 0));
		recurrent += facts.state_bytes[i] > 0;
		attentive += facts.kv_bytes[i] > 0;
	}
	assert_true(recurrent > 0 && attentive > 0);
	model_close(model);
	model = open_model(0);
	for (uint32_t i = 0; i < facts.n_layers; i++)
		assert_int_equal(facts.state_bytes[i], 0);
	model_close(model);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_row_passes_the_chosen_experts),
		cmocka_unit_test(recurrent_layers_keep_a_state),
	};
	models = (const char *const *)argv + 1;
	return argc == 3 ? cmocka_run_group_tests(tests, NULL, NULL) : 2;
}
