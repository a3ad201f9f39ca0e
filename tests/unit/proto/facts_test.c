/* Facts of a model: what an older member wrote is read, what contradicts itself is not. */
#include "samples.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static struct model_facts facts, back;

/* The sample as it was written before there were experts and states. */
static const char *const before_experts =
	"9fc420808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9fb367656d6d612d332d"
	"3237306d2d71345f6b5f6da667656d6d6133ce11e1a300ce005b8d80cd0280ce00040000cd8000c392ce0a9c"
	"10809092cd0a00919208ce0a0000009392ce003d090092920cce004c4b409206ce000927c092ce003d090192"
	"920cce004c4b409206ce000927c192ce003d090292920cce004c4b409206ce000927c293cd0400cd0800cd0c"
	"009300cd0200cd040005";

static int decode(const struct buf *bytes)
{
	return facts_decode(&back, bytes->data, bytes->size, NULL);
}

static void an_older_member_is_understood(void **unused)
{
	struct buf bytes;
	unsigned byte;
	buf_init(&bytes);
	for (const char *at = before_experts; sscanf(at, "%2x", &byte) == 1; at += 2)
		buf_u8(&bytes, (uint8_t)byte);
	sample_facts(&facts);
	facts.n_expert = facts.n_expert_used = facts.state_bytes[1] = 0;
	facts.layers[1].types[0].chosen = 0;
	assert_int_equal(decode(&bytes), 0);
	assert_memory_equal(&back, &facts, sizeof(facts));
	buf_finish(&bytes);
}

static int said(void)
{
	struct buf bytes;
	buf_init(&bytes);
	facts_encode(&facts, &bytes);
	const int result = decode(&bytes);
	buf_finish(&bytes);
	return result;
}

static void contradictions_are_refused(void **unused)
{
	sample_facts(&facts);
	assert_int_equal(said(), 0);
	assert_memory_equal(&back, &facts, sizeof(facts));
	facts.n_expert_used = facts.n_expert + 1;
	assert_int_equal(said(), -FAIL_INVALID);
	facts.n_expert_used = 0; /* of which a row then passes none */
	assert_int_equal(said(), -FAIL_INVALID);
	sample_facts(&facts);
	facts.layers[1].types[0].chosen = facts.layers[1].types[0].weights + 1;
	assert_int_equal(said(), -FAIL_INVALID);
	sample_facts(&facts);
	facts.state_bytes[2] = UINT32_MAX;
	assert_int_equal(said(), -FAIL_INVALID);
	facts.state_bytes[2] = 0;
	facts.layers[0].bytes = 0;
	assert_int_equal(said(), -FAIL_INVALID);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_older_member_is_understood),
		cmocka_unit_test(contradictions_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
