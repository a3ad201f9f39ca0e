/* samples.h: one example of everything that travels, with every field set. The frozen wire bytes in
 * tests/vectors/messages.txt and the seeds of the fuzz targets are made from them. */
#ifndef TESTS_UNIT_PROTO_SAMPLES_H
#define TESTS_UNIT_PROTO_SAMPLES_H

#include "proto/facts.h"
#include "proto/flight.h"
#include "proto/messages.h"
#include "proto/plan.h"
#include "proto/profile.h"
#include "proto/statement.h"

void sample_profile(struct profile *profile);
void sample_facts(struct model_facts *facts); /* 3 layers */
void sample_plan(struct plan *plan);          /* 3 devices, 5 layers, 2 rounds */
void sample_flight(struct flight *flight);    /* 2 rows of 4 values, 2 operations */
extern const float sample_states[8];
void sample_statement(struct statement *add);

/* A message of this type; what it borrows is static. Not for MESSAGE_FLIGHT. */
void sample_message(struct message *message, enum message_type type);

#endif
