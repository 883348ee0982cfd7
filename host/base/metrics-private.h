/* SPDX-License-Identifier: LGPL-2.1-or-later */
#pragma once

#include "base/owner.h"
#include <chargehost/metrics.h>

ChMetrics *ch_metrics_new (void);
void ch_metrics_free (ChMetrics *metrics);
G_DEFINE_AUTOPTR_CLEANUP_FUNC (ChMetrics, ch_metrics_free)

/* Runs the collectors; the text of Prometheus' exposition format 0.0.4. (transfer full)
 */
GString *ch_metrics_render (ChMetrics *metrics);
/* Registers process_* and chargehost_build_info. */
void ch_metrics_add_process (ChPlugin *self);
