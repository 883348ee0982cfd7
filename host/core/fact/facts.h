/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Work of one device in order. Facts, requests and timers that change its orders become
 * jobs in the device's queue; one runs at a time, and one that waits for the store keeps
 * the next waiting. Memory changes only when the transaction has committed. At 64
 * waiting jobs the reads of the device's connection are paused.
 */
#pragma once

#include "core/device/device.h"

/**
 * ChFactRun:
 *
 * Returns: TRUE when it is done; FALSE when ch_fact_finish() will be called later, until
 *   when the job lives on
 */
typedef gboolean (*ChFactRun) (ChDevice *device, ChFact *fact);

/* One job; embed it first. */
struct _ChFact {
  GList link;
  ChFactRun run;
  void (*free) (ChFact *fact); /* called once, after it is done or discarded */
};

/* Runs it now when nothing waits, else later in order. Takes @fact. */
void ch_fact_enqueue (ChDevice *device, ChFact *fact);
/* The same before all that waits: right after the running job. */
void ch_fact_enqueue_first (ChDevice *device, ChFact *fact);
/* The running job is done: the next begins. */
void ch_fact_finish (ChDevice *device);
/* Frees what waits (the device goes). */
void ch_facts_discard (ChDevice *device);

/* The device of a fact: known, and bound to the connection on which it was said. */
ChDevice *ch_fact_speaker (ChPlugin *self, ChConn conn, const char *id);
/*
 * What a device says is bounded where it enters: figures that no charge can have are cut
 * or, below 0, not said; numbers beyond 16 bits are none.
 */
void ch_fact_bound_figure (gint64 *value, gint64 most);
void ch_fact_bound_number (gint64 *business_no);
#define CH_FACT_WH_MAX G_GINT64_CONSTANT (1000000000)
#define CH_FACT_S_MAX G_GINT64_CONSTANT (1000000000)
#define CH_FACT_CENT_MAX G_GINT64_CONSTANT (1000000000000)
/* When the running fact was said: now, unless it waited in the journal. Wall clock. */
gint64 ch_fact_said_ms (const ChDevice *device);

/* The reads of a connection that its queue had paused go on. */
void ch_facts_resume (ChDevice *device);

/* The port's row is to be written with the next batch. */
void ch_facts_port_dirty (ChDevice *device, ChPort *port);
/* Writes dirty ports and last_seen now. */
/* last_seen is to be written with the next batch. */
void ch_device_seen_dirty (ChDevice *device);
void ch_facts_flush (ChCore *core);
void ch_facts_start (ChCore *core);

/* port.c: a port report that is at the head of its device's queue. */
void ch_port_report (ChDevice *device, const ChPortUpdate *fact);
/* port-sync.c: asks ports that have not reported for long. */
void ch_port_sync_start (ChCore *core);
void ch_device_remove_socket (ChDevice *device, gint socket_no);
