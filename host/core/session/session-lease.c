/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * This server's id: taken at the start, kept by signs of life, given back at the end
 * (gateway 3.7). An id has one holder at a time. Who finds it taken waits until the
 * holder gives a sign of life, and gives up, or until its lease has run out; who loses
 * it, having stood still for longer than the lease, ends.
 */
#include "ch-build.h"
#include "core/session/session-private.h"
#include <chargehost/clock.h>
#include <chargehost/error.h>
#include <chargehost/log.h>

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define LEASE_S "15"
#define LEASE_MS 15000
#define LOOK_MS 500
#define OPEN_MS 10000

static const char *my_id (ChSessions *sessions)
{
  return sessions->core->services->server_id;
}

/* ---- waiting for answers, before the main loop runs ---- */

void ch_session_open_answered (ChSessions *sessions, const GError *error)
{
  if (error != NULL) {
    g_strlcpy (sessions->open_problem, error->message, sizeof sessions->open_problem);
    sessions->open_state = -1;
  } else if (sessions->open_state == 0) {
    sessions->open_state = 1;
  }
}

static void wait_fired (ChWheelTimer *timer) {}

/* Runs the loop until the answer is there or @ms have passed; TRUE when it came. */
static gboolean run_until (ChSessions *sessions, gboolean answer, guint ms)
{
  ChReactor *reactor = sessions->core->services->reactor;
  ChWheelTimer limit = {.func = wait_fired};

  ch_wheel_arm (reactor, &limit, ms);
  while ((!answer || sessions->open_state == 0) && ch_wheel_is_armed (&limit))
    g_main_context_iteration (NULL, TRUE); /* lint: before the main loop runs */
  gboolean came = sessions->open_state != 0;
  ch_wheel_cancel (reactor, &limit);
  return came;
}

gboolean ch_session_open_ask (ChSessions *sessions, GError **error)
{
  if (run_until (sessions, TRUE, OPEN_MS) && sessions->open_state > 0)
    return TRUE;
  g_set_error (error, CH_KV_ERROR, CH_KV_ERROR_UNAVAILABLE,
               "the kv did not register this server: %s",
               sessions->open_state < 0 ? sessions->open_problem : "no answer");
  return FALSE;
}

/* ---- a sign of life ---- */

/* Where process ids mean what they mean here: until when this machine runs, and the
   container. Empty when that cannot be told. (transfer full) */
static char *place (void)
{
  g_autofree char *boot = NULL;
  g_autofree char *space = g_file_read_link ("/proc/self/ns/pid", NULL);

  if (space == NULL
      || !g_file_get_contents ("/proc/sys/kernel/random/boot_id", &boot, NULL, NULL))
    return g_strdup ("");
  return g_strconcat (g_strstrip (boot), " ", space, NULL);
}

/* Takes or renews the lease; @instead: of whom it may be taken, "" nobody. */
static void call_beat (ChSessions *sessions, const char *instead, ChKvDone done)
{
  ChPlugin *self = sessions->self;
  g_autofree char *key = g_strconcat ("server:", my_id (sessions), NULL);
  g_autofree char *now = g_strdup_printf ("%" G_GINT64_FORMAT, ch_wall_ms (self));
  g_autofree char *pid = g_strdup_printf ("%d", (int) getpid ());
  g_autofree char *count = g_strdup_printf ("%u", sessions->connected);
  g_autofree char *here = place ();
  char started[CH_TIME_TEXT_SIZE];
  const char *keys[] = {key, "servers"};
  const char *args[] = {my_id (sessions),
                        sessions->token,
                        instead,
                        now,
                        LEASE_S,
                        "address",
                        g_get_host_name (),
                        "pid",
                        pid,
                        "place",
                        here,
                        "version",
                        CH_VERSION,
                        "started_at",
                        ch_format_time (sessions->started_at, started),
                        "connections",
                        count};
  ch_kv_call (self, done, sessions, "server_beat", keys, G_N_ELEMENTS (keys), args,
              G_N_ELEMENTS (args));
}

static const char *item (const ChKvReply *reply, gsize i)
{
  return reply->kind == CH_KV_REPLY_ARRAY && i < reply->n_items
                 && reply->items[i]->text != NULL
             ? reply->items[i]->text
             : "";
}

static void read_holder (ChSessionHolder *holder, const ChKvReply *reply)
{
  g_strlcpy (holder->token, item (reply, 1), sizeof holder->token);
  g_strlcpy (holder->host, item (reply, 2), sizeof holder->host);
  holder->pid = g_ascii_strtoll (item (reply, 3), NULL, 10);
  g_strlcpy (holder->place, item (reply, 4), sizeof holder->place);
  g_strlcpy (holder->beat, item (reply, 5), sizeof holder->beat);
}

