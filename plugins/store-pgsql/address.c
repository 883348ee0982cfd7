/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Where a server is. libpq would ask the name servers itself and wait for them, so names
 * are resolved here and handed over as addresses; the names go along, for certificates.
 * Everything else of the connection string (service files, environment, TLS, passwords,
 * several hosts) is libpq's own.
 *
 * libpq goes on to the next address when one refuses, but waits for one that is silent
 * for as long as it is asked; so after a silent one the next attempt begins behind it.
 */
#include "pgsql.h"

#include <gio/gio.h>
#include <string.h>

/* Addresses of all names together. */
#define MAX_ADDRESSES 32

typedef struct {
  char *host;
  char *address; /* as written, or "" for a socket's path */
  char *port;
} Place;

struct _PgTarget {
  char *dsn;
  GPtrArray *places;  /* of Place, as libpq understands the connection string */
  gboolean has_names; /* at least one is to be looked up */
  gboolean primary;   /* a standby is of no use */
  gboolean patience;  /* the operator says how long a silent server is waited for */
  GPtrArray *found;   /* of Place: each with its address */
  guint first;        /* of those, the one that is tried first */
};

typedef struct {
  PgTarget *target; /* NULL: nobody wants to know */
  GCancellable *cancellable;
  GPtrArray **found; /* of addresses, by place */
  guint n, left;
  GError *error; /* the last */
  PgResolved func;
  gpointer data;
} Resolving;

static void place_free (gpointer data)
{
  Place *place = data;
  g_free (place->host);
  g_free (place->address);
  g_free (place->port);
  g_free (place);
}

static gboolean is_name (const Place *place)
{
  return *place->address == '\0' && *place->host != '\0' && *place->host != '/'
         && *place->host != '@' && !g_hostname_is_ip_address (place->host);
}

static const char *nth (char **list, guint i)
{
  guint n = list != NULL ? g_strv_length (list) : 0;

  if (n == 0)
    return "";
  return list[n == 1 ? 0 : MIN (i, n - 1)]; /* one port stands for all */
}

static const char *option (const PQconninfoOption *options, const char *keyword)
{
  for (; options->keyword != NULL; options++)
    if (strcmp (options->keyword, keyword) == 0)
      return options->val != NULL ? options->val : "";
  return "";
}

static void add_places (PgTarget *target, const PQconninfoOption *options)
{
  g_auto (GStrv) hosts = g_strsplit (option (options, "host"), ",", MAX_ADDRESSES);
  g_auto (GStrv) addresses
      = g_strsplit (option (options, "hostaddr"), ",", MAX_ADDRESSES);
  g_auto (GStrv) ports = g_strsplit (option (options, "port"), ",", MAX_ADDRESSES);
  guint n = MAX (g_strv_length (hosts), g_strv_length (addresses));

  for (guint i = 0; i < n; i++) {
    Place *place = g_new0 (Place, 1);
    place->host = g_strstrip (g_strdup (g_strv_length (hosts) > i ? hosts[i] : ""));
    place->address
        = g_strstrip (g_strdup (g_strv_length (addresses) > i ? addresses[i] : ""));
    place->port = g_strstrip (g_strdup (nth (ports, i)));
    target->has_names |= is_name (place);
    g_ptr_array_add (target->places, place);
  }
}

/* Each address with its name and its port. @found: by place, of names */
static void set_found (PgTarget *target, GPtrArray *const *found)
{
  g_ptr_array_set_size (target->found, 0);
  for (guint i = 0; i < target->places->len; i++) {
    const Place *place = g_ptr_array_index (target->places, i);
    guint each = is_name (place) ? found[i]->len : 1;
    for (guint k = 0; k < each && target->found->len < MAX_ADDRESSES; k++) {
      Place *one = g_new0 (Place, 1);
      one->host = g_strdup (place->host);
      one->address
          = g_strdup (is_name (place) ? g_ptr_array_index (found[i], k) : place->address);
      one->port = g_strdup (place->port);
      g_ptr_array_add (target->found, one);
    }
  }
}

/* ---- what the operator wrote --------------------------------------------------------
 */

static gboolean may_hold_password (const char *dsn)
{
  return strchr (dsn, '@') != NULL || strstr (dsn, "pass") != NULL;
}

/* libpq's messages quote what they do not understand, which may be of a password. */
static char *without_quotes (const char *message)
{
  g_autoptr (GString) text = g_string_new (NULL);
  gboolean quoted = FALSE;

  for (const char *p = message; *p != '\0'; p++) {
    if (*p == '"') {
      quoted = !quoted;
      g_string_append (text, quoted ? "\"…" : "\"");
    } else if (!quoted) {
      g_string_append_c (text, *p);
    }
  }
  return g_string_free (g_steal_pointer (&text), FALSE);
}

