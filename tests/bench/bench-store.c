/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Durable transactions a second, shaped as those of an order: an insert, an update and an
 * insert, 64 in flight. Beside it what the disk can do: write and fdatasync of one page,
 * again and again; and with PostgreSQL, what pgbench does with the same statements and as
 * many connections. Arguments: the driver's module, seconds, then `key=value`.
 */
#include "helpers/postgres.h"
#include "helpers/store-bed.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define IN_FLIGHT 64
#define PORTS 10000
/* Owners with transactions side by side: with PostgreSQL as many connections. */
#define OWNERS_MAX 4

static const ChMigration bench_migrations[] = {
    {1, "bench",
     "CREATE TABLE bench_ports (id INTEGER PRIMARY KEY, device_id TEXT NOT NULL,"
     " state INTEGER NOT NULL, order_no TEXT, updated_at INTEGER NOT NULL) STRICT;"
     "CREATE TABLE bench_orders (id INTEGER PRIMARY KEY, order_no TEXT NOT NULL UNIQUE,"
     " device_id TEXT NOT NULL, port INTEGER NOT NULL, status TEXT NOT NULL,"
     " card_no TEXT, duration_s INTEGER, energy_wh INTEGER, amount_cent INTEGER,"
     " user_id TEXT, metadata TEXT NOT NULL, created_at INTEGER NOT NULL) STRICT;"
     "CREATE TABLE bench_events (id INTEGER PRIMARY KEY, order_no TEXT NOT NULL,"
     " type TEXT NOT NULL, data TEXT NOT NULL, created_at INTEGER NOT NULL) STRICT;",
     "CREATE TABLE bench_ports (id bigint PRIMARY KEY, device_id text NOT NULL,"
     " state int NOT NULL, order_no text, updated_at timestamptz NOT NULL);"
     "CREATE TABLE bench_orders (id bigserial PRIMARY KEY, order_no text NOT NULL UNIQUE,"
     " device_id text NOT NULL, port int NOT NULL, status text NOT NULL,"
     " card_no text, duration_s bigint, energy_wh bigint, amount_cent bigint,"
     " user_id text, metadata jsonb NOT NULL, created_at timestamptz NOT NULL);"
     "CREATE TABLE bench_events (id bigserial PRIMARY KEY, order_no text NOT NULL,"
     " type text NOT NULL, data jsonb NOT NULL, created_at timestamptz NOT NULL);"},
    {0},
};

static const ChStatement bench_statements[] = {
    {.name = "order",
     .sql = "INSERT INTO bench_orders (order_no, device_id, port, status, card_no,"
            " duration_s, energy_wh, amount_cent, user_id, metadata, created_at)"
            " VALUES (:order_no, :device_id, :port, :status, :card_no, :duration_s,"
            " :energy_wh, :amount_cent, :user_id, :metadata, :created_at)"},
    {.name = "take",
     .sql = "UPDATE bench_ports SET state = :state, order_no = :order_no,"
            " updated_at = :at WHERE id = :id"},
    {.name = "event",
     .sql = "INSERT INTO bench_events (order_no, type, data, created_at)"
            " VALUES (:order_no, :type, :data, :at)"},
    {.name = "count",
     .sql = "SELECT count(*) AS n FROM bench_orders",
     .flags = CH_STATEMENT_READ_ONLY},
    {.name = NULL},
};

typedef struct {
  Bed bed;
  guint64 submitted, done;
  guint in_flight;
  gint64 until_us;
  gint64 slowest_us;
  gint64 begun[IN_FLIGHT];
  ChPlugin *owners[OWNERS_MAX];
  guint n_owners;
  Postgres *server; /* NULL with SQLite */
  guint64 run;      /* makes order numbers unique over runs on one database */
} Bench;

static void submit (Bench *bench, guint slot);

static void one_done (ChPlugin *self, const ChTxResult *result, const GError *error,
                      gpointer data)
{
  Bench *bench = (Bench *) bed_of (self);
  guint slot = GPOINTER_TO_UINT (data);
  gint64 now_us = g_get_monotonic_time ();

  if (error != NULL)
    g_error ("%s", error->message);
  bench->in_flight--;
  gint64 took_us = now_us - bench->begun[slot];
  bench->slowest_us = MAX (bench->slowest_us, took_us);
  bench->done++;
  if (now_us < bench->until_us)
    submit (bench, slot);
}

