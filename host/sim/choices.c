/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Firmware variants and disturbances by name. */
#include "options.h"

#include <string.h>

typedef struct {
  const char *name;
  const char *words[4]; /* the first is the default */
  gsize offset;
  const char *help;
} VariantRow;

static const VariantRow variants[] = {
    {"query",
     {"1c", "1d", "status"},
     G_STRUCT_OFFSET (SimVariant, query),
     "what answers a query"},
    {"end-ack",
     {"0c", "echo", "any"},
     G_STRUCT_OFFSET (SimVariant, end_ack),
     "which answer ends the repetition of an end report"},
    {"number",
     {"gateway", "socket", "outlet"},
     G_STRUCT_OFFSET (SimVariant, number),
     "what counts business numbers"},
    {"outlets", {"2", "1"}, G_STRUCT_OFFSET (SimVariant, outlets), "outlets of a socket"},
    {"periodic",
     {"on", "off"},
     G_STRUCT_OFFSET (SimVariant, periodic),
     "status report every 300 s"},
    {"event-record",
     {"on", "off"},
     G_STRUCT_OFFSET (SimVariant, event_record),
     "record 0x1013 at every connect"},
    {"energy-unit",
     {"1wh", "10wh"},
     G_STRUCT_OFFSET (SimVariant, energy_unit),
     "unit of energy on the wire"},
    {"dedup",
     {"on", "off"},
     G_STRUCT_OFFSET (SimVariant, dedup),
     "whether a repeated command is recognised"},
    {"ota-answer",
     {"on", "off"},
     G_STRUCT_OFFSET (SimVariant, ota_answer),
     "whether an upgrade command is answered"},
    {"list",
     {"preset", "empty"},
     G_STRUCT_OFFSET (SimVariant, list),
     "sockets known at start, or none until a network list comes"},
};

static const struct {
  const char *name;
  const char *help;
} disturbs[SIM_DISTURB_N] = {
    {"no-answer", "a command is executed but not answered"},
    {"late-answer", "an answer comes 6 s or 20 s late"},
    {"answer-twice", "an answer is sent twice"},
    {"wrong-serial", "an answer carries another serial"},
    {"start-answer-lost", "a start is executed, its answer lost"},
    {"end-lost", "an end report is never sent"},
    {"end-other-number", "an end report has another number"},
    {"end-previous", "the last end report comes again during the next charge"},
    {"number-restart", "the business numbers begin again at 1"},
    {"twin-sockets", "a status report lists one socket number twice"},
    {"empty-status", "a status report has no containers"},
    {"unknown-items", "an item that nobody knows is added"},
    {"reverse-items", "items come in reverse order"},
    {"inner-too-large", "the inner length is one too large"},
    {"inner-too-small", "the inner length is one too small"},
    {"cut-payload", "the last bytes of the payload are missing"},
    {"bad-checksum", "the checksum is wrong"},
    {"bad-tail", "the tail is wrong"},
    {"bad-length", "the length field is wrong"},
    {"wrong-direction", "the direction byte says down"},
    {"split", "a frame is sent in small pieces with pauses"},
    {"merge", "a frame waits for the next and both go in one segment"},
    {"garbage", "stray bytes come before a frame"},
    {"half-frame", "half a frame is sent, then the gateway reconnects"},
    {"second-connection", "it connects again while the first connection is open"},
    {"change-id", "a frame carries another gateway id"},
};

const char *disturb_name (SimDisturb disturb)
{
  return disturbs[disturb].name;
}

static gboolean bad_value (GError **error, const char *name, const char *value)
{
  g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
               "“%s” is not a value of %s (see --help)", value, name);
  return FALSE;
}

static gboolean bad_name (GError **error, const char *what, const char *name)
{
  g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
               "unknown %s “%s” (see --help)", what, name);
  return FALSE;
}

static gboolean halves (const char *text, char **name, const char **value, GError **error)
{
  const char *equals = strchr (text, '=');
  if (equals == NULL || equals == text || equals[1] == '\0') {
    g_set_error (error, G_OPTION_ERROR, G_OPTION_ERROR_BAD_VALUE,
                 "“%s” should be name=value", text);
    return FALSE;
  }
  *name = g_strndup (text, (gsize) (equals - text));
  *value = equals + 1;
  return TRUE;
}

gboolean variant_parse (SimVariant *variant, const char *text, GError **error)
{
  g_autofree char *name = NULL;
  const char *value;

  if (!halves (text, &name, &value, error))
    return FALSE;
  for (gsize i = 0; i < G_N_ELEMENTS (variants); i++) {
    const VariantRow *row = &variants[i];
    if (strcmp (row->name, name) != 0)
      continue;
    for (guint8 w = 0; w < 4 && row->words[w] != NULL; w++)
      if (g_ascii_strcasecmp (row->words[w], value) == 0) {
        G_STRUCT_MEMBER (guint8, variant, row->offset) = w;
        return TRUE;
      }
    return bad_value (error, name, value);
  }
  return bad_name (error, "variant", name);
}

gboolean disturb_parse (SimDisturbRate *rates, const char *text, GError **error)
{
  g_autofree char *name = NULL;
  const char *value;
  char *end;

  if (!halves (text, &name, &value, error))
    return FALSE;
  for (int i = 0; i < SIM_DISTURB_N; i++) {
    if (strcmp (disturbs[i].name, name) != 0)
      continue;
    if (*value == '@') {
      guint64 nth = g_ascii_strtoull (value + 1, &end, 10);
      if (*end != '\0' || nth == 0 || nth > G_MAXUINT32)
        return bad_value (error, name, value);
      rates[i].nth = (guint32) nth;
      return TRUE;
    }
    double probability = g_ascii_strtod (value, &end);
    if (*end != '\0' || !(probability >= 0 && probability <= 1))
      return bad_value (error, name, value);
    rates[i].probability = probability;
    return TRUE;
  }
  return bad_name (error, "disturbance", name);
}

char *choices_help (void)
{
  GString *text = g_string_new ("Firmware variants (--variant NAME=VALUE, the first "
                                "value is the default):\n");
  for (gsize i = 0; i < G_N_ELEMENTS (variants); i++) {
    g_autofree char *words = g_strjoinv ("|", (char **) variants[i].words);
    g_string_append_printf (text, "  %-14s %-22s %s\n", variants[i].name, words,
                            variants[i].help);
  }
  g_string_append (text, "\nDisturbances (--disturb NAME=0.01 for a probability, NAME=@5 "
                         "for the fifth time only):\n");
  for (int i = 0; i < SIM_DISTURB_N; i++)
    g_string_append_printf (text, "  %-18s %s\n", disturbs[i].name, disturbs[i].help);
  return g_string_free (text, FALSE);
}
