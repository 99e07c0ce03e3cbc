/* copy-in: takes a tar archive from standard input.
 *   berth-native copy-in [--extract] [--archive] -- PATH
 * With --extract its entries go into the directory PATH. Without, the archive has one root, which goes where `docker cp`
 * would put it: into PATH where that is a directory, else in its place, under its name. Owners are root unless --archive.
 * No entry lands outside of the target, whatever links the archive or the directory holds. A directory that is there keeps
 * its own mode, owner and time. Devices are left out. */
#include "os-copy.h"
#include "os-tar.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CHUNK = 128 * 1024 };

/* Off in a test build only: a test that proves the rule must go red without it. */
#ifndef RULE_COPY_BENEATH
#define RULE_COPY_BENEATH 1 /* no link leads an entry out of the target */
#endif

static int target = -1, keep_owners;
static uint64_t resolve = RULE_COPY_BENEATH ? RESOLVE_BENEATH : 0;
/* What the archive's root is called there; NULL: names stay. */
static char *root_name, *root_before;

static int is_directory(int fd) {
  struct stat s;
  return fstat(fd, &s) == 0 && S_ISDIR(s.st_mode);
}

static void into(int fd) {
  struct stat s, root;
  target = fd;
  /* Absolute links of the instance are right where all of it is the target. */
  if (fstat(fd, &s) == 0 && stat("/", &root) == 0 && s.st_dev == root.st_dev && s.st_ino == root.st_ino) resolve = RESOLVE_IN_ROOT;
}

/* Words without "." and empty ones; ".." is refused. */
static char *clean(const char *path) {
  char *out = malloc(strlen(path) + 2), *end = out;
  if (!out) os_fail("exhausted", "There is not enough memory inside.");
  while (*path) {
    size_t n = strcspn(path, "/");
    if (n == 2 && !strncmp(path, "..", 2)) os_fail("invalid", "The archive has a path with ..: nothing of that kind is taken in.");
    if (n > 0 && !(n == 1 && *path == '.')) {
      if (end > out) *end++ = '/';
      memcpy(end, path, n);
      end += n;
    }
    path += n + (path[n] == '/');
  }
  *end = 0;
  return out;
}

/* The path below the target, "" for the target itself. */
static char *placed(const char *path) {
  char *name = clean(path);
  if (!root_name) return name;
  size_t before = strlen(root_before);
  if (strncmp(name, root_before, before) != 0 || (before > 0 && name[before] && name[before] != '/')) os_fail("invalid", "The archive has more than one root.");
  const char *below = name + before + (name[before] == '/');
  char *out = malloc(strlen(root_name) + strlen(below) + 2);
  if (!out) os_fail("exhausted", "There is not enough memory inside.");
  sprintf(out, "%s%s%s", root_name, *root_name && *below ? "/" : "", below);
  free(name);
  return out;
}

static int make_way(const char *parent) {
  char *path = strdup(parent);
  for (char *slash = path; slash && *path; ) {
    slash = strchr(slash, '/');
    if (slash) *slash = 0;
    int fd = os_open_at(target, path, O_PATH | O_DIRECTORY, resolve);
    if (fd < 0 && errno == ENOENT) {
      char *copy = strdup(path), *up;
      const char *name = os_split(copy, &up);
      int at = strchr(path, '/') ? os_open_at(target, up, O_PATH | O_DIRECTORY, resolve) : dup(target);
      if (at < 0 || (mkdirat(at, name, 0755) != 0 && errno != EEXIST)) os_fail_path("write", parent);
      close(at);
      free(copy);
    } else if (fd < 0) os_fail_path("write", path);
    else close(fd);
    if (slash) *slash++ = '/';
  }
  free(path);
  return os_open_at(target, *parent ? parent : ".", O_PATH | O_DIRECTORY, resolve);
}

/* The directory that holds `path`, made where it is missing; kept until another one is asked for. */
static int parent_of(char *path, const char **name) {
  static char *known;
  static int known_fd = -1;
  char *slash = strrchr(path, '/');
  *name = slash ? slash + 1 : path;
  if (slash) *slash = 0;
  const char *parent = slash ? path : "";
  if (!known || strcmp(known, parent) != 0) {
    if (known_fd >= 0) close(known_fd);
    free(known);
    known = strdup(parent);
    known_fd = os_open_at(target, *parent ? parent : ".", O_PATH | O_DIRECTORY, resolve);
    if (known_fd < 0 && errno == ENOENT) known_fd = make_way(parent);
    if (known_fd < 0) os_fail_path("write", parent);
  }
  if (slash) *slash = '/';
  return known_fd;
}

