/* api.h: asking, in the shapes that OpenAI's clients speak: /v1/models, /v1/completions,
 * /v1/chat/completions, /tokenize, /health. Nothing here changes the home. */
#ifndef DAEMON_API_H
#define DAEMON_API_H

#include "daemon/http.h"

struct node;

/* The routes of api.sock and of loopback TCP. Their context is the struct node. */
extern const struct http_route api_routes[];

#endif