static void refuse (const char *key, const char *dsn, const char *message, GError **error)
{
  g_autofree char *text
      = may_hold_password (dsn) ? without_quotes (message) : g_strdup (message);

  g_strdelimit (g_strchomp (text), "\n", ' ');
  g_set_error (error, CH_STORE_ERROR, CH_STORE_ERROR_USAGE, "%s: %s", key, text);
}

/* A password in a URI whose signs are not encoded ends up here in part. */
static gboolean check_places (const PgTarget *target, const char *key, GError **error)
{
  for (guint i = 0; i < target->places->len; i++) {
    const Place *place = g_ptr_array_index (target->places, i);
    const char *wrong = NULL;
    if (is_name (place) && strchr (place->host, '@') != NULL)
      wrong = "a host's name holds an @; in a URI, write %40 for one in the password";
    else if (strspn (place->port, "0123456789") != strlen (place->port))
      wrong = "a port is not a number; in a URI, write %2F for a / in the password";
    if (wrong == NULL)
      continue;
    g_set_error (error, CH_STORE_ERROR, CH_STORE_ERROR_USAGE, "%s: %s", key, wrong);
    return FALSE;
  }
  return TRUE;
}

/*
 * libpq tells what it understood (service files and environment included) of a connection
 * that it has begun; an option that it refuses lets it stop before it does anything.
 */
static PQconninfoOption *understood (const char *dsn)
{
  const char *const words[] = {"dbname", "channel_binding", NULL};
  const char *const values[] = {dsn, "nothing", NULL};
  PGconn *probe = PQconnectStartParams (words, values, 1);
  PQconninfoOption *options = probe != NULL ? PQconninfo (probe) : NULL;

  PQfinish (probe);
  return options;
}

PgTarget *pg_target_new (const char *dsn, const char *key, gboolean primary,
                         GError **error)
{
  char *message = NULL;
  PQconninfoOption *options = PQconninfoParse (dsn, &message);

  if (options == NULL) {
    refuse (key, dsn, message != NULL ? message : "out of memory", error);
    PQfreemem (message);
    return NULL;
  }
  PQconninfoFree (options);
  PgTarget *target = g_new0 (PgTarget, 1);
  target->dsn = g_strdup (dsn);
  target->places = g_ptr_array_new_with_free_func (place_free);
  target->found = g_ptr_array_new_with_free_func (place_free);
  options = understood (dsn);
  if (options != NULL) {
    const char *wanted = option (options, "target_session_attrs");
    target->primary = primary && (*wanted == '\0' || strcmp (wanted, "any") == 0);
    target->patience = *option (options, "tcp_user_timeout") != '\0'
                       || *option (options, "keepalives_idle") != '\0';
    add_places (target, options);
  }
  PQconninfoFree (options);
  if (check_places (target, key, error)) {
    if (!target->has_names)
      set_found (target, NULL);
    return target;
  }
  pg_target_free (target);
  return NULL;
}

void pg_target_free (PgTarget *target)
{
  if (target == NULL)
    return;
  g_free (target->dsn);
  g_ptr_array_unref (target->places);
  g_ptr_array_unref (target->found);
  g_free (target);
}

/* ---- names ------------------------------------------------------------------------- */

static void take_addresses (GList *list, GPtrArray *to)
{
  for (GList *l = list; l != NULL && to->len < MAX_ADDRESSES; l = l->next)
    g_ptr_array_add (to, g_inet_address_to_string (l->data));
}

static void resolving_free (Resolving *resolving)
{
  for (guint i = 0; i < resolving->n; i++)
    g_ptr_array_unref (resolving->found[i]);
  g_free (resolving->found);
  g_clear_error (&resolving->error);
  g_object_unref (resolving->cancellable);
  g_free (resolving);
}

static Resolving *resolving_new (PgTarget *target)
{
  Resolving *resolving = g_new0 (Resolving, 1);

  resolving->target = target;
  resolving->cancellable = g_cancellable_new ();
  resolving->n = target->places->len;
  resolving->found = g_new0 (GPtrArray *, resolving->n + 1);
  for (guint i = 0; i < resolving->n; i++)
    resolving->found[i] = g_ptr_array_new_with_free_func (g_free);
  return resolving;
}

/* Names without an address are left out; when none has one, the error counts. */
static GError *outcome (Resolving *resolving)
{
  PgTarget *target = resolving->target;
  gboolean any = FALSE;

  for (guint i = 0; i < resolving->n; i++)
    any |= resolving->found[i]->len > 0
           || !is_name (g_ptr_array_index (target->places, i));
  if (!any)
    return g_error_new (CH_STORE_ERROR, CH_STORE_ERROR_UNAVAILABLE, "%s",
                        resolving->error != NULL ? resolving->error->message
                                                 : "the server's name has no address");
  set_found (target, resolving->found);
  return NULL;
}

