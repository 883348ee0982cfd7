/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* chargehostctl: a friendly client of the daemon's D-Bus interfaces. */
#pragma once

#include <gio/gio.h>
#include <jansson.h>

/* How a run ends, told in --help. */
typedef enum {
  CTL_OK = 0,
  CTL_FAILED = 1,  /* the daemon said no */
  CTL_USAGE = 2,   /* the command line makes no sense */
  CTL_NO_HOST = 3, /* no bus, or no daemon on it */
  CTL_DENIED = 4,
} CtlExit;

/* What there is to call: the daemon itself, twice, and its objects by their names. */
typedef enum { CTL_HOST, CTL_ADMIN, CTL_DEVICE, CTL_ORDER, CTL_PLUGIN } CtlKind;

typedef struct _CtlCommand CtlCommand;

typedef struct {
  char *bus;      /* system, session or an address */
  char *instance; /* server id of one of several; NULL: whoever has the name */
  gboolean json;  /* for programs */
  GDBusConnection *connection;
  const CtlCommand *command; /* that runs */
} Ctl;

/* One command: its words, what follows, what it does. */
struct _CtlCommand {
  const char *words; /* "devices show" */
  const char *args;  /* "DEVICE [JSON]": what must stand there, then what may */
  const char *hint;  /* options worth showing in the overview */
  const char *summary;
  CtlExit (*run) (Ctl *ctl, int argc, char **argv); /* argv[0] is the last word */
  CtlKind kind; /* for runs that serve several commands: what they call */
  const char *method;
};

extern const CtlCommand ctl_commands[]; /* ends with words NULL */

/* client.c: calls; on NULL the error has been printed and *status is set. @name: of the
   object; NULL for the daemon */
GVariant *ctl_call (Ctl *ctl, CtlKind kind, const char *name, const char *method,
                    GVariant *parameters, const char *reply_type, CtlExit *status);
GVariant *ctl_call_at (Ctl *ctl, const char *path, const char *interface,
                       const char *method, GVariant *parameters, const char *reply_type,
                       CtlExit *status);
/* The message bus itself. */
GVariant *ctl_bus_call (Ctl *ctl, const char *method, GVariant *parameters,
                        const char *reply_type, CtlExit *status);
/* The name of the daemon that is asked. (transfer full) */
char *ctl_name (const Ctl *ctl);
/* Undoes what names and paths need: _2d is -. (transfer full) */
char *ctl_unescape (const char *element);
/* One whose answer is one JSON text. (transfer full) */
json_t *ctl_json_call (Ctl *ctl, CtlKind kind, const char *name, const char *method,
                       GVariant *parameters, CtlExit *status);
/* The same, printed. */
CtlExit ctl_print_call (Ctl *ctl, CtlKind kind, const char *name, const char *method,
                        GVariant *parameters);
/* One without an answer. */
CtlExit ctl_plain_call (Ctl *ctl, CtlKind kind, const char *name, const char *method,
                        GVariant *parameters);
/* All properties of the kind's interface. (transfer full) */
json_t *ctl_properties (Ctl *ctl, CtlKind kind, const char *name, CtlExit *status);
gboolean ctl_connect (Ctl *ctl, CtlExit *status);
/* The path of an object; NULL: of the daemon itself. (transfer full) */
char *ctl_path (CtlKind kind, const char *name);
/* The name of a kind's interface. */
const char *ctl_interface (CtlKind kind);

/*
 * options.c: takes --name VALUE and --flag out of the arguments and counts what is left
 * against the command's args. With --help it prints and ends the program.
 */
CtlExit ctl_options (Ctl *ctl, GOptionEntry *entries, int *argc, char ***argv);
/* "chargehostctl devices show: …" on standard error; gives CTL_USAGE */
CtlExit ctl_misuse (Ctl *ctl, const char *format, ...) G_GNUC_PRINTF (2, 3);

/* print.c: everything goes to standard output as UTF-8, whatever the locale. */
typedef struct _CtlTable CtlTable;
void ctl_print (const char *format, ...) G_GNUC_PRINTF (1, 2);
/* Text from outside without control characters, which terminals obey. (transfer full) */
char *ctl_clean (const char *text);
CtlTable *ctl_table_new (const char *const *heads);
void ctl_table_row (CtlTable *table, ...) G_GNUC_NULL_TERMINATED; /* texts, copied */
void ctl_table_cell (CtlTable *table, const char *text); /* the next one, copied */
void ctl_table_print (CtlTable *table);                  /* and frees */
void ctl_print_json (const json_t *json);
/* Prints an answer of the daemon: the JSON itself, or its members as lines. */
void ctl_print_object (Ctl *ctl, const json_t *json);
/* A scalar or a list of scalars on one line; "-" for nothing. (transfer full) */
char *ctl_line (const json_t *value);
const char *ctl_text (const json_t *object, const char *name); /* "-" when absent */
char *ctl_number (const json_t *object, const char *name, const char *unit);
json_t *ctl_variant_json (GVariant *value);
/* An a{sv} as an object; names like UptimeSeconds become uptime_seconds. */
json_t *ctl_properties_json (GVariant *properties);
/* Writes out; FALSE when nobody reads any more or nothing can be written. */
gboolean ctl_flush (void);

