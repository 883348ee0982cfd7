/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A file to which records are appended, each with its length and checksum, and a thread
 * that writes what has gathered and makes it durable with one sync. Knows bytes only;
 * what a record means is the journal's business.
 */
#pragma once

#include <glib.h>

typedef struct _ChJournalFile ChJournalFile;

typedef enum {
  CH_JOURNAL_FACT = 1,  /* a report that a device was or will be answered for */
  CH_JOURNAL_DONE,      /* the fact of this number is in the store */
  CH_JOURNAL_SET_ASIDE, /* not in the journal: a line of the file beside it */
  CH_JOURNAL_EMPTY,     /* nothing is waited for any more: begins anew */
} ChJournalKind;

typedef struct _ChJournalWrite ChJournalWrite;
/* One thing to write; embed it first. */
struct _ChJournalWrite {
  ChJournalWrite *next;
  ChJournalKind kind;
  guint64 number;
  char *text; /* owned; NULL when there is none */
  gsize size;
  /* when it has been tried */
  gint64 offset; /* of the text in the file */
  int error;     /* errno, 0: it is durable */
};

/* @writes: a list in order, for the main loop; any thread. */
typedef void (*ChJournalWritten) (gpointer data, ChJournalWrite *writes, gint64 size,
                                  gint64 sync_us);
/* A fact found in the file that is not done, in order. */
typedef void (*ChJournalFound) (gpointer data, guint64 number, const char *text,
                                gsize size, gint64 offset);

typedef struct {
  guint64 newest; /* number */
  gint64 size;    /* of the file */
  gint64 cut;     /* bytes of a torn tail that were cut off */
  gint64 damaged; /* bytes between good records, kept beside the journal */
} ChJournalState;

/*
 * Opens the first journal of the folder that no other process holds, makes it when there
 * is none, tells what is in it and begins to write.
 */
ChJournalFile *ch_journal_file_open (const char *folder, ChJournalFound found,
                                     ChJournalWritten written, gpointer data,
                                     ChJournalState *state, GError **error);
/* Writes what it was given, then ends the thread. */
void ch_journal_file_close (ChJournalFile *file);
/* @write (transfer full) comes back through the callback. */
void ch_journal_file_append (ChJournalFile *file, ChJournalWrite *write);
/* The text of a fact, NULL when it cannot be read (transfer full). */
char *ch_journal_file_read (ChJournalFile *file, gint64 offset, gsize size);
const char *ch_journal_file_path (ChJournalFile *file);
/* Bytes that a fact takes. */
gsize ch_journal_file_cost (gsize size);
