/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The note reader on files that are made here byte by byte: good ones of both widths,
 * each way to be wrong, every cut and a few thousand flips.
 */
#include "plugin/plugins-private.h"
#include <chargehost/error.h>
#include <glib/gstdio.h>

#include <elf.h>
#include <string.h>
#include <unistd.h>

static char *directory;

static const ChPluginNote good_note = {
    .name_size = sizeof CH_PLUGIN_NOTE_NAME,
    .desc_size = 12,
    .type = CH_PLUGIN_NOTE_TYPE,
    .name = CH_PLUGIN_NOTE_NAME,
    .magic = CH_PLUGIN_MAGIC,
    .info_size = sizeof (ChPluginInfo),
    .abi_major = CH_ABI_MAJOR,
    .abi_minor = CH_ABI_MINOR,
};

typedef enum { IN_SEGMENT, IN_SECTION } Where;

#define NOTE_AT 512

/* A foreign note first, then ours. */
static gsize put_notes (guint8 *at)
{
  const guint32 foreign[] = {4, 5, 3, 0x00554e47, 0x11111111, 0x22};
  memcpy (at, foreign, sizeof foreign);
  memcpy (at + sizeof foreign, &good_note, sizeof good_note);
  return sizeof foreign + sizeof good_note;
}

static GByteArray *make_wide (Where where)
{
  GByteArray *file = g_byte_array_new ();
  g_byte_array_set_size (file, 1024);
  memset (file->data, 0, file->len);
  gsize size = put_notes (file->data + NOTE_AT);
  Elf64_Ehdr header = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, 1}};
  if (where == IN_SEGMENT) {
    Elf64_Phdr segments[2]
        = {{.p_type = PT_LOAD, .p_filesz = 64},
           {.p_type = PT_NOTE, .p_offset = NOTE_AT, .p_filesz = size, .p_align = 4}};
    header.e_phoff = 64;
    header.e_phentsize = sizeof segments[0];
    header.e_phnum = 2;
    memcpy (file->data + 64, segments, sizeof segments);
  } else {
    Elf64_Shdr sections[2] = {
        {.sh_type = SHT_NULL},
        {.sh_type = SHT_NOTE, .sh_offset = NOTE_AT, .sh_size = size, .sh_addralign = 4}};
    header.e_shoff = 128;
    header.e_shentsize = sizeof sections[0];
    header.e_shnum = 2;
    memcpy (file->data + 128, sections, sizeof sections);
  }
  memcpy (file->data, &header, sizeof header);
  return file;
}

static GByteArray *make_narrow (Where where)
{
  GByteArray *file = g_byte_array_new ();
  g_byte_array_set_size (file, 1024);
  memset (file->data, 0, file->len);
  gsize size = put_notes (file->data + NOTE_AT);
  Elf32_Ehdr header = {.e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS32, ELFDATA2LSB, 1}};
  if (where == IN_SEGMENT) {
    Elf32_Phdr segment = {
        .p_type = PT_NOTE, .p_offset = NOTE_AT, .p_filesz = (guint32) size, .p_align = 4};
    header.e_phoff = 64;
    header.e_phentsize = sizeof segment;
    header.e_phnum = 1;
    memcpy (file->data + 64, &segment, sizeof segment);
  } else {
    Elf32_Shdr section = {.sh_type = SHT_NOTE,
                          .sh_offset = NOTE_AT,
                          .sh_size = (guint32) size,
                          .sh_addralign = 4};
    header.e_shoff = 128;
    header.e_shentsize = sizeof section;
    header.e_shnum = 1;
    memcpy (file->data + 128, &section, sizeof section);
  }
  memcpy (file->data, &header, sizeof header);
  return file;
}

static gboolean read_bytes (const guint8 *bytes, gsize size, ChPluginNote *note,
                            GError **error)
{
  g_autofree char *path = g_build_filename (directory, "made.so", NULL);
  g_unlink (path);
  g_assert_true (g_file_set_contents_full (path, (const char *) bytes, (gssize) size,
                                           G_FILE_SET_CONTENTS_NONE, 0600, NULL));
  return ch_plugin_note_read (path, note, error);
}

static void test_good (void)
{
  for (guint i = 0; i < 4; i++) {
    g_autoptr (GByteArray) file = i < 2 ? make_wide (i ? IN_SECTION : IN_SEGMENT)
                                        : make_narrow (i - 2 ? IN_SECTION : IN_SEGMENT);
    g_autoptr (GError) error = NULL;
    ChPluginNote note;
    g_assert_true (read_bytes (file->data, file->len, &note, &error));
    g_assert_no_error (error);
    g_assert_true (memcmp (&note, &good_note, sizeof note) == 0);
    g_assert_true (ch_plugin_note_check (&note, "made.so", &error));
  }
}

static void test_cut (void)
{
  for (guint i = 0; i < 2; i++) {
    g_autoptr (GByteArray) file = i ? make_narrow (IN_SECTION) : make_wide (IN_SEGMENT);
    for (gsize size = 0; size < file->len; size += size < 600 ? 1 : 50) {
      g_autoptr (GError) error = NULL;
      ChPluginNote note;
      if (read_bytes (file->data, size, &note, &error))
        g_assert_cmpuint (size, >=, NOTE_AT + 24 + sizeof note);
      else
        g_assert_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_NO_NOTE);
    }
  }
}