/*
 * monitor.c: signals of one kind, from the moment @begin has asked for them until Ctrl-C,
 * the end of the daemon or of who reads, or ctl_stream_end().
 */
typedef struct _CtlStream CtlStream;
struct _CtlStream {
  Ctl *ctl;
  CtlKind kind;
  const char *object; /* whose signals; NULL: the daemon's own */
  const char *signal;
  void (*begin) (CtlStream *stream); /* may set status; again for another instance */
  void (*got) (CtlStream *stream, GVariant *parameters);
  CtlExit status;
  GMainLoop *loop;
  char *name; /* of the daemon on the bus */
};
CtlExit ctl_stream_run (CtlStream *stream);
void ctl_stream_end (CtlStream *stream);

/* simple.c: commands of one call, which the table names: its answer printed; without an
   answer; with the word as its parameter; with --reason as its parameter. */
CtlExit ctl_ask (Ctl *ctl, int argc, char **argv);
CtlExit ctl_tell (Ctl *ctl, int argc, char **argv);
CtlExit ctl_ask_with_word (Ctl *ctl, int argc, char **argv);
CtlExit ctl_ask_with_reason (Ctl *ctl, int argc, char **argv);

/* The others, one file a subject. */
CtlExit ctl_instances (Ctl *ctl, int argc, char **argv);
CtlExit ctl_status (Ctl *ctl, int argc, char **argv);
CtlExit ctl_drain (Ctl *ctl, int argc, char **argv);
CtlExit ctl_log_level (Ctl *ctl, int argc, char **argv);
CtlExit ctl_config (Ctl *ctl, int argc, char **argv);
CtlExit ctl_backup (Ctl *ctl, int argc, char **argv);
CtlExit ctl_store_migrate (Ctl *ctl, int argc, char **argv);
CtlExit ctl_store_copy (Ctl *ctl, int argc, char **argv);
CtlExit ctl_key_create (Ctl *ctl, int argc, char **argv);
CtlExit ctl_admin_list (Ctl *ctl, int argc, char **argv);
CtlExit ctl_bans_add (Ctl *ctl, int argc, char **argv);
CtlExit ctl_queue_resend (Ctl *ctl, int argc, char **argv);
CtlExit ctl_config_change (Ctl *ctl, int argc, char **argv);
CtlExit ctl_devices_import (Ctl *ctl, int argc, char **argv);
CtlExit ctl_plugins_list (Ctl *ctl, int argc, char **argv);
CtlExit ctl_plugins_show (Ctl *ctl, int argc, char **argv);
CtlExit ctl_devices_list (Ctl *ctl, int argc, char **argv);
CtlExit ctl_devices_watch (Ctl *ctl, int argc, char **argv);
CtlExit ctl_devices_reboot (Ctl *ctl, int argc, char **argv);
CtlExit ctl_devices_send (Ctl *ctl, int argc, char **argv);
CtlExit ctl_devices_frames (Ctl *ctl, int argc, char **argv);
CtlExit ctl_devices_stop_port (Ctl *ctl, int argc, char **argv);
CtlExit ctl_devices_register (Ctl *ctl, int argc, char **argv);
CtlExit ctl_devices_change (Ctl *ctl, int argc, char **argv);
CtlExit ctl_charge_start (Ctl *ctl, int argc, char **argv);
CtlExit ctl_charge_stop (Ctl *ctl, int argc, char **argv);
CtlExit ctl_orders_list (Ctl *ctl, int argc, char **argv);
CtlExit ctl_orders_events (Ctl *ctl, int argc, char **argv);
CtlExit ctl_orders_timeline (Ctl *ctl, int argc, char **argv);
CtlExit ctl_orders_force_settle (Ctl *ctl, int argc, char **argv);
CtlExit ctl_orders_force_fail (Ctl *ctl, int argc, char **argv);
CtlExit ctl_monitor (Ctl *ctl, int argc, char **argv);
CtlExit ctl_decode (Ctl *ctl, int argc, char **argv);
