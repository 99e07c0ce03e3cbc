#include "agent.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Names that were loaded, each between two line ends: the kernel knows too, but reads a whole file before it says so. */
static char loaded[4096] = "\n";

int load_modules(const char *stage, bool drivers, struct failure *why) {
  char path[300], list[4096], line[128];
  snprintf(path, sizeof path, "/modules/%s", stage);
  ssize_t length = read_file(path, list, sizeof list);
  if (length < 0) return 0;
  for (char *rest = list, *name; (name = strsep(&rest, "\n"));) {
    if (!*name || snprintf(line, sizeof line, "\n%.100s\n", name) < 0 || strstr(loaded, line)) continue;
    if (!drivers && strncmp(name, "virtio_", 7) == 0) continue;
    snprintf(path, sizeof path, "/modules/%s.ko", name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return fail(why, "internal", "no module %s in the initramfs", name);
    int result = syscall(SYS_finit_module, fd, "", 0), error = errno;
    close(fd);
    if (result < 0 && error != EEXIST) return fail(why, "internal", "module %s: %s", name, strerror(error));
    if (strlen(loaded) + strlen(line) < sizeof loaded) strcat(loaded, line + 1);
  }
  return 0;
}
