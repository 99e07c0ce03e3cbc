#include "layer-tree.h"
#include "byte-stream.h"
#include "job-report.h"
#include "rules.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

enum { PATH_BYTES = 4095, NAME_BYTES = 255, LISTED = 1000, XATTR_VALUE_BYTES = 4096, XATTRS_BYTES = 16384, HIGHEST_ID = 65535 };

struct layer_totals tree_totals;
struct json tree_notes, tree_setuid;
static size_t notes, setuids;
static int root = -1;
static bool setgid_seen;

/* Directories whose times are set at the end. */
static struct { char *path; struct timespec mtime; } *directories;
static size_t directory_count, directory_capacity;

static void note(const char *format, ...) {
  char text[600];
  if (notes++ >= LISTED) return;
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(text, sizeof text, format, arguments);
  va_end(arguments);
  if (notes > 1) json_raw(&tree_notes, ",");
  json_string(&tree_notes, text, strlen(text));
}

void tree_open(void) {
  root = open(".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (root < 0) fail_errno("open the layer's directory");
}

/* A path as a layer may name it: relative, without '..'. `clean` gets it without './' and doubled slashes; an empty
 * answer is the root itself. */
static size_t clean_path(const char *path, size_t length, char clean[PATH_BYTES + 1], const char *what) {
  size_t out = 0;
  if (length == 0) fail("invalid", "emptyPath", "An entry has an empty %s.", what);
  if (path[0] == '/' && RULE_ABSOLUTE_PATH) fail("invalid", "absolutePath", "The entry's %s starts with a slash.", what);
  if (length > PATH_BYTES) {
    if (RULE_PATH_LENGTH) fail("invalid", "pathLength", "The entry's %s has more than %d bytes.", what, PATH_BYTES);
    length = PATH_BYTES;
  }
  for (size_t at = 0; at < length;) {
    const char *part = path + at, *slash = memchr(part, '/', length - at);
    size_t part_length = slash ? (size_t)(slash - part) : length - at;
    at += part_length + 1;
    if (part_length == 0 || (part_length == 1 && part[0] == '.')) continue;
    if (part_length == 2 && part[0] == '.' && part[1] == '.' && RULE_PARENT_REFERENCE)
      fail("invalid", "parentReference", "The entry's %s has a '..' component.", what);
    if (part_length >= 2 && part[1] == ':' && ((part[0] | 32) >= 'a' && (part[0] | 32) <= 'z') && strspn(part + 2, ".") >= part_length - 2 && RULE_DRIVE_PREFIX)
      fail("invalid", "drivePrefix", "The entry's %s has a drive letter.", what);
    /* The mark of a whiteout does not count: it hides a name of any length. */
    if (part_length > NAME_BYTES + (strncmp(part, ".wh.", 4) == 0 ? 4 : 0) && RULE_PATH_LENGTH) fail("invalid", "pathLength", "A component of the entry's %s has more than %d bytes.", what, NAME_BYTES);
    if (out > 0) clean[out++] = '/';
    memcpy(clean + out, part, part_length);
    out += part_length;
  }
  clean[out] = 0;
  return out;
}

/* Whiteout names are marks, not files: '.wh.' may begin the last component of a whiteout and no other. */
static void check_whiteout_components(const char *path, bool last_too) {
  for (const char *part = path; RULE_WHITEOUT_NAME;) {
    const char *slash = strchr(part, '/');
    if ((slash || last_too) && strncmp(part, ".wh.", 4) == 0) fail("invalid", "whiteoutName", "A name that starts with '.wh.' is a whiteout and can be nothing else.");
    if (!slash) return;
    part = slash + 1;
  }
}

static int open_below(const char *path, uint64_t flags) {
  struct open_how how = {
    .flags = flags | O_CLOEXEC,
    .resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_XDEV | (RULE_THROUGH_SYMLINK ? RESOLVE_NO_SYMLINKS : 0),
  };
  return (int)syscall(SYS_openat2, root, path, &how, sizeof how);
}

static _Noreturn void refuse_walk(void) {
  if (errno == ELOOP) fail("invalid", "throughSymlink", "The entry's path leads through a symbolic link of this layer.");
  if (errno == EXDEV) fail("invalid", "outside", "The entry's path leads out of the layer.");
  if (errno == ENOTDIR) fail("invalid", "notDirectory", "The entry's path leads through something that is not a directory.");
  if (errno == ENAMETOOLONG) fail("invalid", "pathLength", "The entry's path is too long.");
  fail_errno("walk to the entry");
}

static bool is_whiteout(const struct stat *stat) { return S_ISCHR(stat->st_mode) && stat->st_rdev == 0; }

static bool opaque_made, whiteout_made;

static void make_opaque(int fd) {
  opaque_made = true;
  if (fsetxattr(fd, "user.overlay.opaque", "y", 1, 0) < 0) fail_errno("mark a directory as opaque");
}

/* Makes the directory, over a whiteout as an opaque one: what lower layers have there was whited out. */
static void make_directory(int parent, const char *name, mode_t mode) {
  struct stat stat;
  if (mkdirat(parent, name, mode) == 0) return;
  if (errno != EEXIST) fail_errno("make a directory");
  if (fstatat(parent, name, &stat, AT_SYMLINK_NOFOLLOW) < 0) fail_errno("look at an entry");
  if (S_ISDIR(stat.st_mode)) return;
  if (unlinkat(parent, name, 0) < 0 || mkdirat(parent, name, mode) < 0) fail_errno("replace an entry by a directory");
  if (!is_whiteout(&stat)) return;
  int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) fail_errno("open a directory");
  make_opaque(fd);
  close(fd);
}

