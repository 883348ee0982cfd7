/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Answers to other instances. What was done is done, so its answer is said again until
 * the one that asked hears it: either side may just have lost its connection to the kv.
 */
#include "core/peer/peer.h"
#include "net/reactor.h"
#include <chargehost/clock.h>
#include <chargehost/kv.h>

#define AGAIN_MS 250
#define GIVE_UP_MS 40000 /* nobody waits any longer */

#define WAITING_MAX 2000

typedef struct {
  ChWheelTimer timer; /* first */
  ChCore *core;
  GHashTable *set; /* that owns it */
  char *channel, *text;
  gint64 until_ms;
} Answer;

void ch_peer_answer_free (gpointer data)
{
  Answer *answer = data;
  ch_wheel_cancel (answer->core->services->reactor, &answer->timer);
  g_free (answer->channel);
  g_free (answer->text);
  g_free (answer);
}

static void published (ChPlugin *self, const ChKvReply *reply, const GError *error,
                       gpointer user_data)
{
  Answer *answer = user_data;
  gboolean heard
      = error == NULL && reply->kind == CH_KV_REPLY_INTEGER && reply->integer > 0;

  if (heard || ch_now_ms (self) >= answer->until_ms)
    g_hash_table_remove (answer->set, answer);
  else
    ch_wheel_arm (answer->core->services->reactor, &answer->timer, AGAIN_MS);
}

static void publish (Answer *answer)
{
  ch_kv_commandv (answer->core->self, published, answer, "PUBLISH", answer->channel,
                  answer->text, NULL);
}

static void again (ChWheelTimer *timer)
{
  publish ((Answer *) timer);
}

void ch_peer_answer_send (ChCore *core, GHashTable *set, const char *to, char *text)
{
  Answer *answer = g_new0 (Answer, 1);

  answer->timer.func = again;
  answer->core = core;
  answer->set = set;
  answer->channel = g_strconcat ("core:answer:", to, NULL);
  answer->text = text;
  answer->until_ms = ch_now_ms (core->self) + GIVE_UP_MS;
  if (g_hash_table_size (set) >= WAITING_MAX)
    answer->until_ms = 0; /* said once */
  g_hash_table_add (set, answer);
  publish (answer);
}
