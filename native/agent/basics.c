#include "agent.h"
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/stat.h>
#include <unistd.h>

/* PID 1 must not end: the kernel would panic and say less. */
void die(const char *format, ...) {
  char text[300] = "berth-agent: ";
  va_list list;
  va_start(list, format);
  vsnprintf(text + 13, sizeof text - 13, format, list);
  va_end(list);
  write_file("/dev/kmsg", text);
  sync();
  reboot(RB_POWER_OFF);
  _exit(1);
}

int fail(struct failure *why, const char *code, const char *format, ...) {
  va_list list;
  va_start(list, format);
  snprintf(why->code, sizeof why->code, "%s", code);
  vsnprintf(why->message, sizeof why->message, format, list);
  va_end(list);
  return -1;
}

void set_nonblocking(int fd) { fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK); }

int write_file(const char *path, const char *text) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  ssize_t length = strlen(text);
  int result = write(fd, text, length) == length ? 0 : -1, error = errno;
  close(fd);
  errno = error;
  return result;
}

/* NUL-ended; -1 when it cannot be read or does not fit. */
ssize_t read_file(const char *path, char *buffer, size_t room) {
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  size_t used = 0;
  for (ssize_t length; used < room; used += length)
    if ((length = read(fd, buffer + used, room - used)) <= 0) { if (length < 0) used = room; break; }
  close(fd);
  if (used >= room) return -1;
  buffer[used] = 0;
  return used;
}

int make_directories(const char *path, mode_t mode) {
  char part[4096];
  size_t length = strlen(path);
  if (length >= sizeof part) { errno = ENAMETOOLONG; return -1; }
  for (size_t i = 1; i <= length; i++) {
    if (path[i] != '/' && path[i]) continue;
    memcpy(part, path, i);
    part[i] = 0;
    if (mkdir(part, mode) && errno != EEXIST) return -1;
  }
  return 0;
}
