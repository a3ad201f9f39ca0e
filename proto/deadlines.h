/* deadlines.h: every wait of the daemon, in one place. Milliseconds on the monotonic clock. */
#ifndef PROTO_DEADLINES_H
#define PROTO_DEADLINES_H

/* ---- connections ---- */
#define DEADLINE_FIRST_BYTE_MS 1000   /* a stranger's first byte */
#define DEADLINE_HANDSHAKE_MS 3000    /* preamble to last handshake message */
#define DEADLINE_DIAL_MS 3000         /* TCP connect */
#define DEADLINE_HELLO_MS 3000        /* from keys to HELLO */
#define REDIAL_FIRST_MS 250           /* back-off after a failed dial, doubled... */
#define REDIAL_MOST_MS 15000          /* ...to at most this */

/* ---- pairing ---- */
#define DEADLINE_INVITE_MS 120000     /* the six digits are valid so long */
#define DEADLINE_PAIR_MS 5000         /* one run of the pairing protocol */

/* ---- liveness ---- */
#define PING_IDLE_MS 5000             /* between pings of a quiet home */
#define PING_BUSY_MS 500              /* while work is in flight */
#define SUSPECT_IDLE_MS 12000         /* silence until a quiet device is suspected */
#define LOST_IDLE_MS 20000            /* and, unless others reach it, declared lost */
#define LOST_BUSY_MS 4000             /* silence of a participant while work is in flight */

/* ---- plans ---- */
#define DEADLINE_PROMISE_MS 2000      /* PREPARE to the last PROMISE */
#define DEADLINE_COMMIT_MS 4000       /* a promise without COMMIT: ask for the plan */
#define PLANNER_TAKEOVER_MS 3000      /* a suspected planner is replaced after so long */
#define REPLAN_PAUSE_MS 300           /* between a loss and the new plan: more may be lost */
#define DEADLINE_READY_MS 600000      /* no participant's progress moved for so long: failed */

/* ---- requests ---- */
#define DEADLINE_FLIGHT_MS 120000     /* a flight that does not come back */
#define KEEPALIVE_STREAM_MS 2000      /* SSE comment on a silent stream */
#define CLIENT_CHECK_MS 250           /* is the client of a running request still there */
#define DEADLINE_CLIENT_MS 30000      /* a local client completes its request or reads on */
#define DEADLINE_DRAIN_MS 5000        /* clean shutdown: time for running answers to end */
#define WATCHDOG_TICK_MS 5000         /* progress check that feeds the service manager */

/* ---- transfer ---- */
#define DEADLINE_CHUNK_MS 15000       /* an asked chunk; then another holder is asked */

#endif