static void submit (Bench *bench, guint slot)
{
  ChTx *tx = ch_tx_new (bench->owners[slot % bench->n_owners]);
  gint64 port = (gint64) (bench->submitted * 7919 % PORTS);
  char order_no[CH_ORDER_NO_SIZE], device_id[16];

  g_snprintf (order_no, sizeof order_no,
              "T%" G_GINT64_MODIFIER "x%010" G_GINT64_MODIFIER "u", bench->run,
              bench->submitted);
  g_snprintf (device_id, sizeof device_id, "8604%08d", (int) (port / 10));
  ch_tx_add (tx, NULL, "order");
  ch_tx_bind_text (tx, "order_no", order_no);
  ch_tx_bind_text (tx, "device_id", device_id);
  ch_tx_bind_int (tx, "port", port % 10);
  ch_tx_bind_text (tx, "status", "pending");
  ch_tx_bind_text (tx, "card_no", "0012345678");
  ch_tx_bind_int (tx, "duration_s", 3600);
  ch_tx_bind_int (tx, "energy_wh", 0);
  ch_tx_bind_int (tx, "amount_cent", 150);
  ch_tx_bind_text (tx, "user_id", "user-4711");
  ch_tx_bind_json (tx, "metadata", "{\"source\":\"api\",\"tariff\":12}");
  ch_tx_bind_time (tx, "created_at", 1700000000000 + (gint64) bench->submitted);
  ch_tx_add (tx, NULL, "take");
  ch_tx_bind_int (tx, "state", 2);
  ch_tx_bind_text (tx, "order_no", order_no);
  ch_tx_bind_time (tx, "at", 1700000000000);
  ch_tx_bind_int (tx, "id", port);
  ch_tx_guard (tx, 1, 1);
  ch_tx_add (tx, NULL, "event");
  ch_tx_bind_text (tx, "order_no", order_no);
  ch_tx_bind_text (tx, "type", "order.created");
  ch_tx_bind_json (tx, "data", "{\"status\":\"pending\",\"port\":3,\"duration\":3600}");
  ch_tx_bind_time (tx, "at", 1700000000000);
  bench->begun[slot] = g_get_monotonic_time ();
  bench->submitted++;
  bench->in_flight++;
  ch_tx_submit (tx, 30000, one_done, GUINT_TO_POINTER (slot));
}

static void fill_ports (Bench *bench)
{
  ChTx *rows = ch_tx_new (bench->bed.user);

  for (gint64 id = 0; id < PORTS; id++) {
    ch_tx_add (rows, NULL, "row");
    ch_tx_bind_int (rows, "id", id);
    ch_tx_bind_text (rows, "device_id", "860400000000");
    ch_tx_bind_int (rows, "state", 0);
    ch_tx_bind_time (rows, "updated_at", 1700000000000);
  }
  bench->bed.pending++;
  ch_store_bulk_insert (
      bench->bed.user, "bench_ports",
      (const char *const[]) {"id", "device_id", "state", "updated_at", NULL}, rows,
      bed_done, (gpointer) "");
  bed_wait (&bench->bed);
  g_assert_cmpstr (bench->bed.heard->str, ==, " ");
}

/* ---- turns of the main loop ---------------------------------------------------------
 */

static struct {
  GPollFunc poll;
  gint64 woke_us, woke_cpu_us;
  gint64 longest_us, longest_cpu_us; /* and what it used of the processor */
} turns;

static gint64 cpu_us (void)
{
  struct timespec now;
  clock_gettime (CLOCK_THREAD_CPUTIME_ID, &now);
  return (gint64) now.tv_sec * G_USEC_PER_SEC + now.tv_nsec / 1000;
}

static gint watched_poll (GPollFD *fds, guint n, gint timeout)
{
  gint64 took_us = g_get_monotonic_time () - turns.woke_us;

  if (turns.woke_us != 0 && took_us > turns.longest_us) {
    turns.longest_us = took_us;
    turns.longest_cpu_us = cpu_us () - turns.woke_cpu_us;
  }
  gint found = turns.poll (fds, n, timeout);
  turns.woke_us = g_get_monotonic_time ();
  turns.woke_cpu_us = cpu_us ();
  return found;
}

static void watch_turns (void)
{
  turns.poll = g_main_context_get_poll_func (NULL);
  g_main_context_set_poll_func (NULL, watched_poll);
}

