/* copy-out: writes a file or a tree of the instance as a tar archive to standard output.
 *   berth-native copy-out [--follow] -- PATH
 * The archive's root is called as the last word of PATH, "." where that is the whole of a directory (`/.`). A link at the
 * end of PATH is followed with --follow or a slash behind it. Sockets and the kernel's own file systems are left out. */
#include "os-copy.h"
#include "os-tar.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { MAX_DEPTH = 256, MAX_LINKS = 65536, CHUNK = 128 * 1024 };

int os_open_at(int at, const char *path, int flags, uint64_t resolve) {
  struct open_how how = {.flags = (uint64_t)flags | O_CLOEXEC, .resolve = resolve | RESOLVE_NO_MAGICLINKS};
  for (;;) {
    int fd = (int)syscall(SYS_openat2, at, path, &how, sizeof how);
    /* The kernel saw a rename on the way and wants the walk begun anew. */
    if (fd >= 0 || errno != EAGAIN) return fd;
  }
}

_Noreturn void os_fail_path(const char *doing, const char *path) {
  switch (errno) {
    case ENOENT: os_fail("notFound", "There is no %s inside.", path);
    case ENOTDIR: os_fail("invalid", "%s is not a directory, or goes through what is none.", path);
    case EISDIR: os_fail("invalid", "%s is a directory.", path);
    case ELOOP: os_fail("invalid", "%s goes through too many links, or through one that is not followed.", path);
    case EXDEV: os_fail("invalid", "%s leads out of where it belongs.", path);
    case ENAMETOOLONG: os_fail("invalid", "%s is too long.", path);
    case EROFS: os_fail("wrongState", "%s is read-only.", path);
    case ENOSPC: case EDQUOT: os_fail("exhausted", "The disk inside is full; %s was not written whole.", path);
    case EACCES: case EPERM: os_fail("forbidden", "The instance itself may not %s %s.", doing, path);
    default: os_fail("unavailable", "Cannot %s %s: %s.", doing, path, strerror(errno));
  }
}

char *os_real_path(int fd, const char *doing, const char *asked) {
  static char real[PATH_MAX + 1];
  char self[64];
  snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
  ssize_t got = readlink(self, real, sizeof real - 1);
  if (got <= 0 || real[0] != '/') os_fail_path(doing, asked);
  real[got] = 0;
  return real;
}

const char *os_split(char *path, char **parent) {
  for (;;) {
    size_t length = strlen(path);
    while (length > 1 && path[length - 1] == '/') path[--length] = 0;
    if (length > 1 && path[length - 1] == '.' && path[length - 2] == '/') { path[length - 1] = 0; continue; }
    break;
  }
  char *slash = strrchr(path, '/');
  char *name = slash ? slash + 1 : path;
  if (!*name || !strcmp(name, "..") || !strcmp(name, ".")) { *parent = path; return "."; }
  *parent = slash == path ? (char *)"/" : path;
  if (slash) *slash = 0;
  return name;
}

static struct { dev_t dev; ino_t ino; char *path; } links[MAX_LINKS];

/* The path under which this inode went out before; else it is noted. Beyond the table's room a link is a copy. */
static const char *seen_as(const struct stat *at, const char *path) {
  if (at->st_nlink < 2) return NULL;
  for (size_t i = (at->st_ino * 31 + at->st_dev) % MAX_LINKS, steps = 0; steps < 64; i = (i + 1) % MAX_LINKS, steps++) {
    if (links[i].path && links[i].dev == at->st_dev && links[i].ino == at->st_ino) return links[i].path;
    if (links[i].path) continue;
    links[i].dev = at->st_dev;
    links[i].ino = at->st_ino;
    links[i].path = strdup(path);
    return NULL;
  }
  return NULL;
}

static int is_kernels_own(int fd) {
  struct statfs fs;
  if (fstatfs(fd, &fs) != 0) return 1;
  switch ((unsigned long)fs.f_type) {
    case PROC_SUPER_MAGIC: case SYSFS_MAGIC: case CGROUP_SUPER_MAGIC: case CGROUP2_SUPER_MAGIC: case DEVPTS_SUPER_MAGIC: case DEBUGFS_MAGIC: case TRACEFS_MAGIC:
    case SECURITYFS_MAGIC: case BPF_FS_MAGIC: case PSTOREFS_MAGIC: case 0x19800202 /* mqueue */: return 1;
    default: return 0;
  }
}

static void send_content(int fd, uint64_t size) {
  static char bytes[CHUNK];
  uint64_t left = size;
  while (left > 0) {
    ssize_t n = read(fd, bytes, left < CHUNK ? (size_t)left : CHUNK);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) { /* it became shorter: the header has gone out with its old size */
      memset(bytes, 0, sizeof bytes);
      n = left < CHUNK ? (ssize_t)left : CHUNK;
    }
    os_tar_write(bytes, (size_t)n);
    left -= (uint64_t)n;
  }
  os_tar_pad(size);
}

/* Path of the entry at hand, as the archive calls it. */
static char current[65536];

static void send_entry(int at, const char *name, int depth, dev_t device);

