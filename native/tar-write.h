/* Writes a tar archive to standard output: ustar, with PAX records for what does not fit into it. The same tree gives
 * the same bytes: no names of users, no time but the file's own. */
#pragma once
#include "tar-entry.h"

/* Header of `entry`; `size` bytes of content must follow, then tar_write_padding(). */
void tar_write_header(const struct tar_entry *entry);
void tar_write(const void *bytes, size_t length);
void tar_write_padding(uint64_t size);
/* Ends the archive; the digest of all of it. */
void tar_write_end(char digest[65], uint64_t *bytes);
