/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Devices by hand: registering, changing, retiring, importing (gateway 1.1, 7.7). One
 * change at a time and one transaction each; memory and live connections follow only
 * when it has committed.
 */
#pragma once

#include "core/core.h"

#define CH_DEVICE_IMPORT_MAX 10000

/* What is said of a device; what is not given stays as it is. */
typedef struct {
  char id[CH_DEVICE_ID_SIZE];
  const char *protocol;             /* nullable; of a device that has none yet */
  const char *iccid, *imei, *model; /* nullable */
  gint port_count;                  /* −1 */
  gint lifecycle, enrolment;        /* ChLifecycle, ChEnrolment; −1 */
  const json_t *tags;               /* nullable; merged, a null removes its tag */
} ChDeviceWish;
#define CH_DEVICE_WISH_INIT                                                              \
  {                                                                                      \
    .port_count = -1, .lifecycle = -1, .enrolment = -1                                   \
  }

const char *ch_lifecycle_name (gint lifecycle);
const char *ch_enrolment_name (gint enrolment);
/* FALSE when there is no such name; the out-value is untouched then. */
gboolean ch_lifecycle_parse (const char *name, gint *lifecycle);
gboolean ch_enrolment_parse (const char *name, gint *enrolment);

/*
 * Wishes are copied. The answers: {"created":bool,"before":object or
 * null,"device":Device} of the first two; {"deleted":bool,"before":object,"device_id"} of
 * the third, which deletes a device only when it has no orders and no connection, and
 * else takes it out of operation; {"total","new","changed","unchanged"} of an import.
 */
void ch_core_register_device (ChPlugin *self, const ChDeviceWish *wish,
                              const ChOrigin *origin, ChCoreDone done,
                              gpointer user_data);
void ch_core_change_device (ChPlugin *self, const ChDeviceWish *wish,
                            const ChOrigin *origin, ChCoreDone done, gpointer user_data);
void ch_core_retire_device (ChPlugin *self, const char *device, const ChOrigin *origin,
                            ChCoreDone done, gpointer user_data);
void ch_core_import_devices (ChPlugin *self, const ChDeviceWish *wishes, guint n_wishes,
                             gboolean dry_run, const ChOrigin *origin, ChCoreDone done,
                             gpointer user_data);

/* Its row is gone: deleted here, or by another instance. */
void ch_device_forget (ChDevice *device);

ChDeviceAdmin *ch_device_admin_new (ChCore *core);
void ch_device_admin_free (ChDeviceAdmin *admin);
extern const ChStatement ch_device_admin_statements[];