/* Opens the directory that holds the last component, making what is missing on the way; resolved from the root each
 * time, because any entry may have replaced any part of it. */
static int open_parent(char *path, const char **name) {
  char *slash = strrchr(path, '/');
  *name = slash ? slash + 1 : path;
  if (!slash) return fcntl(root, F_DUPFD_CLOEXEC, 0);
  *slash = 0;
  int fd = open_below(path, O_PATH | O_DIRECTORY);
  if (fd < 0 && (errno == ENOENT || errno == ENOTDIR)) {
    for (char *end = path;; *end++ = '/') {
      end = strchr(end, '/');
      if (end) *end = 0;
      fd = open_below(path, O_PATH | O_DIRECTORY);
      struct stat stat;
      bool whiteout = fd < 0 && errno == ENOTDIR && (fd = open_below(path, O_PATH)) >= 0 && fstat(fd, &stat) == 0 && is_whiteout(&stat);
      if (whiteout || (fd < 0 && errno == ENOENT)) {
        if (fd >= 0) close(fd);
        const char *last = strrchr(path, '/');
        int above = -1;
        if (last) {
          path[last - path] = 0;
          above = open_below(path, O_PATH | O_DIRECTORY);
          path[last - path] = '/';
        } else above = fcntl(root, F_DUPFD_CLOEXEC, 0);
        if (above < 0) refuse_walk();
        make_directory(above, last ? last + 1 : path, 0755);
        close(above);
        fd = open_below(path, O_PATH | O_DIRECTORY);
      } else if (fd >= 0 && !whiteout) {
        struct stat found;
        if (fstat(fd, &found) < 0 || !S_ISDIR(found.st_mode)) {
          errno = ENOTDIR;
          refuse_walk();
        }
      }
      if (fd < 0) refuse_walk();
      if (!end) break;
      close(fd);
    }
  }
  if (fd < 0) refuse_walk();
  *slash = '/';
  return fd;
}

/* Removes whatever this layer made there, a directory with all that is in it. */
static void remove_existing(int parent, const char *name) {
  if (unlinkat(parent, name, 0) == 0 || errno == ENOENT) return;
  if (errno != EISDIR && errno != EPERM) fail_errno("replace an entry");
  int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  DIR *dir = fd < 0 ? NULL : fdopendir(fd);
  if (!dir) fail_errno("replace a directory");
  for (struct dirent *child; (child = readdir(dir));)
    if (strcmp(child->d_name, ".") != 0 && strcmp(child->d_name, "..") != 0) remove_existing(fd, child->d_name);
  closedir(dir);
  if (unlinkat(parent, name, AT_REMOVEDIR) < 0) fail_errno("replace a directory");
}

/* The attribute's value is what setcap(8) writes: version 2, or version 3 for the root user (linux/capability.h). */
static bool is_plain_capability(struct tar_xattr *xattr) {
  static const uint8_t no_root_id[4];
  if (xattr->length == 24 && xattr->value[3] == 3 && memcmp(xattr->value + 20, no_root_id, 4) == 0) {
    xattr->value[3] = 2;
    xattr->length = 20;
  }
  return xattr->length == 20 && xattr->value[3] == 2;
}

