/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The store is away, and devices go on: what they report of charges is answered when the
 * journal has it, and stored once the store is back, in order, once.
 */
#include "core/fact/journal.h"
#include "site.h"

#include <glib/gstdio.h>
#include <string.h>
#include <unistd.h>

#define AWAY(is) queue_away (site.queue, is)
#define HEARD(text) queue_expect (site.queue, site.fd, text)
#define ROWS(text) CHECK_SQL ("SELECT count(*) FROM orders", text)

static char *path_of (Site *site, const char *name)
{
  return g_build_filename (site->queue->folder, name, NULL);
}

static char *content (Site *site, const char *name, gsize *size)
{
  g_autofree char *path = path_of (site, name);
  char *text = NULL;
  if (!g_file_get_contents (path, &text, size, NULL))
    *size = 0;
  return text;
}

static void assert_empty (Site *site)
{
  gsize size = 1;
  queue_settle (site->queue);
  g_autofree char *text = content (site, "journal.log", &size);
  g_assert_cmpuint (size, ==, 0);
}

static void put (Site *site, const char *bytes, gsize size, const char *mode)
{
  g_autofree char *path = path_of (site, "journal.log");
  FILE *file = fopen (path, mode);
  g_assert_nonnull (file);
  g_assert_cmpuint (fwrite (bytes, 1, size, file), ==, size);
  fclose (file);
}

static guint health (Site *site)
{
  const char *message = NULL;
  g_autoptr (json_t) details = json_object ();
  return ch_journal_health (site->queue->services.core->journal, details, &message);
}

/* Its end and two copies of it: answered each time, settled once. */
static void test_end (void)
{
  Site site = CHARGING (NULL);
  AWAY (TRUE);
  for (guint i = 0; i < 3; i++) {
    SAY ("@end " DEV " 0 w1 40 60 0");
    HEARD ("stored 0\n");
  }
  ASSERT_PORT (CH_PORT_IDLE, "A");
  g_assert_cmpuint (health (&site), ==, CH_HEALTH_DEGRADED);
  ADVANCE (60); /* no timer moves the order meanwhile */
  ASSERT_STATUS ("A", "2");
  AWAY (FALSE);
  ADVANCE (2);
  ASSERT_ORDER ("A", "3 0 40 -");
  ASSERT_PORT (CH_PORT_IDLE, NULL);
  ASSERT_EVENTS ("A", RUNNING " charging.ended order.completed");
  ROWS ("1");
  assert_empty (&site);
  g_assert_cmpuint (health (&site), ==, CH_HEALTH_HEALTHY);
  site_close (&site);
}

/* R4 is for ends that are missing: this one is only not stored yet. */
static void test_start_meanwhile (void)
{
  Site site = CHARGING (NULL);
  site_go (&site);
  site_come (&site);
  queue_hold (site.queue);
  SAY ("@end " DEV " 0 w1 40 60 0");
  ADVANCE (6);
  SAY ("@port " DEV " 0 1");
  site_start (&site, "B", NULL);
  ADVANCE (12);
  g_assert_cmpstr (site.answer, ==, "40901");
  queue_release (site.queue, FALSE);
  ADVANCE (12);
  ASSERT_ORDER ("A", "3 0 40 -");
  CHECK_SQL ("SELECT settlement_rev FROM orders", "0");
  assert_empty (&site);
  site_close (&site);
}

/* A charge begun and ended at the device; its times are those of the reports. */
static void test_local (void)
{
  Site site = SITE (NULL);
  AWAY (TRUE);
  SAY ("@start " DEV " 0 w5");
  site_live (&site, 600);
  SAY ("@end " DEV " 0 w5 90 600 0");
  HEARD ("stored 0\nstored 0\n");
  site_live (&site, 1800);
  AWAY (FALSE);
  ADVANCE (12);
  CHECK_SQL ("SELECT status || ' ' || energy_wh || ' ' || source FROM orders",
             "3 90 local");
  CHECK_SQL (
      queue_is_pgsql ()
          ? "SELECT extract (epoch FROM end_time - start_time)::integer FROM orders"
          : "SELECT (end_time - start_time) / 1000 FROM orders",
      "600");
  ROWS ("1");
  assert_empty (&site);
  site_close (&site);
}

/* The process dies with a full journal, and comes back to a store that answers. */
static void test_restart (void)
{
  Site site = CHARGING (NULL);
  gsize size;
  AWAY (TRUE);
  SAY ("@end " DEV " 0 w1 40 60 0");
  SAY ("@start " DEV " 0 w2");
  HEARD ("stored 0\nstored 0\n");
  site_go (&site);
  g_autofree char *full = content (&site, "journal.log", &size);
  AWAY (FALSE);
  queue_stop (site.queue);
  put (&site, full, size, "w"); /* whatever the stop did: a crash does nothing */
  put (&site, full, 17, "a");   /* and a record that was cut short */
  queue_start (site.queue);
  ADVANCE (2);
  ASSERT_ORDER ("A", "3 0 40 -");
  CHECK_SQL ("SELECT status FROM orders WHERE source = 'local'", "10");
  ROWS ("2");
  assert_empty (&site);
  site_come (&site);
  SAY ("@end " DEV " 0 w2 7 60 0");
  CHECK_SQL ("SELECT status || ' ' || energy_wh FROM orders WHERE source = 'local'",
             "3 7");
  ROWS ("2");
  site_close (&site);
}

