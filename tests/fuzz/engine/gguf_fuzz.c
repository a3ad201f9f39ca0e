/* Any bytes as a GGUF header: as a whole file, and as metadata of a file that has its data. */
#include "compute/model.h"
#include "compute/tokenizer.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look(const struct gguf *gguf)
{
	struct gguf_array array;
	uint64_t number;
	double fraction;
	bool flag;
	const char *text;
	size_t length;
	static const char *const keys[] = { "general.architecture", "general.alignment", "7",
					    "words" };
	for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
		gguf_u64(gguf, keys[i], &number);
		gguf_f64(gguf, keys[i], &fraction);
		gguf_bool(gguf, keys[i], &flag);
		gguf_string(gguf, keys[i], &text, &length);
		if (gguf_array(gguf, keys[i], &array))
			gguf_array_u64(&array, array.count / 2, &number);
	}
	for (uint32_t i = 0; i < gguf_tensor_count(gguf); i++) {
		const struct gguf_tensor *tensor = gguf_tensor_at(gguf, i);
		if (tensor->offset + tensor->bytes > gguf_file_size(gguf) ||
		    gguf_tensor_find(gguf, tensor->name) != tensor)
			abort();
	}
}

static void look_at_model(const struct model *model)
{
	const struct gguf_tensor *tensors[UNIT_TENSORS_MAX];
	for (uint32_t i = 0; i < model_shape(model)->n_layers; i++)
		if (model_unit_tensors(model, UNIT_LAYER, i, tensors) < 9 ||
		    (model_kv_bytes(model, i) == 0) !=
			    (model_recurrent_floats(model_shape(model), i) > 0))
			abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const uint64_t sizes[] = { 0, UINT64_C(1) << 40, UINT64_MAX };
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct fail fail = { 0 };
		const uint64_t file_size = sizes[i] ? sizes[i] : size;
		struct gguf *gguf = gguf_parse(data, size, file_size, &fail);
		if (gguf)
			look(gguf);
		if (gguf)
			tokenizer_destroy(tokenizer_create(gguf, &fail));
		else if (fail.code == FAIL_NONE || !fail.text[0])
			abort();
		gguf_close(gguf);
		struct model *model = model_parse(data, size, file_size, &fail);
		if (model)
			look_at_model(model);
		model_close(model);
	}
	return 0;
}
