/* berth-native pack CPU_SECONDS [LAYER...]
 * The directory on descriptor 3 (a layer or the writable part of an instance, in overlay's format) as an OCI layer tar
 * on descriptor 1, or the given layers (lowest first) merged; a report or an error as JSON on descriptor 4. What is read was written by a tenant: links are never
 * followed, only regular files are opened, and what changes meanwhile cannot break the archive. */
#include "jail.h"
#include "job-report.h"
#include "merged-root.h"
#include "tar-write.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { DIRECTORY_FD = 3, REPORT_FD = 4, PATH_BYTES = 4095, XATTRS = 128, XATTR_BYTES = 64 * 1024 };
static const int capabilities[] = {CAP_DAC_READ_SEARCH, -1};

/* First path of every file with several names. */
static struct linked { uint64_t inode; char *path; } *linked;
static size_t linked_count, linked_capacity;

static struct linked *find_linked(uint64_t inode) {
  if ((linked_count + 1) * 2 > linked_capacity) {
    struct linked *old = linked;
    size_t old_capacity = linked_capacity;
    linked_capacity = linked_capacity * 2 + 256;
    linked = must_alloc(calloc(linked_capacity, sizeof *linked));
    linked_count = 0;
    for (size_t i = 0; i < old_capacity; i++)
      if (old[i].path) {
        *find_linked(old[i].inode) = old[i];
        linked_count++;
      }
    free(old);
  }
  size_t i = (inode * 0x9e3779b97f4a7c15ull >> 16) % linked_capacity;
  while (linked[i].path && linked[i].inode != inode) i = (i + 1) % linked_capacity;
  return &linked[i];
}

static char xattr_names[XATTR_BYTES];
static struct tar_xattr xattrs[XATTRS];

static int by_xattr_name(const void *a, const void *b) { return strcmp(((const struct tar_xattr *)a)->name, ((const struct tar_xattr *)b)->name); }

/* The attributes that a layer may have; overlay's own marks are told apart. */
static bool read_xattrs(int fd, struct tar_entry *entry) {
  bool opaque = false;
  entry->xattr_count = 0;
  entry->xattrs = xattrs;
  ssize_t length = flistxattr(fd, xattr_names, sizeof xattr_names);
  if (length < 0 && (errno == EOPNOTSUPP || errno == ERANGE)) return false;
  if (length < 0) fail_errno("list extended attributes");
  for (char *name = xattr_names; name < xattr_names + length; name += strlen(name) + 1) {
    char value[XATTR_BYTES];
    if (strcmp(name, "user.overlay.opaque") == 0) opaque = fgetxattr(fd, name, value, sizeof value) == 1 && value[0] == 'y';
    if (strncmp(name, "user.overlay.", 13) == 0 || strchr(name, '=')) continue;
    if (strncmp(name, "user.", 5) != 0 && strcmp(name, "security.capability") != 0) continue;
    ssize_t size = fgetxattr(fd, name, value, sizeof value);
    if (size < 0 || entry->xattr_count == XATTRS) continue; /* gone meanwhile, or not readable in this namespace */
    xattrs[entry->xattr_count].name = name;
    xattrs[entry->xattr_count].value = must_alloc(malloc((size_t)size + 1));
    memcpy(xattrs[entry->xattr_count].value, value, (size_t)size);
    xattrs[entry->xattr_count++].length = (size_t)size;
  }
  qsort(xattrs, entry->xattr_count, sizeof *xattrs, by_xattr_name);
  return opaque;
}

static void forget_xattrs(struct tar_entry *entry) {
  for (size_t i = 0; i < entry->xattr_count; i++) free(xattrs[i].value);
  entry->xattr_count = 0;
}

static void write_content(int fd, uint64_t size) {
  static uint8_t bytes[128 * 1024];
  for (uint64_t left = size; left > 0;) {
    ssize_t n = read(fd, bytes, left < sizeof bytes ? left : sizeof bytes);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_errno("read a file");
    if (n == 0) { /* it became shorter: the header stands already */
      memset(bytes, 0, sizeof bytes);
      n = (ssize_t)(left < sizeof bytes ? left : sizeof bytes);
    }
    tar_write(bytes, (size_t)n);
    left -= (uint64_t)n;
  }
  tar_write_padding(size);
}

static void write_mark(const char *directory, const char *name) {
  char path[PATH_BYTES + 8];
  int length = snprintf(path, sizeof path, "%s%s.wh.%s", directory, directory[0] ? "/" : "", name);
  struct tar_entry entry = {.type = '0', .path = path, .path_length = (size_t)length};
  tar_write_header(&entry);
}

static int by_name(const void *a, const void *b) { return strcmp(*(char *const *)a, *(char *const *)b); }

static void pack_directory(int fd, char *path, size_t path_length);