/* It dies when a report is stored and not yet marked: the second time changes nothing. */
static void test_twice (void)
{
  Site site = CHARGING (NULL);
  gsize size;
  AWAY (TRUE);
  SAY ("@end " DEV " 0 w1 40 60 0");
  g_autofree char *full = content (&site, "journal.log", &size);
  AWAY (FALSE);
  ADVANCE (2);
  ASSERT_ORDER ("A", "3 0 40 -");
  site_go (&site);
  queue_stop (site.queue);
  put (&site, full, size, "w");
  queue_start (site.queue);
  site_come (&site);
  ADVANCE (2);
  ASSERT_ORDER ("A", "3 0 40 -");
  ASSERT_EVENTS ("A", RUNNING " charging.ended order.completed");
  ROWS ("1");
  assert_empty (&site);
  site_close (&site);
}

/* What the store refuses for good stands aside, and nothing waits behind it. */
static void test_set_aside (void)
{
  if (queue_is_pgsql ())
    return g_test_skip ("the refusal is made with a trigger of SQLite");
  Site site = CHARGING (NULL);
  gsize size;
  AWAY (TRUE);
  SAY ("@end " DEV " 0 w1 40 60 0");
  SAY ("@end " DEV " 1 w9 41 60 0");
  AWAY (FALSE);
  queue_change (site.queue, "CREATE TRIGGER no_more BEFORE UPDATE ON orders BEGIN"
                            " SELECT RAISE (ABORT, 'refused'); END");
  ASSERT_ALARMS ("");
  ADVANCE (10);
  CHECK_SQL ("SELECT energy_wh FROM orders WHERE source = 'local'", "41");
  ASSERT_STATUS ("A", "2");
  g_autofree char *aside = content (&site, "journal.rejected", &size);
  g_assert_nonnull (strstr (aside, "\"energy_wh\":40"));
  g_assert_null (strstr (aside, "\"energy_wh\":41"));
  g_assert_cmpuint (health (&site), ==, CH_HEALTH_DEGRADED);
  assert_empty (&site);
  site_close (&site);
}

/* Full: not answered, alarmed once; answered again when there is room. */
static void test_full (void)
{
  Site site = CHARGING ("journal.max_bytes=65536");
  guint n = 0;
  AWAY (TRUE);
  ASSERT_ALARMS ("");
  for (; n < 1000; n++) {
    queue_advance (site.queue, 500); /* a device may say only so much in a time */
    SAY ("@end " DEV " 0 w1 40 60 0");
    g_autofree char *heard = queue_heard (site.queue, site.fd);
    if (g_str_equal (heard, "failed 0\n"))
      break;
    g_assert_cmpstr (heard, ==, "stored 0\n");
  }
  g_assert_cmpuint (n, >, 50);
  g_assert_cmpuint (n, <, 1000);
  SAY ("@end " DEV " 0 w1 40 60 0");
  HEARD ("failed 0\n");
  ASSERT_ALARMS ("journal_unwritable");
  AWAY (FALSE);
  ADVANCE (5);
  ASSERT_ORDER ("A", "3 0 40 -");
  assert_empty (&site);
  AWAY (TRUE);
  SAY ("@end " DEV " 0 w8 40 60 0");
  HEARD ("stored 0\n");
  AWAY (FALSE);
  ADVANCE (5);
  ROWS ("2");
  site_close (&site);
}

/* Damage between records costs the record it is in, not those behind it. */
static void test_damage (void)
{
  Site site = CHARGING (NULL);
  gsize size;
  AWAY (TRUE);
  SAY ("@end " DEV " 1 w7 3 60 0");
  SAY ("@end " DEV " 0 w1 40 60 0");
  g_autofree char *full = content (&site, "journal.log", &size);
  site_go (&site);
  AWAY (FALSE);
  queue_stop (site.queue);
  full[40] ^= 1;
  put (&site, full, size, "w");
  queue_start (site.queue);
  ADVANCE (2);
  ASSERT_ORDER ("A", "3 0 40 -");
  ROWS ("1");
  g_autofree char *damaged = content (&site, "journal.damaged", &size);
  g_assert_cmpuint (size, >, 100);
  site_come (&site);
  site_close (&site);
}

/* The store is slow instead of away: the outcome of the first try is unknown. */
static void test_unknown (void)
{
  Site site = CHARGING (NULL);
  queue_hold (site.queue);
  SAY ("@end " DEV " 0 w1 40 60 0");
  HEARD ("");
  queue_release (site.queue, TRUE);
  HEARD ("stored 0\n");
  ADVANCE (2);
  ASSERT_ORDER ("A", "3 0 40 -");
  ROWS ("1");
  site_close (&site);
}

/* Nobody has to watch a charge go on because of the store. */
static void test_stop (void)
{
  Site site = CHARGING (NULL);
  AWAY (TRUE);
  site_start (&site, "B", "50305");
  site_stop (&site, "A", "charging");
  EXPECT ("StopCharge");
  SAY ("@end " DEV " 0 w1 40 60 9");
  HEARD ("stored 0\n");
  AWAY (FALSE);
  ADVANCE (2);
  ASSERT_ORDER ("A", "7 0 40 -");
  site_close (&site);
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
#define ADD(name, test) g_test_add_func ("/orders-journal/" name, test)
  ADD ("end", test_end);
  ADD ("start-meanwhile", test_start_meanwhile);
  ADD ("local", test_local);
  ADD ("restart", test_restart);
  ADD ("twice", test_twice);
  ADD ("set-aside", test_set_aside);
  ADD ("full", test_full);
  ADD ("damage", test_damage);
  ADD ("unknown", test_unknown);
  ADD ("stop", test_stop);
  return g_test_run ();
}
