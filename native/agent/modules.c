#include "agent.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

int load_modules(const char *stage, struct failure *why) {
  char path[300], list[4096];
  snprintf(path, sizeof path, "/modules/%s", stage);
  ssize_t length = read_file(path, list, sizeof list);
  if (length < 0) return 0;
  for (char *rest = list, *name; (name = strsep(&rest, "\n"));) {
    if (!*name) continue;
    snprintf(path, sizeof path, "/modules/%s.ko", name);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return fail(why, "internal", "no module %s in the initramfs", name);
    int result = syscall(SYS_finit_module, fd, "", 0), error = errno;
    close(fd);
    if (result < 0 && error != EEXIST) return fail(why, "internal", "module %s: %s", name, strerror(error));
  }
  return 0;
}
