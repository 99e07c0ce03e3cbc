#include "merged-root.h"
#include "job-report.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdio.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

static int layer_fds[MERGED_LAYERS], layer_count;

int clone_mount(int dir, const char *path, unsigned long long flags) {
  int fd = (int)syscall(SYS_open_tree, dir, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_RECURSIVE);
  struct mount_attr attributes = {.attr_set = flags};
  if (fd < 0) fail_errno("clone a mount");
  if (syscall(SYS_mount_setattr, fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attributes, sizeof attributes) < 0) fail_errno("set mount flags");
  return fd;
}

void place_mount(int fd, const char *target) {
  if (mkdir(target, 0755) < 0 && errno != EEXIST) fail_errno("make a mount point");
  if (syscall(SYS_move_mount, fd, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH) < 0) fail_errno("attach a mount");
  close(fd);
}

void merged_clone_layers(int count, char **layers) {
  layer_count = count;
  for (int i = 0; i < count; i++) layer_fds[i] = clone_mount(AT_FDCWD, layers[i], MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
}

void merged_root_begin(void) {
  if (mount("berth", "/tmp", "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=64m") < 0 || chdir("/tmp") < 0) fail_errno("mount a root");
  if (mkdir("old", 0700) < 0 || syscall(SYS_pivot_root, ".", "old") < 0 || chdir("/") < 0) fail_errno("change the root");
}

void merged_mount_layers(void) {
  char lower[MERGED_LAYERS * 8 + 64];
  if (mkdir("/l", 0755) < 0 || mkdir("/empty", 0755) < 0 || mkdir("/root", 0755) < 0) fail_errno("make a directory");
  for (int i = 0; i < layer_count; i++) {
    char name[16];
    snprintf(name, sizeof name, "/l/%d", i);
    place_mount(layer_fds[i], name);
  }
  /* Also for one layer: an overlay is what turns its whiteouts and marks into nothing. */
  size_t length = (size_t)snprintf(lower, sizeof lower, "userxattr,lowerdir=");
  for (int i = layer_count - 1; i >= 0; i--) length += (size_t)snprintf(lower + length, sizeof lower - length, "/l/%d:", i);
  snprintf(lower + length, sizeof lower - length, "/empty");
  if (mount("berth", "/root", "overlay", MS_RDONLY | MS_NOSUID | MS_NODEV, lower) < 0) fail_errno("merge the layers");
}
