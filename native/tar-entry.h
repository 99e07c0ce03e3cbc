/* Reads tar headers: ustar (POSIX.1-1988), PAX (POSIX.1-2001) and GNU long names. Everything that two readers could
 * understand differently is refused: negative or doubled numbers, two long names, data after the end. */
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

struct tar_xattr { char *name; uint8_t *value; size_t length; };

struct tar_entry {
  char type;              /* '0' file, '1' hard link, '2' symbolic link, '3' '4' devices, '5' directory, '6' FIFO */
  char *path, *link;      /* as written, NUL-terminated; valid until the next call */
  size_t path_length, link_length;
  uint64_t size, mode, uid, gid, major, minor;
  struct timespec mtime;
  struct tar_xattr *xattrs;
  size_t xattr_count;
};

/* False at the end of the archive, which is then read to its last byte. The content of an entry must be taken, or
 * skipped by tar_skip(), before the next call. */
bool tar_next(struct tar_entry *entry);
/* Skips `bytes` of content and the padding to the next header. */
void tar_skip(uint64_t content_left, uint64_t size);