static void pack_one(int parent, const char *name, char *path, size_t path_length) {
  char link[PATH_BYTES + 1];
  struct stat stat;
  if (fstatat(parent, name, &stat, AT_SYMLINK_NOFOLLOW) < 0) {
    if (errno == ENOENT) return; /* removed meanwhile */
    fail_errno("look at an entry");
  }
  report_entry = path;
  if (S_ISCHR(stat.st_mode) && stat.st_rdev == 0) {
    path[path_length - strlen(name) - (path_length > strlen(name))] = 0;
    write_mark(path_length > strlen(name) ? path : "", name);
    return;
  }
  if (strncmp(name, ".wh.", 4) == 0) fail("invalid", "whiteoutName", "A file whose name starts with '.wh.' cannot be in a layer: there the name means a whiteout.");
  struct tar_entry entry = {.path = path, .path_length = path_length, .mode = stat.st_mode & 07777, .uid = stat.st_uid, .gid = stat.st_gid, .mtime = stat.st_mtim};
  if (!S_ISDIR(stat.st_mode) && stat.st_nlink > 1 && (S_ISREG(stat.st_mode) || S_ISLNK(stat.st_mode))) {
    struct linked *first = find_linked(stat.st_ino);
    if (first->path) {
      entry.type = '1';
      entry.link = first->path;
      entry.link_length = strlen(first->path);
      tar_write_header(&entry);
      return;
    }
    *first = (struct linked){stat.st_ino, must_alloc(strdup(path))};
    linked_count++;
  }
  if (S_ISREG(stat.st_mode) || S_ISDIR(stat.st_mode)) {
    /* O_NONBLOCK, and looked at again: it may be something else by now. */
    int fd = openat(parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | (S_ISDIR(stat.st_mode) ? O_DIRECTORY : 0));
    struct stat opened;
    if (fd < 0 && (errno == ENOENT || errno == ELOOP || errno == ENOTDIR || errno == ENXIO)) return;
    if (fd < 0) fail_errno("open an entry");
    if (fstat(fd, &opened) < 0) fail_errno("look at an entry");
    if ((opened.st_mode & S_IFMT) != (stat.st_mode & S_IFMT)) {
      close(fd);
      return;
    }
    bool opaque = read_xattrs(fd, &entry);
    if (S_ISDIR(opened.st_mode)) {
      entry.type = '5';
      path[entry.path_length++] = '/';
      tar_write_header(&entry);
      path[path_length] = 0;
      forget_xattrs(&entry);
      if (opaque) write_mark(path, ".wh..opq");
      pack_directory(fd, path, path_length);
    } else {
      entry.type = '0';
      entry.size = (uint64_t)opened.st_size;
      tar_write_header(&entry);
      forget_xattrs(&entry);
      write_content(fd, entry.size);
    }
    close(fd);
  } else if (S_ISLNK(stat.st_mode)) {
    ssize_t length = readlinkat(parent, name, link, sizeof link);
    if (length < 0) return;
    entry.type = '2';
    entry.link = link;
    entry.link_length = (size_t)length;
    tar_write_header(&entry);
  } else if (S_ISFIFO(stat.st_mode)) {
    entry.type = '6';
    tar_write_header(&entry);
  }
  /* Sockets belong to a running program; device nodes are never part of a layer. */
}

static void pack_directory(int fd, char *path, size_t path_length) {
  int copy = openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *dir = copy < 0 ? NULL : fdopendir(copy);
  char **names = NULL;
  size_t count = 0, capacity = 0;
  if (!dir) fail_errno("read a directory");
  for (struct dirent *child; (child = readdir(dir));) {
    if (strcmp(child->d_name, ".") == 0 || strcmp(child->d_name, "..") == 0) continue;
    if (count == capacity) names = must_alloc(realloc(names, (capacity = capacity * 2 + 16) * sizeof *names));
    names[count++] = must_alloc(strdup(child->d_name));
  }
  closedir(dir);
  if (count > 0) qsort(names, count, sizeof *names, by_name);
  for (size_t i = 0; i < count; i++) {
    size_t length = path_length + (path_length > 0) + strlen(names[i]);
    if (length > PATH_BYTES - 1) fail("invalid", "pathLength", "A path has more than %d bytes.", PATH_BYTES);
    if (path_length > 0) path[path_length] = '/';
    strcpy(path + path_length + (path_length > 0), names[i]);
    pack_one(fd, names[i], path, length);
    path[path_length] = 0;
    free(names[i]);
  }
  free(names);
}

static struct { int count; char **paths; } layers;

static void merge(void *unused) {
  (void)unused;
  merged_clone_layers(layers.count, layers.paths);
  merged_root_begin();
  merged_mount_layers();
  if (chdir("/root") < 0) fail_errno("enter the merged root");
}

static int pack(void *unused) {
  (void)unused;
  char path[PATH_BYTES + 2] = "./", digest[65];
  uint64_t bytes;
  struct stat stat;
  jail_seal();
  int fd = openat(AT_FDCWD, "/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0 || fstat(fd, &stat) < 0) fail_errno("open the directory");
  struct tar_entry root = {.type = '5', .path = path, .path_length = 2, .mode = stat.st_mode & 07777, .uid = stat.st_uid, .gid = stat.st_gid, .mtime = stat.st_mtim};
  read_xattrs(fd, &root);
  tar_write_header(&root);
  forget_xattrs(&root);
  path[0] = 0;
  pack_directory(fd, path, 0);
  tar_write_end(digest, &bytes);
  struct json report = {0};
  json_raw(&report, "{\"report\":{\"diffId\":\"sha256:");
  json_raw(&report, digest);
  json_raw(&report, "\",\"bytes\":");
  json_number(&report, bytes);
  json_raw(&report, "}}");
  json_send(&report, REPORT_FD);
  return 0;
}

int pack_main(int argc, char **argv) {
  report_fd = REPORT_FD;
  char *end;
  uint64_t cpu_seconds = argc >= 2 ? strtoull(argv[1], &end, 10) : 0;
  if (cpu_seconds == 0 || *end != 0 || argc - 2 > MERGED_LAYERS) return 2;
  layers.count = argc - 2;
  layers.paths = argv + 2;
  struct jail_plan plan = {
    .root_fd = layers.count > 0 ? -1 : DIRECTORY_FD, .prepare = layers.count > 0 ? merge : NULL, .writable = 0, .keep_fds = REPORT_FD + 1, .memory_bytes = 640ull << 20, .file_bytes = RLIM_INFINITY,
    .cpu_seconds = cpu_seconds, .open_files = 4400, .capabilities = capabilities,
  };
  return jail_run(&plan, pack, NULL);
}
