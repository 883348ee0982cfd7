/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* What the files of changes by hand share: device-admin.c, device-retire.c. */
#pragma once

#include "core/core-admin.h"
#include "core/device/device-admin.h"
#include "core/device/device.h"
#include <chargehost/json.h>

typedef enum {
  CH_DEVICE_REGISTER,
  CH_DEVICE_CHANGE,
  CH_DEVICE_RETIRE,
  CH_DEVICE_IMPORT
} ChDeviceJobKind;

/* One device of a job: what is wished, and from run() on what it will be. */
typedef struct {
  char id[CH_DEVICE_ID_SIZE];
  char *protocol, *iccid, *imei, *model;
  json_t *patch;
  gint port_count, lifecycle, enrolment;
  char *tags; /* JSON text */
  gboolean created;
  gboolean changed; /* CH_DEVICE_RETIRE: its row is to be deleted */
  json_t *before;   /* nullable */
} ChDeviceTarget;

typedef struct {
  ChDeviceAdmin *admin;
  ChAsk *ask;
  ChDeviceJobKind kind;
  gboolean dry_run;
  GArray *targets;
  char by[CH_NAME_SIZE];
} ChDeviceJob;

struct _ChDeviceAdmin {
  ChCore *core;
  GQueue jobs; /* of ChDeviceJob, the first one runs */
};

/* The running job is over: it is freed, the next begins. */
void ch_device_job_finish (ChDeviceJob *job);
/* Publishes device.changed, unless both are the same. */
void ch_device_tell (ChDevice *device, const char *field, const char *before,
                     const char *after, const char *by);
/* Life cycle, enrolment, tags. (transfer full) */
json_t *ch_device_state_json (const ChDevice *device);
/* device-retire.c: FALSE when it was answered at once. */
gboolean ch_device_retire_run (ChDeviceJob *job);