/* Result or error, never both, and nothing is read outside (the sanitizer looks). */
static void test_flips (void)
{
  g_autoptr (GRand) rand = g_rand_new_with_seed (20240106);
  for (guint i = 0; i < 3000; i++) {
    g_autoptr (GByteArray) file = i % 2 ? make_wide (i % 4 < 2 ? IN_SECTION : IN_SEGMENT)
                                        : make_narrow (IN_SEGMENT);
    for (guint flip = 0; flip < 1 + i % 8; flip++) {
      guint area = (guint) g_rand_int_range (rand, 0, 3);
      guint at = area == 0 ? 64 : area == 1 ? 200 : NOTE_AT + 80;
      guint low = area == 2 ? NOTE_AT : 4;
      file->data[(guint) g_rand_int_range (rand, (gint) low, (gint) at)]
          = (guint8) (i % 3 ? g_rand_int (rand) : 0xff);
    }
    g_autoptr (GError) error = NULL;
    ChPluginNote note;
    gboolean ok = read_bytes (file->data, file->len, &note, &error);
    g_assert_true (ok == (error == NULL));
  }
}

static void test_not_a_file (void)
{
  g_autoptr (GError) error = NULL;
  ChPluginNote note;
  g_autofree char *fifo = g_build_filename (directory, "fifo.so", NULL);
  g_assert_cmpint (mkfifo (fifo, 0600), ==, 0);
  g_assert_false (ch_plugin_note_read (fifo, &note, &error));
  g_assert_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_NOT_FOUND);
  g_clear_error (&error);
  g_assert_false (ch_plugin_note_read (directory, &note, &error));
  g_assert_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_NOT_FOUND);
  g_clear_error (&error);
  g_assert_false (ch_plugin_note_read ("/nonexistent.so", &note, &error));
  g_assert_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_NOT_FOUND);
  g_unlink (fifo);
}

static void test_own_program (void)
{
  g_autoptr (GError) error = NULL;
  ChPluginNote note;
  g_assert_false (ch_plugin_note_read ("/proc/self/exe", &note, &error));
  g_assert_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_NO_NOTE);
}

static void test_versions (void)
{
  static const struct {
    guint32 magic, size;
    guint16 major, minor;
    gint code; /* −1: accepted */
  } cases[] = {
      {CH_PLUGIN_MAGIC, sizeof (ChPluginInfo), CH_ABI_MAJOR, CH_ABI_MINOR, -1},
      {CH_PLUGIN_MAGIC, sizeof (ChPluginInfo) + 64, CH_ABI_MAJOR, CH_ABI_MINOR, -1},
      {0, sizeof (ChPluginInfo), CH_ABI_MAJOR, CH_ABI_MINOR,
       CH_PLUGIN_ERROR_BAD_DESCRIPTOR},
      {CH_PLUGIN_MAGIC, CH_PLUGIN_INFO_SIZE_1_0 - 1, CH_ABI_MAJOR, CH_ABI_MINOR,
       CH_PLUGIN_ERROR_BAD_DESCRIPTOR},
      {CH_PLUGIN_MAGIC, sizeof (ChPluginInfo), CH_ABI_MAJOR - 1, 0,
       CH_PLUGIN_ERROR_ABI_MAJOR},
      {CH_PLUGIN_MAGIC, sizeof (ChPluginInfo), CH_ABI_MAJOR + 1, 0,
       CH_PLUGIN_ERROR_ABI_MAJOR},
      {CH_PLUGIN_MAGIC, sizeof (ChPluginInfo), CH_ABI_MAJOR, CH_ABI_MINOR + 1,
       CH_PLUGIN_ERROR_ABI_MINOR},
      /* The version is looked at before the size: the size of another major says nothing.
       */
      {CH_PLUGIN_MAGIC, 8, CH_ABI_MAJOR + 1, 0, CH_PLUGIN_ERROR_ABI_MAJOR},
  };
  for (guint i = 0; i < G_N_ELEMENTS (cases); i++) {
    g_autoptr (GError) error = NULL;
    gboolean ok = ch_plugin_abi_check (cases[i].magic, cases[i].size, cases[i].major,
                                       cases[i].minor, "x.so", &error);
    if (cases[i].code < 0) {
      g_assert_no_error (error);
      g_assert_true (ok);
    } else {
      g_assert_error (error, CH_PLUGIN_ERROR, cases[i].code);
    }
  }
}

int main (int argc, char **argv)
{
  g_test_init (&argc, &argv, NULL);
  directory = g_dir_make_tmp ("ch-note-XXXXXX", NULL);
  g_test_add_func ("/plugin/note/good", test_good);
  g_test_add_func ("/plugin/note/cut", test_cut);
  g_test_add_func ("/plugin/note/flips", test_flips);
  g_test_add_func ("/plugin/note/not-a-file", test_not_a_file);
  g_test_add_func ("/plugin/note/own-program", test_own_program);
  g_test_add_func ("/plugin/note/versions", test_versions);
  int result = g_test_run ();
  g_autofree char *made = g_build_filename (directory, "made.so", NULL);
  g_unlink (made);
  g_rmdir (directory);
  g_free (directory);
  return result;
}