static void set_xattrs(int fd, struct tar_entry *entry) {
  size_t total = 0;
  for (size_t i = 0; i < entry->xattr_count; i++) {
    struct tar_xattr *xattr = &entry->xattrs[i];
    const char *refused = NULL;
    if (strncmp(xattr->name, "user.overlay.", 13) == 0 || strncmp(xattr->name, "trusted.overlay.", 16) == 0) refused = "overlay marks are not taken from an archive";
    else if (strcmp(xattr->name, "security.capability") == 0) refused = is_plain_capability(xattr) ? NULL : "not a capability set of root";
    else if (strncmp(xattr->name, "user.", 5) != 0) refused = "not on the list of attributes that are kept";
    else if (xattr->length > XATTR_VALUE_BYTES || strlen(xattr->name) > NAME_BYTES) refused = "larger than 4 KiB";
    total += xattr->length + strlen(xattr->name);
    if (!refused && total > XATTRS_BYTES) refused = "more than 16 KiB of attributes";
    if (RULE_XATTR && refused) note("%.200s: attribute %.100s dropped: %s", entry->path, xattr->name, refused);
    else if (fd < 0) note("%.200s: attribute %.100s dropped: only files and directories keep attributes", entry->path, xattr->name);
    else if (fsetxattr(fd, xattr->name, xattr->value, xattr->length, 0) < 0) {
      /* ENOSPC says that the inode has no room for it; a full disk shows at the next file. */
      if (errno != ENOSPC && errno != EPERM && errno != EINVAL && errno != EOPNOTSUPP && errno != E2BIG && errno != ERANGE) fail_errno("set an extended attribute");
      note("%.200s: attribute %.100s dropped: the kernel refused it (%s)", entry->path, xattr->name, strerror(errno));
    }
  }
}

static void set_times(int fd, const char *name, struct timespec mtime, int flags) {
  struct timespec times[2] = {mtime, mtime};
  if (utimensat(fd, name, times, flags) < 0) fail_errno("set the time of an entry");
}

static void write_content(int fd, uint64_t size) {
  for (uint64_t left = size; left > 0;) {
    const uint8_t *bytes;
    size_t n = stream_peek(&bytes);
    if (n == 0) fail("invalid", "truncated", "The layer ends in the middle of an entry.");
    if (n > left) n = left;
    ssize_t written = write(fd, bytes, n);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) fail_errno("write a file");
    stream_take((size_t)written);
    left -= (uint64_t)written;
  }
}

static void list_setuid(const char *path) {
  if (setuids++ >= LISTED) return;
  if (setuids > 1) json_raw(&tree_setuid, ",");
  json_string(&tree_setuid, path, strlen(path));
}

static void add_file(struct tar_entry *entry, int parent, const char *name, const char *path) {
  bool plain = (entry->mode & 07000) == 0 && entry->uid == 0 && entry->gid == 0 && !setgid_seen;
  int fd = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, plain ? entry->mode : 0600);
  if (fd < 0 && errno == EEXIST) {
    remove_existing(parent, name);
    fd = openat(parent, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, plain ? entry->mode : 0600);
  }
  if (fd < 0) fail_errno("make a file");
  write_content(fd, entry->size);
  /* chown clears the setuid bits and the capabilities, so it comes first. */
  if (!plain && (fchown(fd, (uid_t)entry->uid, (gid_t)entry->gid) < 0 || fchmod(fd, (mode_t)entry->mode) < 0)) fail_errno("set owner and mode of a file");
  if (entry->xattr_count > 0) set_xattrs(fd, entry);
  struct timespec times[2] = {entry->mtime, entry->mtime};
  if (futimens(fd, times) < 0) fail_errno("set the time of a file");
  close(fd);
  if (entry->mode & 06000) list_setuid(path);
  tree_totals.file_bytes += entry->size;
  tar_skip(0, entry->size);
}

static void add_directory(struct tar_entry *entry, int parent, const char *name, const char *path) {
  if (parent >= 0) make_directory(parent, name, 0700);
  int fd = parent < 0 ? fcntl(root, F_DUPFD_CLOEXEC, 0) : openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0 || fchown(fd, (uid_t)entry->uid, (gid_t)entry->gid) < 0 || fchmod(fd, (mode_t)entry->mode) < 0) fail_errno("set owner and mode of a directory");
  if (entry->mode & S_ISGID) setgid_seen = true;
  if (entry->xattr_count > 0) set_xattrs(fd, entry);
  close(fd);
  if (directory_count == directory_capacity) {
    directory_capacity = directory_capacity * 2 + 64;
    directories = must_alloc(realloc(directories, directory_capacity * sizeof *directories));
  }
  directories[directory_count].path = must_alloc(strdup(path[0] ? path : "."));
  directories[directory_count++].mtime = entry->mtime;
}

