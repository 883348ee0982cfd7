/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "core/fact/fact-record.h"
#include <chargehost/json.h>

#include <string.h>

typedef enum { WORD, LONG, TEXT, OBJECT } Kind;

typedef struct {
  const char *name;
  Kind kind;
  gsize offset;
} Field;

#define F(type, member, kind)                                                            \
  {                                                                                      \
#member, kind, G_STRUCT_OFFSET(type, member)                                         \
  }

G_STATIC_ASSERT (sizeof (ChEndReason) == sizeof (gint));

static const Field STARTED[] = {
    F (ChOrderStarted, socket_no, WORD),
    F (ChOrderStarted, port_no, WORD),
    F (ChOrderStarted, business_no, LONG),
    F (ChOrderStarted, wire_order, TEXT),
    F (ChOrderStarted, order_no, TEXT),
    F (ChOrderStarted, charge_mode, LONG),
    F (ChOrderStarted, target_duration_s, LONG),
    F (ChOrderStarted, target_energy_wh, LONG),
    F (ChOrderStarted, card_no, TEXT),
    F (ChOrderStarted, started_at_ms, LONG),
    F (ChOrderStarted, meter_start_wh, LONG),
    F (ChOrderStarted, metadata, OBJECT),
};

static const Field ENDED[] = {
    F (ChOrderEnded, socket_no, WORD),      F (ChOrderEnded, port_no, WORD),
    F (ChOrderEnded, business_no, LONG),    F (ChOrderEnded, wire_order, TEXT),
    F (ChOrderEnded, order_no, TEXT),       F (ChOrderEnded, energy_wh, LONG),
    F (ChOrderEnded, duration_s, LONG),     F (ChOrderEnded, end_reason, WORD),
    F (ChOrderEnded, raw_reason, LONG),     F (ChOrderEnded, raw_status, LONG),
    F (ChOrderEnded, power_mw, LONG),       F (ChOrderEnded, amount_cent, LONG),
    F (ChOrderEnded, card_no, TEXT),        F (ChOrderEnded, next_port_status, LONG),
    F (ChOrderEnded, occurred_at_ms, LONG), F (ChOrderEnded, inferred, WORD),
    F (ChOrderEnded, dedup_key, TEXT),      F (ChOrderEnded, metadata, OBJECT),
};

/* What is not set is not written. A text that is not UTF-8 has its bytes replaced. */
static json_t *value_of (const Field *field, gconstpointer fact)
{
  gconstpointer at = (const guint8 *) fact + field->offset;
  switch (field->kind) {
  case WORD:
    return json_integer (*(const gint *) at);
  case LONG:
    return *(const gint64 *) at != CH_UNSET ? json_integer (*(const gint64 *) at) : NULL;
  case TEXT: {
    const char *text = *(const char *const *) at;
    g_autofree char *valid = text != NULL ? g_utf8_make_valid (text, -1) : NULL;
    return valid != NULL ? json_string (valid) : NULL;
  }
  default: {
    const json_t *object = *(const json_t *const *) at;
    return object != NULL ? json_deep_copy (object) : NULL;
  }
  }
}

static json_t *record_of (const char *kind, const char *device, gint64 said_ms,
                          const Field *fields, gsize n, gconstpointer fact)
{
  json_t *record = json_object ();
  json_object_set_new (record, "report", json_string (kind));
  json_object_set_new (record, "device", json_string (device));
  json_object_set_new (record, "said_ms", json_integer (said_ms));
  for (gsize i = 0; i < n; i++) {
    json_t *value = value_of (&fields[i], fact);
    if (value != NULL)
      json_object_set_new (record, fields[i].name, value);
  }
  return record;
}

json_t *ch_fact_record_started (const char *device, const ChOrderStarted *fact,
                                gint64 said_ms)
{
  return record_of ("started", device, said_ms, STARTED, G_N_ELEMENTS (STARTED), fact);
}

json_t *ch_fact_record_ended (const char *device, const ChOrderEnded *fact,
                              gint64 said_ms)
{
  return record_of ("ended", device, said_ms, ENDED, G_N_ELEMENTS (ENDED), fact);
}

static void take (const Field *field, const json_t *value, gpointer fact)
{
  gpointer at = (guint8 *) fact + field->offset;
  if (field->kind == WORD)
    *(gint *) at = (gint) json_integer_value (value);
  else if (field->kind == LONG)
    *(gint64 *) at = json_is_integer (value) ? json_integer_value (value) : CH_UNSET;
  else if (field->kind == TEXT)
    *(const char **) at = json_string_value (value);
  else
    *(const json_t **) at = json_is_object (value) ? value : NULL;
}

static gboolean read_record (const json_t *record, const char *kind, gint64 *said_ms,
                             const Field *fields, gsize n, gpointer fact)
{
  if (g_strcmp0 (json_string_value (json_object_get (record, "report")), kind) != 0)
    return FALSE;
  *said_ms = json_integer_value (json_object_get (record, "said_ms"));
  for (gsize i = 0; i < n; i++)
    take (&fields[i], json_object_get (record, fields[i].name), fact);
  return *said_ms > 0;
}

gboolean ch_fact_read_started (const json_t *record, ChOrderStarted *fact,
                               gint64 *said_ms)
{
  return read_record (record, "started", said_ms, STARTED, G_N_ELEMENTS (STARTED), fact);
}

gboolean ch_fact_read_ended (const json_t *record, ChOrderEnded *fact, gint64 *said_ms)
{
  return read_record (record, "ended", said_ms, ENDED, G_N_ELEMENTS (ENDED), fact);
}