static uid_t owner(uint64_t id) { return keep_owners && id < UINT32_MAX ? (uid_t)id : 0; }

static void write_file(int at, const char *name, const char *path, const struct os_tar_entry *e) {
  static char bytes[CHUNK];
  struct timespec times[2] = {{.tv_nsec = UTIME_NOW}, e->mtime};
  struct stat s;
  if (fstatat(at, name, &s, AT_SYMLINK_NOFOLLOW) == 0) {
    if (S_ISDIR(s.st_mode)) os_fail("invalid", "%s is a directory, and a file would take its place.", path);
    if (unlinkat(at, name, 0) != 0 && errno != EBUSY) os_fail_path("write", path);
  }
  int fd = openat(at, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  /* A file on which another one is mounted (/etc/hosts) can be filled, not replaced. */
  if (fd < 0 && errno == EEXIST) fd = openat(at, name, O_WRONLY | O_TRUNC | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) os_fail_path("write", path);
  for (size_t n; (n = os_tar_read(bytes, sizeof bytes)) > 0;)
    for (size_t done = 0; done < n;) {
      ssize_t wrote = write(fd, bytes + done, n - done);
      if (wrote < 0 && errno == EINTR) continue;
      if (wrote < 0) os_fail_path("write", path);
      done += (size_t)wrote;
    }
  if (fchown(fd, owner(e->uid), owner(e->gid)) != 0 || fchmod(fd, e->mode) != 0) os_fail_path("write", path);
  futimens(fd, times);
  if (close(fd) != 0) os_fail_path("write", path);
}

/* Times of directories are set when all is in them, the last one first. */
static struct later { struct later *next; struct timespec mtime; char path[]; } *later;

static void make_directory(int at, const char *name, const char *path, const struct os_tar_entry *e) {
  if (mkdirat(at, name, 0700) != 0) {
    int fd = errno == EEXIST ? os_open_at(target, path, O_PATH | O_DIRECTORY, resolve) : -1;
    if (fd < 0 && errno == ENOTDIR) os_fail("invalid", "%s is there and is no directory.", path);
    if (fd < 0) os_fail_path("write", path);
    close(fd);
    return;
  }
  int fd = os_open_at(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
  if (fd < 0 || fchown(fd, owner(e->uid), owner(e->gid)) != 0 || fchmod(fd, e->mode) != 0) os_fail_path("write", path);
  close(fd);
  struct later *one = malloc(sizeof *one + strlen(path) + 1);
  if (!one) return;
  *one = (struct later){later, e->mtime};
  strcpy(one->path, path);
  later = one;
}

static void set_times(void) {
  for (; later; later = later->next) {
    struct timespec times[2] = {{.tv_nsec = UTIME_NOW}, later->mtime};
    int fd = os_open_at(target, later->path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, resolve);
    if (fd < 0) continue;
    futimens(fd, times);
    close(fd);
  }
}

static void make_way_for(int at, const char *name, const char *path) {
  struct stat s;
  if (fstatat(at, name, &s, AT_SYMLINK_NOFOLLOW) != 0) return;
  if (S_ISDIR(s.st_mode)) os_fail("invalid", "%s is a directory, and something else would take its place.", path);
  if (unlinkat(at, name, 0) != 0) os_fail_path("write", path);
}

static void take(const struct os_tar_entry *e) {
  struct timespec times[2] = {{.tv_nsec = UTIME_NOW}, e->mtime};
  char *path = placed(e->path);
  const char *name, *other;
  if (!*path) { /* the target itself, which is there */
    if (e->type != '5') os_fail("invalid", "The archive’s root is called nothing and is no directory.");
    free(path);
    return;
  }
  int at = parent_of(path, &name);
  switch (e->type) {
    case '0': write_file(at, name, path, e); break;
    case '5': make_directory(at, name, path, e); break;
    case '2': case '6':
      make_way_for(at, name, path);
      if ((e->type == '2' ? symlinkat(e->link, at, name) : mkfifoat(at, name, 0600)) != 0 || fchownat(at, name, owner(e->uid), owner(e->gid), AT_SYMLINK_NOFOLLOW) != 0) os_fail_path("write", path);
      if (e->type == '6' && fchmodat(at, name, e->mode, 0) != 0) os_fail_path("write", path);
      utimensat(at, name, times, AT_SYMLINK_NOFOLLOW);
      break;
    case '1': {
      char *to = placed(e->link), *up = strdup(to), *parent;
      other = os_split(up, &parent);
      int from = strchr(to, '/') ? os_open_at(target, parent, O_PATH | O_DIRECTORY, resolve) : dup(target);
      if (!*to || from < 0) os_fail_path("link", to);
      make_way_for(at, name, path);
      if (linkat(from, other, at, name, 0) != 0) os_fail_path("link", path);
      close(from);
      free(to);
      free(up);
      break;
    }
    default: break;
  }
  free(path);
}

/* Where the root of the archive goes; what the path says by a slash at its end must be true. */
static void choose(const char *path, const struct os_tar_entry *first) {
  int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), fd = os_open_at(root, path, O_PATH, RESOLVE_IN_ROOT);
  size_t length = strlen(path);
  int directory = path[length - 1] == '/' || (length >= 2 && !strcmp(path + length - 2, "/.")), is_tree = first->type == '5';
  char *name = clean(first->path), *copy, *parent;
  if (fd < 0 && errno != ENOENT) os_fail_path("write", path);
  if (fd >= 0 && is_directory(fd)) return into(fd);
  if (strchr(name, '/')) os_fail("invalid", "The archive has more than one root.");
  if (fd >= 0 && (is_tree || directory)) os_fail("invalid", "%s is not a directory.", path);
  if (fd < 0 && directory && !is_tree) os_fail("notFound", "There is no directory %s inside.", path);
  /* Where it is there: through the links at its end, as any program would write it. */
  copy = fd >= 0 ? os_real_path(fd, "write", path) : strdup(path);
  if (!copy) os_fail("exhausted", "There is not enough memory inside.");
  root_name = strdup(os_split(copy, &parent));
  root_before = name;
  if (!strcmp(root_name, ".")) os_fail("notFound", "There is no %s inside.", path);
  int up = os_open_at(root, parent, O_PATH | O_DIRECTORY, RESOLVE_IN_ROOT);
  if (up < 0) os_fail_path("write", parent);
  if (is_tree) { /* its content belongs below it and nowhere beside */
    if (mkdirat(up, root_name, 0700) != 0) os_fail_path("write", path);
    int made = os_open_at(up, root_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
    if (made < 0 || fchown(made, owner(first->uid), owner(first->gid)) != 0 || fchmod(made, first->mode) != 0) os_fail_path("write", path);
    root_name = strdup("");
    return into(made);
  }
  into(up);
}

int copy_in_main(int argc, char **argv) {
  int at = 1, extract = 0;
  for (; at < argc && strcmp(argv[at], "--") != 0; at++) {
    if (!strcmp(argv[at], "--extract")) extract = 1;
    else if (!strcmp(argv[at], "--archive")) keep_owners = 1;
    else os_fail("invalid", "usage: copy-in [--extract] [--archive] -- PATH");
  }
  if (at + 2 != argc || argv[at + 1][0] != '/') os_fail("invalid", "usage: copy-in [--extract] [--archive] -- PATH");
  const char *path = argv[at + 1];
  struct os_tar_entry entry;
  umask(0);
  if (extract) {
    int root = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC), fd = os_open_at(root, path, O_PATH | O_DIRECTORY, RESOLVE_IN_ROOT);
    if (fd < 0) os_fail_path("write", path);
    into(fd);
  }
  for (int first = 1; os_tar_next(&entry); first = 0) {
    if (first && !extract) choose(path, &entry);
    take(&entry);
  }
  if (target < 0) os_fail("invalid", "The archive is empty.");
  set_times();
  if (write(STDOUT_FILENO, "taken\n", 6) != 6) return 3;
  return 0;
}
