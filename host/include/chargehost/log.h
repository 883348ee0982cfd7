/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Structured logging: a message and fields. The level is checked before the arguments
 * are evaluated. No secret, token or card number may be logged whole: pass them
 * through ch_log_mask().
 */
#pragma once

#include <chargehost/types.h>

G_BEGIN_DECLS

typedef enum {
  CH_LOG_ERROR = 0, /* something is lost or refused that should not be */
  CH_LOG_WARNING,
  CH_LOG_NOTICE, /* start, stop, state of plugins */
  CH_LOG_INFO,
  CH_LOG_DEBUG,
  CH_LOG_TRACE, /* one line per frame */
} ChLogLevel;

/* The most detailed level that anything listens to. Read by the macros only. */
extern int ch_log_level_max;

/**
 * ch_log_full: (skip)
 * @self: (nullable): whose line it is; its name becomes the field `plugin`
 * @level: level
 * @fields: (nullable): NULL-terminated pairs of name and value; the names in use are
 *   `device`, `order_no`, `request_id`, `conn`, `command_id`, `remote`
 * @format: printf-like message without closing newline
 */
void ch_log_full (ChPlugin *self, ChLogLevel level, const char *file, int line,
                  const char *const *fields, const char *format, ...)
    G_GNUC_PRINTF (6, 7);

/**
 * ch_log_mask:
 * @text: (nullable): a card number, key or token
 * @masked: (out caller-allocates): receives at most 15 characters
 *
 * Returns: @masked: first 4, `****`, last 4; only `****` when it has 8 or fewer
 */
const char *ch_log_mask (const char *text, char masked[16]);

#define CH_LOG_FIELDS(...) ((const char *const[]) {__VA_ARGS__, NULL})

#define ch_log(self, level, fields, ...)                                                 \
  G_STMT_START                                                                           \
  {                                                                                      \
    if (G_UNLIKELY ((int) (level)                                                        \
                    <= __atomic_load_n (&ch_log_level_max, __ATOMIC_RELAXED)))           \
      ch_log_full ((self), (level), __FILE__, __LINE__, (fields), __VA_ARGS__);          \
  }                                                                                      \
  G_STMT_END

#define ch_error(self, ...) ch_log (self, CH_LOG_ERROR, NULL, __VA_ARGS__)
#define ch_warning(self, ...) ch_log (self, CH_LOG_WARNING, NULL, __VA_ARGS__)
#define ch_notice(self, ...) ch_log (self, CH_LOG_NOTICE, NULL, __VA_ARGS__)
#define ch_info(self, ...) ch_log (self, CH_LOG_INFO, NULL, __VA_ARGS__)
#define ch_debug(self, ...) ch_log (self, CH_LOG_DEBUG, NULL, __VA_ARGS__)
#define ch_trace(self, ...) ch_log (self, CH_LOG_TRACE, NULL, __VA_ARGS__)

G_END_DECLS
