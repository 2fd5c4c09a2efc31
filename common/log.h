/* SPDX-License-Identifier: Apache-2.0 */
/*
 * log: one line per event on standard error, "TIME LEVEL ROLE: text".
 * Safe to call from several processes: each line is one write(2).
 */
#ifndef COMMON_LOG_H
#define COMMON_LOG_H

enum log_level { LOG_ERROR_ = 0, LOG_WARN_, LOG_INFO_, LOG_DEBUG_ };

/* Lines above `level` are dropped. Default LOG_INFO_. */
void log_set_level(enum log_level level);
/* Name of the role that speaks, e.g. "ship dr1"; kept, not copied. */
void log_set_role(const char *role);

void log_line(enum log_level level, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#define log_error(...) log_line(LOG_ERROR_, __VA_ARGS__)
#define log_warn(...) log_line(LOG_WARN_, __VA_ARGS__)
#define log_info(...) log_line(LOG_INFO_, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG_, __VA_ARGS__)

#endif
