/* notify.h: tells the service manager how the daemon is (the sd_notify protocol: one datagram to
 * $NOTIFY_SOCKET). Without a service manager all of it does nothing. */
#ifndef DAEMON_NOTIFY_H
#define DAEMON_NOTIFY_H

#include <stdint.h>

/* "READY=1", "STATUS=...", "WATCHDOG=1", "STOPPING=1"; several are separated by newlines. */
void notify_send(const char *state);

/* The manager expects WATCHDOG=1 within this time; 0: it does not. */
uint64_t notify_watchdog_ms(void);

#endif
