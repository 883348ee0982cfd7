/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Answers that the core owes to whoever called it. */
#include "base/reply.h"
#include "core/core-admin.h"

#define KIND "core ask"

struct _ChAsk {
  ChPlugin *self;
  ChReplies *replies;
  ChReply reply; /* stale once the caller has stopped */
  ChCoreDone done;
  gpointer user_data;
};

/* The caller has stopped: whoever answers finds the handle gone. */
static void caller_gone (gpointer data, const char *reason) {}

ChAsk *ch_ask_new (ChPlugin *self, ChCoreDone done, gpointer user_data)
{
  ChAsk *ask = g_new0 (ChAsk, 1);
  ask->self = self;
  ask->replies = self->services->replies;
  ask->done = done;
  ask->user_data = user_data;
  ask->reply = ch_replies_add (ask->replies, self, KIND, ask, caller_gone);
  return ask;
}

void ch_ask_answer (ChAsk *ask, const json_t *data, const GError *error)
{
  ChRunnerFrame frame;
  if (ch_replies_take (ask->replies, ask->reply, KIND) != NULL && ask->done != NULL
      && ch_runner_enter (ask->self, "core answer", &frame)) {
    ask->done (ask->self, data, error, ask->user_data);
    ch_runner_leave (&frame);
  }
  g_free (ask);
}

void ch_ask_refuse (ChAsk *ask, gint code, const char *message)
{
  g_autoptr (GError) error = g_error_new_literal (CH_CORE_ERROR, code, message);
  ch_ask_answer (ask, NULL, error);
}

void ch_ask_store_failed (ChAsk *ask, const GError *error)
{
  ch_ask_refuse (ask, CH_CORE_ERROR_STORE_UNAVAILABLE, error->message);
}
