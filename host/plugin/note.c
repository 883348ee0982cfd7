/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The ABI note of a plugin, read from the file as bytes: nothing of it runs before its
 * version is known. The file may be anything, so every offset is checked against its
 * size, and counts and sizes are bounded.
 */
#include "plugin/plugins-private.h"
#include <chargehost/error.h>

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define MAX_HEADERS 512
#define MAX_NOTES (64 * 1024)

/* A file that is open, and how to read numbers of it. */
typedef struct {
  const char *path;
  int fd;
  guint64 size;
  gboolean wide; /* ELF64 */
} Elf;

/* Where headers of one kind lie. */
typedef struct {
  guint64 offset;
  guint entry;
  guint count;
} Headers;

typedef struct {
  guint64 offset, size, align;
} Range;

static gboolean refuse (const Elf *elf, GError **error, const char *what)
{
  g_set_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_NO_NOTE, "%s %s", elf->path, what);
  return FALSE;
}

static gboolean read_at (const Elf *elf, guint64 offset, void *to, gsize n)
{
  if (offset > elf->size || n > elf->size - offset)
    return FALSE;
  while (n > 0) {
    ssize_t got = pread (elf->fd, to, n, (off_t) offset);
    if (got < 0 && errno == EINTR)
      continue;
    if (got <= 0)
      return FALSE;
    to = (guint8 *) to + got;
    offset += (guint64) got;
    n -= (gsize) got;
  }
  return TRUE;
}

static gboolean read_ident (Elf *elf, GError **error)
{
  guint8 ident[EI_NIDENT];

  if (!read_at (elf, 0, ident, sizeof ident) || memcmp (ident, ELFMAG, SELFMAG) != 0)
    return refuse (elf, error, "is not an ELF file");
#if G_BYTE_ORDER == G_LITTLE_ENDIAN
  guint8 ours = ELFDATA2LSB;
#else
  guint8 ours = ELFDATA2MSB;
#endif
  if (ident[EI_DATA] != ours
      || (ident[EI_CLASS] != ELFCLASS32 && ident[EI_CLASS] != ELFCLASS64))
    return refuse (elf, error, "is built for another machine");
  elf->wide = ident[EI_CLASS] == ELFCLASS64;
  return TRUE;
}

/* The tables of segments and of sections; either may be absent. */
static gboolean read_header (const Elf *elf, Headers *segments, Headers *sections,
                             GError **error)
{
  if (elf->wide) {
    Elf64_Ehdr header;
    if (!read_at (elf, 0, &header, sizeof header))
      return refuse (elf, error, "is cut short");
    *segments = (Headers) {header.e_phoff, header.e_phentsize, header.e_phnum};
    *sections = (Headers) {header.e_shoff, header.e_shentsize, header.e_shnum};
  } else {
    Elf32_Ehdr header;
    if (!read_at (elf, 0, &header, sizeof header))
      return refuse (elf, error, "is cut short");
    *segments = (Headers) {header.e_phoff, header.e_phentsize, header.e_phnum};
    *sections = (Headers) {header.e_shoff, header.e_shentsize, header.e_shnum};
  }
  return TRUE;
}

/* Returns: whether segment @i holds notes */
static gboolean read_segment (const Elf *elf, const Headers *headers, guint i,
                              Range *range)
{
  guint64 offset = headers->offset + (guint64) i * headers->entry;

  if (elf->wide) {
    Elf64_Phdr header;
    if (headers->entry < sizeof header || !read_at (elf, offset, &header, sizeof header))
      return FALSE;
    *range = (Range) {header.p_offset, header.p_filesz, header.p_align};
    return header.p_type == PT_NOTE;
  }
  Elf32_Phdr header;
  if (headers->entry < sizeof header || !read_at (elf, offset, &header, sizeof header))
    return FALSE;
  *range = (Range) {header.p_offset, header.p_filesz, header.p_align};
  return header.p_type == PT_NOTE;
}

static gboolean read_section (const Elf *elf, const Headers *headers, guint i,
                              Range *range)
{
  guint64 offset = headers->offset + (guint64) i * headers->entry;

  if (elf->wide) {
    Elf64_Shdr header;
    if (headers->entry < sizeof header || !read_at (elf, offset, &header, sizeof header))
      return FALSE;
    *range = (Range) {header.sh_offset, header.sh_size, header.sh_addralign};
    return header.sh_type == SHT_NOTE;
  }
  Elf32_Shdr header;
  if (headers->entry < sizeof header || !read_at (elf, offset, &header, sizeof header))
    return FALSE;
  *range = (Range) {header.sh_offset, header.sh_size, header.sh_addralign};
  return header.sh_type == SHT_NOTE;
}

