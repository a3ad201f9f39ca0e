/* control.h: changing the home and looking into it, for primactl: JSON over HTTP on control.sock
 * alone. Bodies and answers are objects with "schema"; errors have OpenAI's shape.
 *
 *   GET    /status                   node_status
 *   GET    /doctor                   node_doctor
 *   GET    /logs?after=N             {"next", "lines": [{"number", "text"}]}
 *   POST   /invite {"role"}          {"code", "seconds"};  DELETE /invite closes the window
 *   GET    /homes                    homes that invite nearby
 *   POST   /join {"home", "code"}    POST /leave   POST /remove {"device"}
 *   POST   /plan {"model", "context", "kv_type", "pin", "paper", "commit"}
 *   PUT    /models/NAME              the file is the body, its size declared
 *   POST   /models {"path"}          a file that the daemon can read, left where it is
 *   DELETE /models/NAME */
#ifndef DAEMON_CONTROL_H
#define DAEMON_CONTROL_H

#include "daemon/http.h"

struct node;

/* The routes of control.sock. Their context is the struct node. */
extern const struct http_route control_routes[];

#endif
