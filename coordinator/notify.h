/* SPDX-License-Identifier: Apache-2.0 */
/* notify: tells the service manager (systemd) how we are, as sd_notify(3)
 * does, by one datagram; nothing happens when nobody asked. */
#ifndef COORDINATOR_NOTIFY_H
#define COORDINATOR_NOTIFY_H

#include <stdint.h>

/* "READY=1", "STOPPING=1", "WATCHDOG=1"; failures are of no concern. */
void notify_say(const char *what);
/* How often "WATCHDOG=1" is wanted; 0: never. */
uint32_t notify_watchdog_ms(void);

#endif