static void add_symlink(struct tar_entry *entry, int parent, const char *name) {
  if (entry->link_length == 0) fail("invalid", "emptyPath", "A symbolic link has no target.");
  if (entry->link_length > PATH_BYTES) fail("invalid", "pathLength", "The target of a symbolic link has more than %d bytes.", PATH_BYTES);
  if (symlinkat(entry->link, parent, name) < 0) {
    if (errno != EEXIST) fail_errno("make a symbolic link");
    remove_existing(parent, name);
    if (symlinkat(entry->link, parent, name) < 0) fail_errno("make a symbolic link");
  }
  if (fchownat(parent, name, (uid_t)entry->uid, (gid_t)entry->gid, AT_SYMLINK_NOFOLLOW) < 0) fail_errno("set the owner of a symbolic link");
  if (entry->xattr_count > 0) set_xattrs(-1, entry);
  set_times(parent, name, entry->mtime, AT_SYMLINK_NOFOLLOW);
}

static void add_hardlink(struct tar_entry *entry, int parent, const char *name) {
  char target[PATH_BYTES + 1];
  const char *target_name;
  struct stat found, existing;
  if (clean_path(entry->link, entry->link_length, target, "link target") == 0) fail("invalid", "hardlinkTarget", "A hard link points to the root.");
  check_whiteout_components(target, true);
  char *slash = strrchr(target, '/');
  target_name = slash ? slash + 1 : target;
  if (slash) *slash = 0;
  int from = slash ? open_below(target, O_PATH | O_DIRECTORY) : fcntl(root, F_DUPFD_CLOEXEC, 0);
  if (from < 0 && errno != ENOENT) refuse_walk();
  if (from < 0 || fstatat(from, target_name, &found, AT_SYMLINK_NOFOLLOW) < 0)
    fail("invalid", "hardlinkTarget", "A hard link points to something that this layer does not have before it.");
  if (RULE_HARDLINK_TARGET && !S_ISREG(found.st_mode) && !S_ISLNK(found.st_mode) && !S_ISFIFO(found.st_mode))
    fail("invalid", "hardlinkTarget", "A hard link points to a directory or a whiteout.");
  bool same = fstatat(parent, name, &existing, AT_SYMLINK_NOFOLLOW) == 0 && existing.st_ino == found.st_ino;
  if (!same) {
    remove_existing(parent, name);
    /* The removal may have taken the target along, when the link replaces a directory above it. */
    if (linkat(from, target_name, parent, name, 0) < 0) {
      if (errno == ENOENT) fail("invalid", "hardlinkTarget", "A hard link replaces the directory that holds its target.");
      fail_errno("make a hard link");
    }
  }
  close(from);
}

static void add_fifo(struct tar_entry *entry, int parent, const char *name) {
  remove_existing(parent, name);
  if (mknodat(parent, name, S_IFIFO | (mode_t)(entry->mode & 0777), 0) < 0) fail_errno("make a FIFO");
  if (fchownat(parent, name, (uid_t)entry->uid, (gid_t)entry->gid, AT_SYMLINK_NOFOLLOW) < 0) fail_errno("set the owner of a FIFO");
  if (entry->xattr_count > 0) set_xattrs(-1, entry);
  set_times(parent, name, entry->mtime, AT_SYMLINK_NOFOLLOW);
}

/* `.wh.NAME` hides NAME of the layers below; `.wh..wh..opq` hides all that they have in this directory. What this
 * layer itself has there stays (OCI image layer specification, “Whiteouts”). */
static void add_whiteout(struct tar_entry *entry, int parent, const char *name, bool at_root) {
  if (RULE_WHITEOUT_NAME && (entry->type != '0' || entry->size != 0)) fail("invalid", "whiteoutName", "A whiteout must be an empty regular file.");
  const char *hidden = name + 4;
  struct stat stat;
  if (strcmp(hidden, ".wh..opq") == 0) {
    if (at_root && RULE_WHITEOUT_NAME) fail("invalid", "whiteoutName", "The root cannot be opaque: whiteouts hide what is to go.");
    int fd = openat(parent, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) fail_errno("open a directory");
    make_opaque(fd);
    close(fd);
    return;
  }
  if (RULE_WHITEOUT_NAME && (hidden[0] == 0 || strcmp(hidden, ".") == 0 || strcmp(hidden, "..") == 0 || strncmp(hidden, ".wh.", 4) == 0))
    fail("invalid", "whiteoutName", "A whiteout must name one thing of its own directory.");
  if (hidden[0] == 0) return;
  whiteout_made = true;
  if (mknodat(parent, hidden, S_IFCHR, makedev(0, 0)) == 0) return;
  if (errno != EEXIST) fail_errno("make a whiteout");
  if (fstatat(parent, hidden, &stat, AT_SYMLINK_NOFOLLOW) < 0) fail_errno("look at an entry");
  if (!S_ISDIR(stat.st_mode)) return;
  int fd = openat(parent, hidden, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) fail_errno("open a directory");
  make_opaque(fd);
  close(fd);
}