typedef struct {
  Resolving *resolving;
  guint place;
} LookUp;

static void looked_up (GObject *resolver, GAsyncResult *result, gpointer data)
{
  g_autofree LookUp *look_up = data;
  Resolving *resolving = look_up->resolving;
  g_autoptr (GError) error = NULL;
  GList *list = g_resolver_lookup_by_name_finish (G_RESOLVER (resolver), result, &error);

  take_addresses (list, resolving->found[look_up->place]);
  g_resolver_free_addresses (list);
  if (error != NULL) {
    g_clear_error (&resolving->error);
    resolving->error = g_steal_pointer (&error);
  }
  if (--resolving->left > 0)
    return;
  if (resolving->target != NULL)
    resolving->func (outcome (resolving), resolving->data);
  resolving_free (resolving);
}

gpointer pg_target_resolve (PgTarget *target, PgResolved func, gpointer data)
{
  if (!target->has_names)
    return NULL;
  g_autoptr (GResolver) resolver = g_resolver_get_default ();
  Resolving *resolving = resolving_new (target);
  resolving->func = func;
  resolving->data = data;
  for (guint i = 0; i < resolving->n; i++) {
    const Place *place = g_ptr_array_index (target->places, i);
    if (!is_name (place))
      continue;
    LookUp *look_up = g_new (LookUp, 1);
    look_up->resolving = resolving;
    look_up->place = i;
    resolving->left++;
    g_resolver_lookup_by_name_async (resolver, place->host, resolving->cancellable,
                                     looked_up, look_up);
  }
  return resolving;
}

void pg_target_forget (gpointer data)
{
  Resolving *resolving = data;
  resolving->target = NULL;
  g_cancellable_cancel (resolving->cancellable);
}

gboolean pg_target_resolve_now (PgTarget *target, GError **error)
{
  if (!target->has_names)
    return TRUE;
  g_autoptr (GResolver) resolver = g_resolver_get_default ();
  Resolving *resolving = resolving_new (target);
  for (guint i = 0; i < resolving->n; i++) {
    const Place *place = g_ptr_array_index (target->places, i);
    if (!is_name (place))
      continue;
    g_clear_error (&resolving->error);
    GList *list
        = g_resolver_lookup_by_name (resolver, place->host, NULL, &resolving->error);
    take_addresses (list, resolving->found[i]);
    g_resolver_free_addresses (list);
  }
  GError *failure = outcome (resolving);
  resolving_free (resolving);
  if (failure == NULL)
    return TRUE;
  g_propagate_error (error, failure);
  return FALSE;
}

/* ---- connections --------------------------------------------------------------------
 */

/* libpq's lists, from the one that is tried first. */
static void join_found (const PgTarget *target, GString *hosts, GString *addresses,
                        GString *ports)
{
  guint n = target->found->len;

  for (guint i = 0; i < n; i++) {
    const Place *place = g_ptr_array_index (target->found, (target->first + i) % n);
    /* A list may begin with an empty item, which is why lengths do not tell. */
    const char *comma = i > 0 ? "," : "";
    g_string_append_printf (hosts, "%s%s", comma, place->host);
    g_string_append_printf (addresses, "%s%s", comma, place->address);
    g_string_append_printf (ports, "%s%s", comma, place->port);
  }
}

/* Later words win: first what the operator may change, last what has to be so. */
PGconn *pg_target_connect (PgTarget *target, const char *application, guint *first)
{
  const char *words[16], *values[16];
  g_autoptr (GString) hosts = g_string_new (NULL);
  g_autoptr (GString) addresses = g_string_new (NULL);
  g_autoptr (GString) ports = g_string_new (NULL);
  guint n = 0;

  *first = target->first;
  join_found (target, hosts, addresses, ports);
#define WORD(word, value) (words[n] = (word), values[n++] = (value))
  WORD ("gssencmode", "disable"); /* looking for a ticket may wait for servers */
  if (!target->patience) {
    WORD ("keepalives_idle", "10");
    WORD ("keepalives_interval", "5");
    WORD ("keepalives_count", "3");
    WORD ("tcp_user_timeout", "20000");
  }
  WORD ("fallback_application_name", application);
  WORD ("dbname", target->dsn);
  if (target->primary)
    WORD ("target_session_attrs", "primary");
  if (target->found->len > 0) {
    WORD ("host", hosts->str);
    WORD ("hostaddr", addresses->str);
    WORD ("port", ports->str);
  }
  WORD ("client_encoding", "UTF8");
#undef WORD
  words[n] = values[n] = NULL;
  return PQconnectStartParams (words, values, 1);
}

void pg_target_pass_over (PgTarget *target, guint first)
{
  if (first == target->first && target->found->len > 0)
    target->first = (target->first + 1) % target->found->len;
}
