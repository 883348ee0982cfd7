/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Names of commands and of their states, and the general table of gateway 1.6. */
#include "core/outbound/outbound-private.h"

#define SECOND 1000u
#define HOUR (3600u * SECOND)
#define DAY (24u * HOUR)

/* name, priority, waits for a bind, query, { type, ack, sends, life, repeat is safe } */
static const ChCommandDefault DEFAULTS[CH_COMMAND_N] = {
    [CH_COMMAND_STOP_CHARGE] = {"StopCharge",
                                1,
                                FALSE,
                                FALSE,
                                {CH_COMMAND_STOP_CHARGE, 5000, 5, 180 * SECOND, TRUE}},
    [CH_COMMAND_CANCEL_SESSION]
    = {"CancelSession",
       1,
       FALSE,
       FALSE,
       {CH_COMMAND_CANCEL_SESSION, 5000, 5, 60 * SECOND, TRUE}},
    [CH_COMMAND_START_CHARGE] = {"StartCharge",
                                 2,
                                 FALSE,
                                 FALSE,
                                 {CH_COMMAND_START_CHARGE, 5000, 3, 18 * SECOND, FALSE}},
    [CH_COMMAND_QUERY_PORT_STATUS]
    = {"QueryPortStatus",
       2,
       FALSE,
       TRUE,
       {CH_COMMAND_QUERY_PORT_STATUS, 3000, 2, 30 * SECOND, TRUE}},
    [CH_COMMAND_REBOOT]
    = {"Reboot", 3, FALSE, FALSE, {CH_COMMAND_REBOOT, 5000, 2, 60 * SECOND, TRUE}},
    [CH_COMMAND_SET_PARAMS]
    = {"SetParams", 3, TRUE, FALSE, {CH_COMMAND_SET_PARAMS, 5000, 3, DAY, TRUE}},
    [CH_COMMAND_READ_PARAMS] = {"ReadParams",
                                3,
                                FALSE,
                                TRUE,
                                {CH_COMMAND_READ_PARAMS, 5000, 2, 60 * SECOND, TRUE}},
    [CH_COMMAND_MODIFY_SESSION]
    = {"ModifySession",
       2,
       FALSE,
       FALSE,
       {CH_COMMAND_MODIFY_SESSION, 5000, 2, 30 * SECOND, TRUE}},
    [CH_COMMAND_UNLOCK]
    = {"Unlock", 1, FALSE, FALSE, {CH_COMMAND_UNLOCK, 5000, 1, 30 * SECOND, TRUE}},
    [CH_COMMAND_SET_AVAILABILITY] = {"SetAvailability",
                                     3,
                                     TRUE,
                                     FALSE,
                                     {CH_COMMAND_SET_AVAILABILITY, 5000, 2, DAY, TRUE}},
    [CH_COMMAND_SET_POWER_LIMIT]
    = {"SetPowerLimit",
       2,
       FALSE,
       FALSE,
       {CH_COMMAND_SET_POWER_LIMIT, 5000, 2, 60 * SECOND, TRUE}},
    [CH_COMMAND_RESERVE]
    = {"Reserve", 2, FALSE, FALSE, {CH_COMMAND_RESERVE, 5000, 2, 60 * SECOND, TRUE}},
    [CH_COMMAND_CANCEL_RESERVATION]
    = {"CancelReservation",
       2,
       FALSE,
       FALSE,
       {CH_COMMAND_CANCEL_RESERVATION, 5000, 2, 60 * SECOND, TRUE}},
    [CH_COMMAND_CONFIGURE_NETWORK]
    = {"ConfigureNetwork",
       3,
       TRUE,
       FALSE,
       {CH_COMMAND_CONFIGURE_NETWORK, 10000, 3, HOUR, TRUE}},
    [CH_COMMAND_NETWORK_ADD_NODE] = {"NetworkAddNode",
                                     3,
                                     TRUE,
                                     FALSE,
                                     {CH_COMMAND_NETWORK_ADD_NODE, 10000, 3, HOUR, TRUE}},
    [CH_COMMAND_NETWORK_DELETE_NODE]
    = {"NetworkDeleteNode",
       3,
       TRUE,
       FALSE,
       {CH_COMMAND_NETWORK_DELETE_NODE, 10000, 3, HOUR, TRUE}},
    [CH_COMMAND_NETWORK_REFRESH] = {"NetworkRefresh",
                                    3,
                                    TRUE,
                                    FALSE,
                                    {CH_COMMAND_NETWORK_REFRESH, 10000, 3, HOUR, TRUE}},
    [CH_COMMAND_SYNC_TIME]
    = {"SyncTime", 4, FALSE, FALSE, {CH_COMMAND_SYNC_TIME, 3000, 1, 60 * SECOND, TRUE}},
    [CH_COMMAND_TRIGGER_OTA]
    = {"TriggerOTA", 4, TRUE, FALSE, {CH_COMMAND_TRIGGER_OTA, 30000, 3, DAY, TRUE}},
    [CH_COMMAND_SET_VOICE]
    = {"SetVoice", 3, TRUE, FALSE, {CH_COMMAND_SET_VOICE, 5000, 3, DAY, TRUE}},
    [CH_COMMAND_SET_TARIFF]
    = {"SetTariff", 3, TRUE, FALSE, {CH_COMMAND_SET_TARIFF, 5000, 3, DAY, TRUE}},
    [CH_COMMAND_CUSTOM]
    = {"Custom", 3, TRUE, FALSE, {CH_COMMAND_CUSTOM, 5000, 3, DAY, TRUE}},
};