static void check_entry(const struct tar_entry *entry) {
  static const char types[] = "0123456";
  if (!strchr(types, entry->type) || entry->type == 0) {
    if (entry->type == 'S') fail("invalid", "sparse", "Sparse files are not allowed in a layer.");
    fail("invalid", "type", "The entry has an unknown type.");
  }
  if (entry->type != '0' && entry->size != 0 && RULE_NUMBER) fail("invalid", "number", "Only a regular file may have content.");
  if ((entry->uid > HIGHEST_ID || entry->gid > HIGHEST_ID) && RULE_ID_RANGE)
    fail("invalid", "idRange", "The entry belongs to %llu:%llu; ids above %d do not exist inside an instance.", (unsigned long long)entry->uid, (unsigned long long)entry->gid, HIGHEST_ID);
  if (entry->mtime.tv_sec > (time_t)1 << 40 || entry->mtime.tv_sec < -((time_t)1 << 40)) fail("invalid", "number", "The entry's time is out of range.");
}

void tree_add(struct tar_entry *entry) {
  char path[PATH_BYTES + 1];
  const char *name;
  tree_totals.entries++;
  check_entry(entry);
  size_t length = clean_path(entry->path, entry->path_length, path, "path");
  if (length == 0) {
    if (entry->type != '5') fail("invalid", "emptyPath", "The root of a layer can only be a directory.");
    add_directory(entry, -1, NULL, path);
    return;
  }
  char *slash = strrchr(path, '/');
  bool whiteout = strncmp(slash ? slash + 1 : path, ".wh.", 4) == 0;
  check_whiteout_components(path, entry->type != '0');
  if (RULE_DEVICE_NODE && (entry->type == '3' || entry->type == '4')) {
    note("%.200s: device node %llu:%llu not made", entry->path, (unsigned long long)entry->major, (unsigned long long)entry->minor);
    return;
  }
  int parent = open_parent(path, &name);
  if (whiteout) add_whiteout(entry, parent, name, !slash);
  else if (entry->type == '0') add_file(entry, parent, name, path);
  else if (entry->type == '1') add_hardlink(entry, parent, name);
  else if (entry->type == '2') add_symlink(entry, parent, name);
  else if (entry->type == '5') add_directory(entry, parent, name, path);
  else if (entry->type == '6') add_fifo(entry, parent, name);
  else if (mknodat(parent, name, S_IFCHR | (mode_t)entry->mode, makedev(entry->major, entry->minor)) < 0) fail_errno("make a device node");
  close(parent);
}

/* Below an opaque directory nothing is left to hide, and overlay would list such a whiteout as a file that is not there. */
static void drop_idle_whiteouts(int dir, bool below_opaque) {
  DIR *stream = fdopendir(dir);
  char value;
  if (!stream) fail_errno("read a directory");
  below_opaque = below_opaque || fgetxattr(dir, "user.overlay.opaque", &value, 1) == 1;
  for (struct dirent *child; (child = readdir(stream));) {
    struct stat stat;
    if (strcmp(child->d_name, ".") == 0 || strcmp(child->d_name, "..") == 0) continue;
    if (child->d_type == DT_DIR) {
      int below = openat(dir, child->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
      if (below < 0) fail_errno("open a directory");
      drop_idle_whiteouts(below, below_opaque);
    } else if (below_opaque && child->d_type == DT_CHR && fstatat(dir, child->d_name, &stat, AT_SYMLINK_NOFOLLOW) == 0 && is_whiteout(&stat) && unlinkat(dir, child->d_name, 0) < 0)
      fail_errno("drop a whiteout");
  }
  closedir(stream);
}

void tree_close(void) {
  report_entry = NULL;
  if (opaque_made && whiteout_made) drop_idle_whiteouts(fcntl(root, F_DUPFD_CLOEXEC, 0), false);
  for (size_t i = 0; i < directory_count; i++) {
    int fd = open_below(directories[i].path, O_RDONLY | O_DIRECTORY);
    if (fd < 0) continue; /* replaced by a later entry */
    struct timespec times[2] = {directories[i].mtime, directories[i].mtime};
    if (futimens(fd, times) < 0) fail_errno("set the time of a directory");
    close(fd);
  }
  if (syncfs(root) < 0) fail_errno("write the layer to the disk");
}
