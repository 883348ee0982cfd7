/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The command line: what it says, checked. */
#pragma once

#include <glib.h>

typedef enum { SIM_LOG_AUTO = 0, SIM_LOG_HUMAN, SIM_LOG_JSON, SIM_LOG_NONE } SimLog;

typedef enum { SIM_QUERY_1C = 0, SIM_QUERY_1D, SIM_QUERY_STATUS } SimQueryForm;
typedef enum { SIM_ACK_0C = 0, SIM_ACK_ECHO, SIM_ACK_ANY } SimAckForm;
typedef enum {
  SIM_NUMBER_GATEWAY = 0,
  SIM_NUMBER_SOCKET,
  SIM_NUMBER_OUTLET
} SimNumbering;

/* In what firmwares differ; each value is an index into the words of its variant. */
typedef struct {
  guint8 query;        /* SimQueryForm */
  guint8 end_ack;      /* SimAckForm */
  guint8 number;       /* SimNumbering */
  guint8 outlets;      /* 0 = two, 1 = one */
  guint8 periodic;     /* 0 = on */
  guint8 event_record; /* 0 = on */
  guint8 energy_unit;  /* 0 = 1 Wh, 1 = 10 Wh */
  guint8 dedup;        /* 0 = on */
  guint8 ota_answer;   /* 0 = on */
  guint8 list;         /* 0 = preset, 1 = empty until the server sends one */
} SimVariant;

typedef enum {
  SIM_DISTURB_NO_ANSWER = 0,
  SIM_DISTURB_LATE_ANSWER,
  SIM_DISTURB_ANSWER_TWICE,
  SIM_DISTURB_WRONG_SERIAL,
  SIM_DISTURB_START_ANSWER_LOST,
  SIM_DISTURB_END_LOST,
  SIM_DISTURB_END_OTHER_NUMBER,
  SIM_DISTURB_END_PREVIOUS,
  SIM_DISTURB_NUMBER_RESTART,
  SIM_DISTURB_TWIN_SOCKETS,
  SIM_DISTURB_EMPTY_STATUS,
  SIM_DISTURB_UNKNOWN_ITEMS,
  SIM_DISTURB_REVERSE_ITEMS,
  SIM_DISTURB_INNER_TOO_LARGE,
  SIM_DISTURB_INNER_TOO_SMALL,
  SIM_DISTURB_CUT_PAYLOAD,
  SIM_DISTURB_BAD_CHECKSUM,
  SIM_DISTURB_BAD_TAIL,
  SIM_DISTURB_BAD_LENGTH,
  SIM_DISTURB_WRONG_DIRECTION,
  SIM_DISTURB_SPLIT,
  SIM_DISTURB_MERGE,
  SIM_DISTURB_GARBAGE,
  SIM_DISTURB_HALF_FRAME,
  SIM_DISTURB_SECOND_CONNECTION,
  SIM_DISTURB_CHANGE_ID,
  SIM_DISTURB_N
} SimDisturb;

typedef struct {
  double probability;
  guint32 nth; /* 0 = by probability */
} SimDisturbRate;

typedef struct {
  char *server;
  char *host;
  guint16 port;
  guint32 bind_first; /* IPv4 source addresses, host order; 0 = not bound */
  guint32 bind_last;
  int gateways;
  int sockets;
  guint64 first_id; /* 14 decimal digits */
  char *iccid;
  char *firmware;
  int signal;
  int first_number;
  double time_scale;
  gint64 seed;
  double rate;
  char *state_dir;
  SimLog log;
  double duration_s;
  double plug;
  int battery_wh;
  double power_w;
  gboolean quiet;
  gboolean strict;
  char *control_socket;
  char *summary_json;
  char *ack_log;
  int flood;
  double answer_limit_s;
  int min_gap_ms;
  SimVariant variant;
  SimDisturbRate disturb[SIM_DISTURB_N];
} SimOptions;

/**
 * options_parse:
 * @argv: NULL-terminated, with the program's name first; not changed
 * @options: (out caller-allocates): cleared with options_clear() also on failure
 * @error: what is wrong, in words for the user
 */
gboolean options_parse (char **argv, SimOptions *options, GError **error);
void options_clear (SimOptions *options);

/* `name=value`, `name=probability` and `name=@n`; TRUE or @error. */
gboolean variant_parse (SimVariant *variant, const char *text, GError **error);
gboolean disturb_parse (SimDisturbRate *rates, const char *text, GError **error);
/* Two lists for --help. (transfer full) */
char *choices_help (void);
const char *disturb_name (SimDisturb disturb);