const ChCommandDefault *ch_command_default (ChCommandType type)
{
  if (type <= 0 || type >= CH_COMMAND_N)
    return NULL;
  return &DEFAULTS[type];
}

const char *ch_command_type_name (ChCommandType type)
{
  const ChCommandDefault *def = ch_command_default (type);
  return def != NULL ? def->name : "";
}

ChCommandType ch_command_type_parse (const char *name)
{
  if (name == NULL)
    return 0;
  for (guint type = 1; type < CH_COMMAND_N; type++) {
    if (g_str_equal (DEFAULTS[type].name, name))
      return (ChCommandType) type;
  }
  /* the reference's other name */
  return g_str_equal (name, "GetParams") ? CH_COMMAND_READ_PARAMS : 0;
}

const char *ch_command_state_name (ChCommandState state)
{
  static const char *const names[] = {
      [CH_COMMAND_QUEUED] = "queued",
      [CH_COMMAND_SENT] = "sent",
      [CH_COMMAND_ACKED] = "acked",
      [CH_COMMAND_REJECTED] = "rejected",
      [CH_COMMAND_NO_ACK] = "no_ack",
      [CH_COMMAND_NOT_SENT] = "not_sent",
      [CH_COMMAND_EXPIRED] = "expired",
      [CH_COMMAND_CANCELLED] = "cancelled",
      [CH_COMMAND_UNSUPPORTED] = "unsupported",
  };
  return (guint) state < G_N_ELEMENTS (names) ? names[state] : "";
}

const char *ch_attempt_outcome_name (ChAttemptOutcome outcome)
{
  static const char *const names[] = {
      [CH_ATTEMPT_OPEN] = "open",
      [CH_ATTEMPT_ACKED] = "acked",
      [CH_ATTEMPT_REJECTED] = "rejected",
      [CH_ATTEMPT_NO_ACK] = "no_ack",
      [CH_ATTEMPT_LOST] = "connection_lost",
  };
  return (guint) outcome < G_N_ELEMENTS (names) ? names[outcome] : "";
}

guint ch_outbound_priority (ChCommandType type)
{
  const ChCommandDefault *def = ch_command_default (type);
  return def != NULL ? def->priority : 3;
}
