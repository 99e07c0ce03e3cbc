#include "merged-root.h"
#include "job-report.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/mount.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
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

/* /lib and its like are links into /usr on a merged distribution, else directories. */
static void copy_system_directory(const char *path) {
  struct stat stat;
  char link[256], host[300];
  snprintf(host, sizeof host, "/old%s", path);
  if (lstat(host, &stat) < 0) return;
  ssize_t length = S_ISLNK(stat.st_mode) ? readlink(host, link, sizeof link - 1) : -1;
  if (length > 0) {
    link[length] = 0;
    if (symlink(link, path) < 0) fail_errno("link a system directory");
  } else if (S_ISDIR(stat.st_mode)) place_mount(clone_mount(AT_FDCWD, host, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV), path);
}

void merged_system_directories(void) {
  static const char *const system[] = {"/usr", "/bin", "/sbin", "/lib", "/lib64", NULL};
  for (int i = 0; system[i]; i++) copy_system_directory(system[i]);
}

/* Overlay lists a whiteout that hides nothing, and then denies that it is there; walkers stumble on that. In a directory
 * that it merges with another one it does not: so the empty tree below all layers gets those directories. */
static bool ghosts_found;

static void make_below(const char *path) {
  char below[PATH_MAX];
  snprintf(below, sizeof below, "/empty/%s", path);
  for (char *slash = below + sizeof "/empty"; (slash = strchr(slash, '/')); *slash++ = '/') {
    *slash = 0;
    if (mkdir(below, 0755) < 0 && errno != EEXIST) fail_errno("make a directory");
  }
  if (mkdir(below, 0755) < 0 && errno != EEXIST) fail_errno("make a directory");
}

static void look_for_ghosts(int dir, char *path, size_t length) {
  DIR *stream = fdopendir(dir);
  if (!stream) fail_errno("read a directory");
  for (struct dirent *child; (child = readdir(stream));) {
    struct stat stat;
    size_t name = strlen(child->d_name);
    if (strcmp(child->d_name, ".") == 0 || strcmp(child->d_name, "..") == 0) continue;
    if (child->d_type == DT_DIR) {
      if (length + 1 + name >= PATH_MAX - sizeof "/empty/") fail("invalid", "pathLength", "A path of the merged layers is too long.");
      snprintf(path + length, PATH_MAX - length, "%s%s", length > 0 ? "/" : "", child->d_name);
      int below = openat(dir, child->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
      if (below >= 0) look_for_ghosts(below, path, length + (length > 0) + name);
      path[length] = 0;
    } else if (child->d_type == DT_CHR && fstatat(dir, child->d_name, &stat, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT) {
      ghosts_found = true;
      make_below(path);
    }
  }
  closedir(stream);
}

static void mount_overlay(const char *options) {
  if (mount("berth", "/root", "overlay", MS_RDONLY | MS_NOSUID | MS_NODEV, options) < 0) fail_errno("merge the layers");
}

void merged_mount_layers(void) {
  char lower[MERGED_LAYERS * 8 + 64], path[PATH_MAX] = "";
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
  mount_overlay(lower);
  look_for_ghosts(open("/root", O_RDONLY | O_DIRECTORY | O_CLOEXEC), path, 0);
  if (!ghosts_found) return;
  if (umount2("/root", 0) < 0) fail_errno("merge the layers again");
  mount_overlay(lower);
}