static double cpu_seconds (void)
{
  struct rusage usage;

  getrusage (RUSAGE_SELF, &usage);
  return (double) (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
         + (double) (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* Writes of @size bytes, each made durable, in a file that exists already. */
static double syncs_per_second (const char *folder, gsize size)
{
  g_autofree char *path = g_build_filename (folder, "sync", NULL);
  g_autofree char *bytes = g_malloc0 (size);
  int fd = open (path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  guint n = 0;

  for (guint i = 0; i < 16; i++)
    g_assert_cmpint (pwrite (fd, bytes, size, (off_t) (i * size)), ==, (gssize) size);
  fsync (fd);
  gint64 began_us = g_get_monotonic_time ();
  while (g_get_monotonic_time () - began_us < G_USEC_PER_SEC) {
    g_assert_cmpint (pwrite (fd, bytes, size, (off_t) (n % 16 * size)), ==,
                     (gssize) size);
    fdatasync (fd);
    n++;
  }
  double seconds = (double) (g_get_monotonic_time () - began_us) / 1e6;
  close (fd);
  return n / seconds;
}

/* ---- PostgreSQL ----------------------------------------------------------------------
 */

#ifdef WITH_POSTGRES
static const char script[]
    = "\\set n :n + 1\n"
      "\\set id random(0, 9999)\n"
      "BEGIN;\n"
      "INSERT INTO bench_orders (order_no, device_id, port, status, card_no, duration_s,"
      " energy_wh, amount_cent, user_id, metadata, created_at) VALUES ('P' || "
      ":clients::text ||"
      " :client_id::text || 'x' || :n::text, '860400000123', 3, 'pending', '0012345678',"
      " 3600, 0, 150, 'user-4711', '{\"source\": \"api\", \"tariff\": 12}', now());\n"
      "UPDATE bench_ports SET state = 2, order_no = 'P' || :clients::text || "
      ":client_id::text || 'x' ||"
      " :n::text, updated_at = now() WHERE id = :id;\n"
      "INSERT INTO bench_events (order_no, type, data, created_at) VALUES ('P' || "
      ":clients::text ||"
      " :client_id::text || 'x' || :n::text, 'order.created', '{\"status\": \"pending\","
      "\"port\": 3, \"duration\": 3600}', now());\n"
      "END;\n";

static double pgbench (Bench *bench, double seconds, guint n)
{
  g_autofree char *path = g_build_filename (bench->bed.folder, "script.sql", NULL);
  g_autofree char *schema = g_path_get_basename (bench->bed.folder);
  g_autofree char *options = g_strdup_printf ("-c search_path=\"%s\"", schema);
  g_autofree char *port = g_strdup_printf ("%u", postgres_port (bench->server));
  g_autofree char *clients = g_strdup_printf ("%u", n);
  g_autofree char *mark = g_strdup_printf ("clients=%u", n);
  g_autofree char *time = g_strdup_printf ("%.0f", MAX (seconds, 1));
  g_autofree char *program = postgres_program ("pgbench");
  g_autofree char *text = NULL;
  g_auto (GStrv) env = g_environ_setenv (g_get_environ (), "PGOPTIONS", options, TRUE);
  char *argv[] = {program,
                  (char *) "-n",
                  (char *) "-M",
                  (char *) "prepared",
                  (char *) "-c",
                  clients,
                  (char *) "-D",
                  (char *) "n=0",
                  (char *) "-D",
                  mark,
                  (char *) "-T",
                  time,
                  (char *) "-f",
                  path,
                  (char *) "-h",
                  (char *) postgres_folder (bench->server),
                  (char *) "-p",
                  port,
                  (char *) "-U",
                  (char *) "chargehost",
                  (char *) "postgres",
                  NULL};
  g_autoptr (GError) error = NULL;

  g_assert_true (g_file_set_contents (path, script, -1, NULL));
  g_spawn_sync (NULL, argv, env, G_SPAWN_STDERR_TO_DEV_NULL, NULL, NULL, &text, NULL,
                NULL, &error);
  g_assert_no_error (error);
  const char *tps = strstr (text, "tps = ");
  if (tps == NULL)
    g_error ("pgbench: %s", text);
  return g_ascii_strtod (tps + strlen ("tps = "), NULL);
}

/* With as many connections as write here, and with as many as the pool may have. */
static void compare (Bench *bench, double seconds, double rate)
{
  const guint clients[] = {bench->n_owners, 20};

  for (guint i = 0; i < G_N_ELEMENTS (clients); i++) {
    double theirs = pgbench (bench, seconds, clients[i]);
    g_print ("pgbench -M prepared -c %u: %.0f/s; here %.0f %% of it\n", clients[i],
             theirs, rate * 100 / theirs);
    g_free (postgres_ask (bench->server, "CHECKPOINT"));
  }
}
#endif

/* Returns: transactions a second */
static double run (Bench *bench, double seconds)
{
  double cpu = cpu_seconds ();
  gint64 began_us = g_get_monotonic_time ();

  watch_turns ();
  bench->until_us = began_us + (gint64) (seconds * 1e6);
  for (guint i = 0; i < IN_FLIGHT; i++)
    submit (bench, i);
  while (bench->in_flight > 0)
    g_main_context_iteration (NULL, TRUE);
  double took = (double) (g_get_monotonic_time () - began_us) / 1e6;
  double rate = (double) bench->done / took;
  g_print ("%.0f durable transactions/s of 3 statements (%" G_GUINT64_FORMAT
           " in %.1f s), slowest %.1f ms, %.2f CPUs busy, %.1f us CPU each\n",
           rate, bench->done, took, (double) bench->slowest_us / 1e3,
           (cpu_seconds () - cpu) / took,
           (cpu_seconds () - cpu) * 1e6 / (double) bench->done);
  g_print ("the longest turn of the loop: %.1f ms, of them %.1f ms on the processor\n",
           (double) turns.longest_us / 1e3, (double) turns.longest_cpu_us / 1e3);
  return rate;
}

/* The others share the statements of the first. */
static void add_owners (Bench *bench)
{
  bench->n_owners = bench->server != NULL ? OWNERS_MAX : 1;
  bench->owners[0] = bench->bed.user;
  for (guint i = 1; i < bench->n_owners; i++) {
    g_autofree char *name = g_strdup_printf ("contract%u", i);
    bench->owners[i] = ch_owner_new (&bench->bed.services, name, NULL);
    ch_plugin_set_data (bench->owners[i], bench);
    g_assert_true (ch_store_register (bench->owners[i], NULL, bench_statements, NULL));
  }
}

static void set_up (Bench *bench, const char *module, const char *const *more)
{
  const char *options[16] = {NULL};
  g_autofree char *dsn = NULL;
  guint n = 0;

#ifdef WITH_POSTGRES
  if (strstr (module, "store-pgsql") != NULL) {
    bench->server = postgres_new (POSTGRES_FSYNC, NULL);
    dsn = g_strconcat ("database.dsn=", postgres_dsn (bench->server), NULL);
    options[n++] = dsn;
    options[n++] = "database.schema=%f";
  }
#endif
  for (guint i = 0; more != NULL && more[i] != NULL && n < G_N_ELEMENTS (options) - 1;
       i++)
    options[n++] = more[i];
  bed_set_up (&bench->bed, module, options, NULL);
}

int main (int argc, char **argv)
{
  g_autofree Bench *bench = g_new0 (Bench, 1);
  g_autoptr (GError) error = NULL;
  double seconds = argc > 2 ? g_ascii_strtod (argv[2], NULL) : 3;

  if (argc < 2)
    g_error ("usage: %s MODULE [SECONDS [KEY=VALUE…]]", argv[0]);
  set_up (bench, argv[1], argc > 3 ? (const char *const *) argv + 3 : NULL);
  bench->run = (guint64) g_get_real_time () & 0xffffff;
  double page = syncs_per_second (bench->bed.folder, 4096);
  double batch = syncs_per_second (bench->bed.folder, 64 * 4096);
  g_print ("the disk: %.0f fdatasync/s of 4 KiB, %.0f of 256 KiB\n", page, batch);
  g_assert_true (
      ch_store_register (bench->bed.user, bench_migrations, bench_statements, NULL));
  add_owners (bench);
  if (!bed_open (&bench->bed, &error))
    g_error ("%s", error->message);
  fill_ports (bench);
  double rate = run (bench, seconds);
  g_assert_cmpint (bed_number (&bench->bed, "count"), >=, (gint64) bench->done);
#ifdef WITH_POSTGRES
  if (bench->server != NULL)
    compare (bench, seconds, rate);
#endif
  g_print (
      "limit: one commit serves %u transactions at most here; with %.0f syncs/s that "
      "is %.0f/s\n",
      IN_FLIGHT, batch, batch * IN_FLIGHT);
  for (guint i = 1; i < bench->n_owners; i++)
    ch_owner_free (bench->owners[i]);
  bed_tear_down (&bench->bed);
#ifdef WITH_POSTGRES
  postgres_free (bench->server);
#endif
  return 0;
}
