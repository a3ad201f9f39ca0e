#include "discovery/txt.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

static const uint8_t home[HOME_ID_BYTES] = "sixteen bytes ..";

/* Entries separated by '|' as they are on the wire. */
static size_t wire(uint8_t record[512], const char *entries)
{
	size_t size = 0;
	while (*entries) {
		const size_t length = strcspn(entries, "|");
		record[size++] = (uint8_t)length;
		memcpy(record + size, entries, length);
		size += length;
		entries += length + (entries[length] == '|');
	}
	return size;
}

#define BASE "v=1|n=0102030405060708|t=000102030405060708090a0b0c0d0e0f"

static void good_round_trip(void **state)
{
	struct txt sent = { .nonce = { 1, 2, 3 }, .tag = { 9, 8 } }, got;
	uint8_t record[TXT_RECORD_BYTES];
	size_t size = txt_build(&sent, record);
	assert_true(size <= 120);
	assert_true(txt_parse(&got, record, size));
	assert_memory_equal(sent.nonce, got.nonce, TXT_NONCE_BYTES);
	assert_memory_equal(sent.tag, got.tag, TXT_TAG_BYTES);
	assert_false(got.pairing);
	assert_string_equal(got.label, "");

	sent.pairing = true;
	memset(sent.label, 'x', TXT_LABEL_BYTES - 1);
	size = txt_build(&sent, record);
	assert_true(size <= sizeof(record));
	assert_true(txt_parse(&got, record, size));
	assert_true(got.pairing);
	assert_string_equal(got.label, sent.label);
}

/* Computed once with Python's hashlib: keyed BLAKE2b as the header says. */
static void good_known_key_and_tag(void **state)
{
	static const uint8_t nonce[TXT_NONCE_BYTES] = { 1, 2, 3, 4, 5, 6, 7, 8 };
	static const struct device_id id = { { 0xaa, 0xbb } };
	uint8_t key[TXT_KEY_BYTES], tag[TXT_TAG_BYTES];
	char hex[65];
	txt_key(home, key);
	for (size_t i = 0; i < sizeof(key); i++)
		snprintf(hex + 2 * i, 3, "%02x", key[i]);
	assert_string_equal(hex,
			    "fa5eeb44ed701bc77b4ceb47939b8d33511d45074d59fa2f9b494d91a9275abe");
	txt_tag(key, nonce, &id, tag);
	for (size_t i = 0; i < sizeof(tag); i++)
		snprintf(hex + 2 * i, 3, "%02x", tag[i]);
	assert_string_equal(hex, "e3500b1e25820670a7771ac40230e2f6");
}

static void good_only_members_recognise(void **state)
{
	static const uint8_t other_home[HOME_ID_BYTES] = "another sixteen.";
	static const struct device_id desk = { { 1 } }, laptop = { { 2 } };
	const uint8_t nonce[TXT_NONCE_BYTES] = { 7 }, other_nonce[TXT_NONCE_BYTES] = { 8 };
	uint8_t key[TXT_KEY_BYTES], other_key[TXT_KEY_BYTES];
	uint8_t tag[TXT_TAG_BYTES], again[TXT_TAG_BYTES];
	txt_key(home, key);
	txt_key(other_home, other_key);
	txt_tag(key, nonce, &desk, tag);
	txt_tag(key, nonce, &desk, again);
	assert_memory_equal(tag, again, TXT_TAG_BYTES);
	txt_tag(key, nonce, &laptop, again);
	assert_memory_not_equal(tag, again, TXT_TAG_BYTES);
	txt_tag(other_key, nonce, &desk, again);
	assert_memory_not_equal(tag, again, TXT_TAG_BYTES);
	txt_tag(key, other_nonce, &desk, again); /* not the same at the next start */
	assert_memory_not_equal(tag, again, TXT_TAG_BYTES);
}

static void good_and_bad_records(void **state)
{
	const struct {
		const char *entries;
		bool ok;
	} rows[] = {
		{ BASE, true },
		{ BASE "|x=unknown|q|=|colour=red", true },
		{ "t=000102030405060708090a0b0c0d0e0f|v=1|n=0102030405060708", true },
		{ "", false },
		{ "v=1", false },
		{ "n=0102030405060708|t=000102030405060708090a0b0c0d0e0f", false },
		{ "v=2|n=0102030405060708|t=000102030405060708090a0b0c0d0e0f", false },
		{ "v=11|n=0102030405060708|t=000102030405060708090a0b0c0d0e0f", false },
		{ "v=1|n=01020304050607|t=000102030405060708090a0b0c0d0e0f", false },
		{ "v=1|n=010203040506070809|t=000102030405060708090a0b0c0d0e0f", false },
		{ "v=1|n=010203040506070x|t=000102030405060708090a0b0c0d0e0f", false },
		{ "v=1|n=0102030405060708|t=", false },
		{ BASE "|v=1", false },
		{ BASE "|n=0102030405060708", false },
		{ BASE "|p=1|p=1", false },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		uint8_t record[512];
		struct txt txt;
		const size_t size = wire(record, rows[i].entries);
		assert_int_equal(txt_parse(&txt, record, size), rows[i].ok);
	}
}

static void bad_every_cut(void **state)
{
	uint8_t record[512];
	struct txt txt;
	const size_t size = wire(record, BASE);
	for (size_t cut = 0; cut < size; cut++)
		assert_false(txt_parse(&txt, record, cut));
	record[0] = 255;
	assert_false(txt_parse(&txt, record, size));
}

static void good_labels(void **state)
{
	const struct {
		const char *announced, *shown;
	} rows[] = {
		{ "p=1|l=Anna's home", "Anna's home" },
		{ "p=1|l=K\xc3\xbc"
		  "che \xf0\x9f\x8f\xa0",
		  "K\xc3\xbc"
		  "che \xf0\x9f\x8f\xa0" },
		{ "p=1|l=a\033[2Jb\x7f\r\n", "a?[2Jb???" },
		{ "p=1|l=c\xc2\x9b"
		  "31m",
		  "c?31m" }, /* C1: a terminal takes it for an escape */
		{ "p=1|l=bad \xff\xc3.\xed\xa0\x80", "bad ??.???" },
		{ "p=0|l=closed", "" },
		{ "l=no window", "" },
		{ "p=1", "" },
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char entries[256];
		uint8_t record[512];
		struct txt txt;
		snprintf(entries, sizeof(entries), "%s|%s", BASE, rows[i].announced);
		assert_true(txt_parse(&txt, record, wire(record, entries)));
		assert_string_equal(txt.label, rows[i].shown);
	}
}

static void ugly_long_label_ends_at_a_character(void **state)
{
	char entries[400] = BASE "|p=1|l=";
	uint8_t record[512];
	struct txt txt;
	for (int i = 0; i < 60; i++)
		strcat(entries, "\xe2\x82\xac"); /* three bytes each */
	assert_true(txt_parse(&txt, record, wire(record, entries)));
	assert_int_equal(strlen(txt.label), 63);
	assert_memory_equal(txt.label + 60, "\xe2\x82\xac", 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(good_round_trip),
		cmocka_unit_test(good_known_key_and_tag),
		cmocka_unit_test(good_only_members_recognise),
		cmocka_unit_test(good_and_bad_records),
		cmocka_unit_test(bad_every_cut),
		cmocka_unit_test(good_labels),
		cmocka_unit_test(ugly_long_label_ends_at_a_character),
	};
	return cmocka_run_group_tests_name("txt", tests, NULL, NULL);
}
