/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Lists of Admin1: keys, connections, bans, breakers, queue, servers, the audit log. */
#include "ctl/ctl.h"

#include <string.h>

#define COLUMNS_MAX 9
#define LIMIT "100" /* when nobody says */

/* Options that lists take, each a parameter of Admin1. */
static const struct {
  const char *option, *parameter, *help, *arg;
} OPTIONS[] = {
    {"limit", "limit", "At most so many, 1 to 1000; default " LIMIT, "N"},
    {"offset", "offset", "Leave out the first N", "N"},
    {"after", "after", "Those after this id, which was the last of the list before",
     "ID"},
    {"device", "device_id", "Only of this device", "ID"},
    {"actor", "actor", "Only what this key or user did: a key's id, uid:0", "TEXT"},
    {"action", "action", "Only actions that hold this", "TEXT"},
    {"object", "object", "Only what was done to what holds this", "TEXT"},
    {"from", "from", "Not before this: 2026-01-31T08:00:00Z", "TIME"},
    {"to", "to", "Not after this", "TIME"},
};

static const struct {
  const char *words, *method;
  const char *member;  /* of the answer, that is the list */
  const char *options; /* words */
  struct {
    const char *head, *member;
  } columns[COLUMNS_MAX + 1];
} LISTS[] = {
    {"key list",
     "ListApiKeys",
     "keys",
     "limit offset",
     {{"KEY ID", "key_id"},
      {"NAME", "name"},
      {"KEY", "key"},
      {"SCOPES", "scopes"},
      {"FROM", "source"},
      {"CREATED", "created_at"},
      {"EXPIRES", "expires_at"},
      {"LAST USED", "last_used_at"}}},
    {"connections list",
     "ListConnections",
     "connections",
     "limit offset",
     {{"CONNECTION", "conn_id"},
      {"REMOTE", "remote"},
      {"PROTOCOL", "protocol"},
      {"DEVICES", "devices"},
      {"OPENED", "opened_at"},
      {"LAST HEARD", "last_rx_at"},
      {"IN", "rx_frames"},
      {"OUT", "tx_frames"},
      {"BAD", "bad_frames"}}},
    {"bans list",
     "ListBans",
     "bans",
     "limit offset",
     {{"SUBJECT", "subject"},
      {"KIND", "kind"},
      {"REASON", "reason"},
      {"UNTIL", "until"},
      {"SINCE", "created_at"}}},
    {"breakers list",
     "ListBreakers",
     "breakers",
     "",
     {{"BREAKER", "name"}, {"STATE", "state"}, {"FAILURES", "failures"}}},
    {"queue list",
     "ListQueue",
     "queue",
     "device limit offset",
     {{"COMMAND", "command_id"},
      {"DEVICE", "phy_id"},
      {"TYPE", "type"},
      {"PRIORITY", "priority"},
      {"STATE", "state"},
      {"AGE MS", "age_ms"},
      {"ATTEMPT", "attempt"},
      {"ORDER", "order_no"},
      {"AT", "owner"}}},
    {"queue dead",
     "ListDeadLetters",
     "dead",
     "after limit",
     {{"ID", "id"},
      {"COMMAND", "command_id"},
      {"DEVICE", "phy_id"},
      {"TYPE", "type"},
      {"ERROR", "error"},
      {"FAILED", "failed_at"}}},
    {"servers list",
     "ListServers",
     "servers",
     "",
     {{"SERVER", "server_id"},
      {"ALIVE", "alive"},
      {"SELF", "self"},
      {"HOST", "address"},
      {"PID", "pid"},
      {"VERSION", "version"},
      {"STARTED", "started_at"},
      {"DEVICES", "devices_online"}}},
    {"audit list",
     "ListAudit",
     "audit",
     "actor action object from to after limit offset",
     {{"ID", "id"},
      {"TIME", "at"},
      {"WHO", "actor"},
      {"FROM", "ip"},
      {"WHAT", "action"},
      {"OBJECT", "object"}}},
};

static guint list_of (const char *words)
{
  guint at = 0;
  while (at + 1 < G_N_ELEMENTS (LISTS) && !g_str_equal (LISTS[at].words, words))
    at++;
  return at;
}

/* Fills @entries with what the list takes; @values are of OPTIONS. */
static void take_options (guint list, GOptionEntry *entries, char **values)
{
  g_auto (GStrv) names = g_strsplit (LISTS[list].options, " ", -1);
  guint n = 0;
  for (guint i = 0; i < G_N_ELEMENTS (OPTIONS); i++)
    if (g_strv_contains ((const char *const *) names, OPTIONS[i].option))
      entries[n++] = (GOptionEntry) {OPTIONS[i].option,     0,          0,
                                     G_OPTION_ARG_FILENAME, &values[i], OPTIONS[i].help,
                                     OPTIONS[i].arg};
}

static void print_table (guint list, const json_t *items)
{
  const char *heads[COLUMNS_MAX + 1] = {NULL};
  size_t i;
  json_t *item;
  for (guint c = 0; LISTS[list].columns[c].head != NULL; c++)
    heads[c] = LISTS[list].columns[c].head;
  CtlTable *table = ctl_table_new (heads);
  json_array_foreach ((json_t *) items, i, item)
  {
    for (guint c = 0; heads[c] != NULL; c++) {
      const json_t *value = json_object_get (item, LISTS[list].columns[c].member);
      g_autofree char *text = ctl_line (value);
      ctl_table_cell (table, text);
    }
  }
  ctl_table_print (table);
}

static void print_list (Ctl *ctl, guint list, const json_t *answer)
{
  const json_t *items = json_object_get (answer, LISTS[list].member);
  json_int_t total = json_integer_value (json_object_get (answer, "total"));
  gsize n = json_array_size (items);

  if (ctl->json)
    ctl_print_json (items);
  else {
    print_table (list, items);
    if (total > (json_int_t) n && n > 0)
      ctl_print ("(%zu of %" JSON_INTEGER_FORMAT "; --limit shows more)\n", n, total);
  }
}

CtlExit ctl_admin_list (Ctl *ctl, int argc, char **argv)
{
  guint list = list_of (ctl->command->words);
  GOptionEntry entries[G_N_ELEMENTS (OPTIONS) + 1] = {{NULL}};
  char *values[G_N_ELEMENTS (OPTIONS)] = {NULL};
  GVariantDict options;

  take_options (list, entries, values);
  CtlExit status = ctl_options (ctl, entries, &argc, &argv);
  g_variant_dict_init (&options, NULL);
  for (guint i = 0; i < G_N_ELEMENTS (OPTIONS); i++) {
    if (values[i] == NULL && i == 0 && entries[0].long_name != NULL)
      values[i] = g_strdup (LIMIT);
    if (values[i] != NULL)
      g_variant_dict_insert (&options, OPTIONS[i].parameter, "s", values[i]);
    g_free (values[i]);
  }
  g_autoptr (GVariant) given = g_variant_ref_sink (g_variant_dict_end (&options));
  if (status != CTL_OK)
    return status;
  gboolean bare = entries[0].long_name == NULL;
  json_t *answer
      = ctl_json_call (ctl, CTL_ADMIN, NULL, LISTS[list].method,
                       bare ? NULL : g_variant_new ("(@a{sv})", given), &status);
  if (answer != NULL)
    print_list (ctl, list, answer);
  json_decref (answer);
  return status;
}
