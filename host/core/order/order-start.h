/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "core/device/device.h"
#include "core/order/order.h"
#include "core/outbound/outbound.h"

/* A start guard, owned by its plugin. */
typedef struct {
  ChResource resource;
  ChStartGuard guard;
  ChCore *core;
} ChGuardEntry;

/* A start on its way (order-start*.c). */
typedef struct {
  ChCore *core;
  ChDevice *device;
  ChStartRequest request; /* strings below */
  char *order_no, *socket_uid, *card_no, *metadata, *request_id;
  char by[16];
  guint wait_ms;
  ChPlugin *caller;
  ChCoreDone done;
  gpointer user_data;
  ChTimer timer; /* waiting for a snapshot */
  gint64 asked_ms;
  GArray *numbers; /* business numbers in use, of guint16; nullable */
  gboolean duplicate;
  gboolean generated;  /* the number: the caller learns it with the answer only */
  gboolean freed_port; /* R4 was tried */
  ChOrder *order;      /* being inserted */
  char command_id[CH_COMMAND_ID_SIZE];
} ChStart;

/* order-start-answer.c: each answers and frees @start. */
void ch_start_free (ChStart *start);
void ch_start_answer (ChStart *start, const json_t *data, const GError *error);
void ch_start_refuse (ChStart *start, GError *error, json_t *data); /* takes both */
void ch_start_answer_order (ChStart *start, const ChOrder *order);
/* A ChCommandWaited: answers behind the transition that the command's end caused. */
void ch_start_waited (ChCore *core, const ChCommandView *view, gpointer user_data);

#define CH_START_REFUSE(start, code, data, ...)                                          \
  ch_start_refuse (                                                                      \
      (start), g_error_new (CH_CORE_ERROR, CH_CORE_ERROR_##code, __VA_ARGS__), (data))

/* order-start-check.c: FALSE: refused, and @start is gone. */
const char *ch_start_invalid (ChCore *core,
                              const ChStartRequest *request); /* NULL: good */
gboolean ch_start_check_device (ChStart *start);
gboolean ch_start_check_place (ChStart *start);
gboolean ch_start_check_guards (ChStart *start);
/* Whether a report from before the bind that said idle is young enough to count. */
gboolean ch_start_trusts (ChDevice *device, const ChPort *port);
/* The status of a port (nullable) for a start: as shown, or what is trusted. */
ChPortStatus ch_start_port_status (ChDevice *device, const ChPort *port);

/* order-start-commit.c: final checks and the transaction, when the queue comes to it. */
void ch_start_enqueue (ChStart *start);
void ch_start_refuse_store (ChStart *start, const GError *error);
/* order-start.c: the order of this number exists: the same request again, or another. */
void ch_start_answer_existing (ChStart *start, const ChOrder *order);