static guint64 round_up (guint64 n, guint64 align)
{
  return (n + align - 1) / align * align;
}

/* Walks the notes of a range for ours. Sizes are 32 bits, so sums cannot overflow. */
static gboolean find_note (const Elf *elf, const Range *range, ChPluginNote *note)
{
  guint64 align = range->align == 8 ? 8 : 4;
  guint64 size = range->size, at = 0;

  if (size > MAX_NOTES || range->offset > elf->size || size > elf->size - range->offset)
    return FALSE;
  g_autofree guint8 *bytes = g_malloc (size + 1);
  if (!read_at (elf, range->offset, bytes, size))
    return FALSE;
  while (size - at >= 12) {
    guint32 head[3];
    memcpy (head, bytes + at, sizeof head);
    guint64 desc = round_up (12 + (guint64) head[0], align);
    guint64 whole = round_up (desc + head[1], align);
    if (desc + head[1] > size - at)
      return FALSE;
    if (head[2] == CH_PLUGIN_NOTE_TYPE && head[0] == sizeof CH_PLUGIN_NOTE_NAME
        && memcmp (bytes + at + 12, CH_PLUGIN_NOTE_NAME, sizeof CH_PLUGIN_NOTE_NAME) == 0
        && head[1] >= 12 && desc == 24) {
      memcpy (note, bytes + at, sizeof *note);
      return TRUE;
    }
    if (whole > size - at)
      return FALSE;
    at += whole;
  }
  return FALSE;
}

static gboolean search (const Elf *elf, const Headers *headers,
                        gboolean (*read_range) (const Elf *, const Headers *, guint,
                                                Range *),
                        ChPluginNote *note)
{
  Range range;

  if (headers->offset == 0 || headers->count > MAX_HEADERS)
    return FALSE;
  for (guint i = 0; i < headers->count; i++)
    if (read_range (elf, headers, i, &range) && find_note (elf, &range, note))
      return TRUE;
  return FALSE;
}

static gboolean read_elf (Elf *elf, ChPluginNote *note, GError **error)
{
  Headers segments, sections;

  if (!read_ident (elf, error) || !read_header (elf, &segments, &sections, error))
    return FALSE;
  if (search (elf, &segments, read_segment, note)
      || search (elf, &sections, read_section, note))
    return TRUE;
  return refuse (elf, error, "has no Chargehost note: it is not a plugin of this host");
}

gboolean ch_plugin_note_read (const char *path, ChPluginNote *note, GError **error)
{
  Elf elf = {.path = path};
  struct stat st;

  /* Not blocking: a FIFO must not hold us. */
  elf.fd = open (path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  if (elf.fd < 0 || fstat (elf.fd, &st) != 0 || !S_ISREG (st.st_mode)) {
    g_set_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_NOT_FOUND, "%s: %s", path,
                 elf.fd < 0 ? g_strerror (errno) : "is not a regular file");
    if (elf.fd >= 0)
      close (elf.fd);
    return FALSE;
  }
  elf.size = (guint64) st.st_size;
  gboolean found = read_elf (&elf, note, error);
  close (elf.fd);
  return found;
}

gboolean ch_plugin_abi_check (guint32 magic, guint32 info_size, guint16 major,
                              guint16 minor, const char *path, GError **error)
{
  if (magic != CH_PLUGIN_MAGIC)
    g_set_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_BAD_DESCRIPTOR,
                 "%s: bad magic 0x%08x", path, magic);
  else if (major != CH_ABI_MAJOR)
    g_set_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_ABI_MAJOR,
                 "%s is built for ABI %u.%u, this host has %u.%u: build it again", path,
                 major, minor, CH_ABI_MAJOR, CH_ABI_MINOR);
  else if (minor > CH_ABI_MINOR)
    g_set_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_ABI_MINOR,
                 "%s is built for ABI %u.%u, this host has %u.%u: it needs a newer host",
                 path, major, minor, CH_ABI_MAJOR, CH_ABI_MINOR);
  else if (info_size < CH_PLUGIN_INFO_SIZE_1_0)
    g_set_error (error, CH_PLUGIN_ERROR, CH_PLUGIN_ERROR_BAD_DESCRIPTOR,
                 "%s: its descriptor has %u bytes, ABI %u.0 has %u", path, info_size,
                 CH_ABI_MAJOR, (guint) CH_PLUGIN_INFO_SIZE_1_0);
  else
    return TRUE;
  return FALSE;
}

gboolean ch_plugin_note_check (const ChPluginNote *note, const char *path, GError **error)
{
  return ch_plugin_abi_check (note->magic, note->info_size, note->abi_major,
                              note->abi_minor, path, error);
}