static void send_directory(int fd, const struct stat *s, int depth) {
  size_t length = strlen(current);
  struct os_tar_entry e = {.path = current, .type = '5', .mode = s->st_mode, .uid = s->st_uid, .gid = s->st_gid, .mtime = s->st_mtim};
  if (depth > MAX_DEPTH) os_fail("exhausted", "%.200s… is nested more than %d deep.", current, MAX_DEPTH);
  if (length + 1 + NAME_MAX >= sizeof current) os_fail("exhausted", "%.200s… is too long.", current);
  strcpy(current + length, "/");
  os_tar_header(&e);
  DIR *dir = fdopendir(fd);
  if (!dir) os_fail_path("read", current);
  for (struct dirent *one; (one = readdir(dir));) {
    if (!strcmp(one->d_name, ".") || !strcmp(one->d_name, "..")) continue;
    strcpy(current + length + 1, one->d_name);
    send_entry(dirfd(dir), one->d_name, depth + 1, s->st_dev);
  }
  closedir(dir);
  current[length] = 0;
}

/* Depth 0 is what was asked for: it must be there. Below, what vanishes while others write is passed over. */
static void send_entry(int at, const char *name, int depth, dev_t device) {
  struct stat s;
  char target[PATH_MAX + 1];
  struct os_tar_entry e = {.path = current};
  int fd = -1;
  if (fstatat(at, name, &s, AT_SYMLINK_NOFOLLOW) != 0) {
    if (depth == 0 || errno != ENOENT) os_fail_path("read", current);
    return;
  }
  if (S_ISREG(s.st_mode) || S_ISDIR(s.st_mode)) {
    mode_t was = s.st_mode & S_IFMT;
    fd = os_open_at(at, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | (S_ISDIR(s.st_mode) ? O_DIRECTORY : 0), 0);
    if (fd < 0 || fstat(fd, &s) != 0 || (s.st_mode & S_IFMT) != was) {
      /* Another thing stands there by now. */
      if (fd < 0 && errno != ENOENT && errno != ELOOP && errno != ENOTDIR) os_fail_path("read", current);
      if (depth == 0) os_fail("unavailable", "%s changes while it is read.", current);
      if (fd >= 0) close(fd);
      return;
    }
  }
  e.mode = s.st_mode, e.uid = s.st_uid, e.gid = s.st_gid, e.mtime = s.st_mtim;
  if (S_ISDIR(s.st_mode)) {
    if (depth > 0 && s.st_dev != device && is_kernels_own(fd)) close(fd);
    else send_directory(fd, &s, depth);
    return;
  }
  const char *same = seen_as(&s, current);
  if (same) {
    e.type = '1', e.link = (char *)same;
    os_tar_header(&e);
  } else if (S_ISREG(s.st_mode)) {
    e.type = '0', e.size = (uint64_t)s.st_size;
    os_tar_header(&e);
    send_content(fd, e.size);
  } else if (S_ISLNK(s.st_mode)) {
    ssize_t length = readlinkat(at, name, target, sizeof target - 1);
    if (length < 0) return;
    target[length] = 0;
    e.type = '2', e.link = target;
    os_tar_header(&e);
  } else if (!S_ISSOCK(s.st_mode)) {
    e.type = S_ISCHR(s.st_mode) ? '3' : S_ISBLK(s.st_mode) ? '4' : '6';
    e.major = major(s.st_rdev), e.minor = minor(s.st_rdev);
    os_tar_header(&e);
  }
  if (fd >= 0) close(fd);
}

/* The directory that holds what `fd` is, and its name there: where the links at the end of a path led. */
static int holder_of(int fd, const char **name, const char *asked) {
  char *parent;
  *name = os_split(os_real_path(fd, "read", asked), &parent);
  int at = os_open_at(AT_FDCWD, parent, O_PATH | O_DIRECTORY, 0);
  if (at < 0) os_fail_path("read", asked);
  return at;
}

int copy_out_main(int argc, char **argv) {
  int follow = argc > 1 && strcmp(argv[1], "--follow") == 0;
  if (argc != 3 + follow || strcmp(argv[1 + follow], "--") != 0 || argv[2 + follow][0] != '/') os_fail("invalid", "usage: copy-out [--follow] -- PATH");
  const char *path = argv[2 + follow];
  size_t length = strlen(path);
  bool whole = length >= 2 && strcmp(path + length - 2, "/.") == 0, directory = whole || path[length - 1] == '/';
  char *copy = strdup(path), *parent;
  if (!copy || length >= PATH_MAX) os_fail("invalid", "The path is too long.");
  const char *name = os_split(copy, &parent);
  strcpy(current, whole ? "." : name);
  struct stat s;
  int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), fd;
  if (follow || directory || !strcmp(name, ".")) {
    fd = os_open_at(root, path, O_PATH | (directory ? O_DIRECTORY : 0), RESOLVE_IN_ROOT);
    if (fd < 0 || fstat(fd, &s) != 0) os_fail_path("read", path);
    if (S_ISDIR(s.st_mode)) {
      int readable = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
      if (readable < 0) os_fail_path("read", path);
      send_directory(readable, &s, 0);
      os_tar_end();
      return 0;
    }
    fd = holder_of(fd, &name, path);
  } else {
    fd = os_open_at(root, parent, O_PATH | O_DIRECTORY, RESOLVE_IN_ROOT);
    if (fd < 0 || fstatat(fd, name, &s, AT_SYMLINK_NOFOLLOW) != 0) os_fail_path("read", path);
  }
  send_entry(fd, name, 0, 0);
  os_tar_end();
  return 0;
}
