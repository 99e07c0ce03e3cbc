#include "agent.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Names that were loaded, each between two line ends: the kernel knows too, but reads a whole file before it says so. */
static char loaded[4096] = "\n";

int load_modules(const char *stage, struct failure *why) {
  char path[300], list[4096], line[128];
  snprintf(path, sizeof path, "/modules/%s", stage);
  ssize_t length = read_file(path, list, sizeof list);
  if (length < 0) return 0;
  for (char *rest = list, *name; (name = strsep(&rest, "\n"));) {
    if (!*name || snprintf(line, sizeof line, "\n%.100s\n", name) < 0 || strstr(loaded, line)) continue;
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

#define BUS "/sys/bus/virtio/"

/* Disks and interfaces will be others when a machine resumes from this memory: their drivers are loaded, and look at
 * nothing before that. The rest is the same in all of them. */
int load_ahead(struct failure *why) {
  if (load_modules("idle", why)) return -1;
  if (write_file(BUS "drivers_autoprobe", "0")) return fail(why, "internal", "autoprobe: %s", strerror(errno));
  int result = load_modules("root", why) || load_modules("network", why) ? -1 : 0;
  if (write_file(BUS "drivers_autoprobe", "1")) return fail(why, "internal", "autoprobe: %s", strerror(errno));
  return result;
}

/* Now they look. */
void probe_devices(void) {
  DIR *dir = opendir(BUS "devices");
  for (struct dirent *e; dir && (e = readdir(dir));) {
    char path[300];
    snprintf(path, sizeof path, BUS "devices/%s/driver", e->d_name);
    if (e->d_name[0] != '.' && access(path, F_OK)) write_file(BUS "drivers_probe", e->d_name);
  }
  if (dir) closedir(dir);
}