/* ---- at the start ---- */

static void beat_answered (ChPlugin *self, const ChKvReply *reply, const GError *error,
                           gpointer user_data)
{
  ChSessions *sessions = user_data;
  if (error == NULL) {
    sessions->taken = g_str_equal (item (reply, 0), "taken");
    read_holder (&sessions->holder, reply);
  }
  ch_session_open_answered (sessions, error);
}

static gboolean try_to_take (ChSessions *sessions, const char *instead, GError **error)
{
  sessions->open_state = 0;
  call_beat (sessions, instead, beat_answered);
  return ch_session_open_ask (sessions, error);
}

/* Whether the process can be known to be gone: only where its id says something. */
static gboolean is_gone (const ChSessionHolder *holder)
{
  g_autofree char *here = place ();

  if (*here == '\0' || !g_str_equal (holder->place, here) || holder->pid <= 0)
    return FALSE;
  return holder->pid == getpid ()
         || (kill ((pid_t) holder->pid, 0) < 0 && errno == ESRCH);
}

gboolean ch_session_lease_claim (ChSessions *sessions, GError **error)
{
  g_autofree char *instead = g_strdup ("");
  ChSessionHolder first = {.pid = -1};
  const ChSessionHolder *holder = &sessions->holder;

  for (guint waited_ms = 0; waited_ms <= LEASE_MS + 5000; waited_ms += LOOK_MS) {
    if (!try_to_take (sessions, instead, error))
      return FALSE;
    if (!sessions->taken)
      return TRUE;
    if (is_gone (holder) && !g_str_equal (instead, holder->token)) {
      g_free (instead);
      instead = g_strdup (holder->token);
      continue;
    }
    if (first.pid == -1) {
      first = *holder;
      ch_notice (sessions->self,
                 "the id %s is taken by process %" G_GINT64_FORMAT
                 " on %s: waiting whether that gives a sign of life",
                 my_id (sessions), holder->pid, holder->host);
    }
    if (!g_str_equal (first.token, holder->token)
        || !g_str_equal (first.beat, holder->beat))
      break;
    run_until (sessions, FALSE, LOOK_MS);
  }
  g_set_error (error, CH_KV_ERROR, CH_KV_ERROR_FAILED,
               "a server with the id %s runs already, process %" G_GINT64_FORMAT
               " on %s: give each its own server.id",
               my_id (sessions), holder->pid, holder->host);
  return FALSE;
}

/* ---- while it runs ---- */

static void lost (ChSessions *sessions)
{
  const ChServices *services = sessions->core->services;
  const ChSessionHolder *holder = &sessions->holder;
  g_autofree char *why
      = g_strdup_printf ("the id %s was taken by process %" G_GINT64_FORMAT
                         " on %s while this one gave no sign of life",
                         my_id (sessions), holder->pid, holder->host);

  ch_error (sessions->self, "%s", why);
  if (services->fail != NULL) { /* not while it still starts: the next sign asks again */
    sessions->lease_lost = TRUE;
    services->fail (services->fail_data, why);
  }
}

static void beat_renewed (ChPlugin *self, const ChKvReply *reply, const GError *error,
                          gpointer user_data)
{
  ChSessions *sessions = user_data;

  if (error != NULL || sessions->lease_lost)
    return;
  if (g_str_equal (item (reply, 0), "made")) {
    ch_session_kv_all_again (sessions); /* it lost its memory, or we were away too long */
  } else if (g_str_equal (item (reply, 0), "taken")) {
    read_holder (&sessions->holder, reply);
    if (is_gone (&sessions->holder)) /* it died while there was no kv to register with */
      call_beat (sessions, sessions->holder.token, beat_renewed);
    else
      lost (sessions);
  }
}

void ch_session_lease_renew (ChSessions *sessions)
{
  if (!sessions->lease_lost)
    call_beat (sessions, "", beat_renewed);
}

void ch_session_lease_end (ChSessions *sessions)
{
  g_autofree char *key = g_strconcat ("server:", my_id (sessions), NULL);
  const char *keys[] = {key, "servers"};
  const char *args[] = {my_id (sessions), sessions->token};

  ch_kv_call (sessions->self, NULL, NULL, "server_leave", keys, G_N_ELEMENTS (keys), args,
              G_N_ELEMENTS (args));
}
