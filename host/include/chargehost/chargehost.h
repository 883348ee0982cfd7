/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Everything a plugin may use. */
#pragma once

#include <chargehost/bus.h>
#include <chargehost/clock.h>
#include <chargehost/command.h>
#include <chargehost/config.h>
#include <chargehost/conn.h>
#include <chargehost/core.h>
#include <chargehost/error.h>
#include <chargehost/events.h>
#include <chargehost/facts.h>
#include <chargehost/http.h>
#include <chargehost/id.h>
#include <chargehost/json.h>
#include <chargehost/kv.h>
#include <chargehost/log.h>
#include <chargehost/metrics.h>
#include <chargehost/plugin.h>
#include <chargehost/protocol.h>
#include <chargehost/slab.h>
#include <chargehost/store.h>
#include <chargehost/stream.h>
#include <chargehost/types.h>
