/* Tar archives on a pipe, for programs inside an instance: POSIX ustar with PAX records. What is read may be hostile: it
 * is bounded, and what is malformed ends the program. */
#pragma once
#include <stdint.h>
#include <sys/stat.h>
#include <time.h>

struct os_tar_entry {
  char *path, *link;
  char type; /* '0' file, '1' hard link, '2' symbolic link, '3' '4' device, '5' directory, '6' pipe */
  mode_t mode;
  uint64_t uid, gid, size;
  unsigned major, minor;
  struct timespec mtime;
};

/* Says `CODE SENTENCE` to standard error and ends the program. */
_Noreturn void os_fail(const char *code, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The next entry of standard input, its content not read yet; 0 at the end of the archive. The texts live until the next call. */
int os_tar_next(struct os_tar_entry *entry);
/* At most `length` bytes of the entry's content; 0 at its end. What is not read is passed over. */
size_t os_tar_read(void *into, size_t length);

/* `size` bytes of content must follow the header; then the padding. */
void os_tar_header(const struct os_tar_entry *entry);
void os_tar_write(const void *bytes, size_t length);
void os_tar_pad(uint64_t size);
void os_tar_end(void);
