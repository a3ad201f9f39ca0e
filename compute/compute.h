/* compute.h: the front door of compute/: a slice of a model on this machine.
 *
 * gguf       a file's header, checked; tensors as views of the mapping
 * model      the shape of a model and where each unit's tensors lie
 * parts      a model file to be added, whole or in several parts
 * backend    loads units, runs batches of rows over them, keeps sequence state; asynchronous
 * tokenizer  text to tokens and back
 * template   a model's chat template: a conversation as the text that it was trained on
 * sampler    logits to a token, a pure function
 * bench      measured rates for the profile
 * numerics   the arithmetic contract and its version
 *
 * No network, no msgpack, no libuv in here. */
#ifndef COMPUTE_COMPUTE_H
#define COMPUTE_COMPUTE_H

#include "compute/backend.h"
#include "compute/bench.h"
#include "compute/gguf.h"
#include "compute/model.h"
#include "compute/numerics.h"
#include "compute/parts.h"
#include "compute/sampler.h"
#include "compute/template.h"
#include "compute/tokenizer.h"

#endif
