/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Commands from the core to a device (gateway 1.6, 4). */
#pragma once

#include <chargehost/types.h>
#include <jansson.h>

G_BEGIN_DECLS

typedef enum {
  CH_COMMAND_STOP_CHARGE = 1,
  CH_COMMAND_CANCEL_SESSION,
  CH_COMMAND_START_CHARGE,
  CH_COMMAND_QUERY_PORT_STATUS,
  CH_COMMAND_REBOOT,
  CH_COMMAND_SET_PARAMS,
  CH_COMMAND_READ_PARAMS,
  CH_COMMAND_MODIFY_SESSION,
  CH_COMMAND_UNLOCK,
  CH_COMMAND_SET_AVAILABILITY,
  CH_COMMAND_SET_POWER_LIMIT,
  CH_COMMAND_RESERVE,
  CH_COMMAND_CANCEL_RESERVATION,
  CH_COMMAND_CONFIGURE_NETWORK,
  CH_COMMAND_NETWORK_ADD_NODE,
  CH_COMMAND_NETWORK_DELETE_NODE,
  CH_COMMAND_NETWORK_REFRESH,
  CH_COMMAND_SYNC_TIME,
  CH_COMMAND_TRIGGER_OTA,
  CH_COMMAND_SET_VOICE,
  CH_COMMAND_SET_TARIFF,
  CH_COMMAND_CUSTOM, /* driver-specific; payload member "name" says which */
  CH_COMMAND_N,
} ChCommandType;

/* Returns: (transfer none): `StartCharge`, …; "" when @type is none */
const char *ch_command_type_name (ChCommandType type);
/* Returns: the type of a name, 0 when there is none */
ChCommandType ch_command_type_parse (const char *name);

/* State of a command; everything from ACKED on is final (gateway 4.11). */
typedef enum {
  CH_COMMAND_QUEUED = 0,
  CH_COMMAND_SENT,
  CH_COMMAND_ACKED,
  CH_COMMAND_REJECTED,
  CH_COMMAND_NO_ACK,
  CH_COMMAND_NOT_SENT, /* attempt only: could not be written; the core tries again */
  CH_COMMAND_EXPIRED,
  CH_COMMAND_CANCELLED,
  CH_COMMAND_UNSUPPORTED,
} ChCommandState;

const char *ch_command_state_name (ChCommandState state);

/**
 * ChCommand:
 * @id: `cmd_` and a ULID
 * @type: what to do
 * @device: device id
 * @socket_no: socket
 * @port_no: port
 * @order_no: order, or empty
 * @business_no: order's short number, 0 when none
 * @wire_order: order's key on the wire, or empty
 * @priority: 1 to 5
 * @attempt: 1 for the first sending
 * @msg_id: message number given by the core (width @msg_id_bits of the protocol); the
 *   same for all attempts
 * @payload: (transfer none): fields of gateway 1.6 for @type
 *
 * One attempt, valid during the callback.
 */
typedef struct {
  const char *id;
  ChCommandType type;
  const char *device;
  gint socket_no;
  gint port_no;
  const char *order_no;
  guint16 business_no;
  const char *wire_order;
  guint priority;
  guint attempt;
  guint32 msg_id;
  const json_t *payload;
} ChCommand;

/**
 * ChCommandResult:
 * @command_id: (nullable): or %NULL to find it by @device and @msg_id
 * @device: device id
 * @msg_id: message number that the device repeated
 * @state: ACKED, REJECTED or UNSUPPORTED
 * @device_code: code of the device, %CH_UNSET if none
 * @detail: (nullable): text or JSON of the answer, for the caller
 *
 * An acknowledgement, as the protocol understood it.
 */
typedef struct {
  const char *command_id;
  const char *device;
  guint32 msg_id;
  ChCommandState state;
  gint64 device_code;
  const char *detail;
} ChCommandResult;

/**
 * ch_command_result:
 * @self: the protocol
 * @conn: connection on which it came
 * @result: copied
 *
 * Late and repeated results are counted and handled by the core.
 *
 * Returns: whether it belonged to a command in flight
 */
gboolean ch_command_result (ChPlugin *self, ChConn conn, const ChCommandResult *result);

/**
 * ch_command_in_flight:
 * @self: the protocol
 * @device: device id
 * @msg_id: message number
 * @command: (out caller-allocates): filled; strings live until the main loop turns
 *
 * Returns: whether a command with this number waits for its acknowledgement
 */
gboolean ch_command_in_flight (ChPlugin *self, const char *device, guint32 msg_id,
                               ChCommand *command);

G_END_DECLS
