#include "agent.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/random.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <time.h>
#include <unistd.h>

/* Off in a test build only, which shows what it is for. */
#ifndef RULE_RESEED
#define RULE_RESEED 1
#endif

struct fields setup_fields;
static const char *upper_place = "/upper";
static char upper_device[64], volume_devices[MAX_VOLUMES][64];
static int volume_count;

/* mmio disks come up in reverse order: the serial says which is which. */
static int find_disk(const char *serial, char *path, size_t room) {
  for (int attempt = 0; attempt < 200; attempt++) {
    DIR *dir = opendir("/sys/class/block");
    for (struct dirent *e; dir && (e = readdir(dir));) {
      char file[300], text[64];
      snprintf(file, sizeof file, "/sys/class/block/%s/serial", e->d_name);
      ssize_t length = e->d_name[0] == '.' ? -1 : read_file(file, text, sizeof text);
      if (length < 0) continue;
      text[strcspn(text, "\n")] = 0;
      if (strcmp(text, serial)) continue;
      snprintf(path, room, "/dev/%.40s", e->d_name);
      closedir(dir);
      return 0;
    }
    if (dir) closedir(dir);
    usleep(5000);
  }
  return -1;
}

int set_clock(struct fields f, struct failure *why) {
  long long now = field_number(f, "clock-ns", 0);
  struct timespec time = {.tv_sec = now / 1000000000, .tv_nsec = now % 1000000000};
  if (now > 0 && clock_settime(CLOCK_REALTIME, &time)) return fail(why, "internal", "clock: %s", strerror(errno));
  const char *seed = field(f, "seed", "");
  size_t length = strlen(seed) / 2;
  struct { struct rand_pool_info info; unsigned char bytes[64]; } pool = {0};
  if (length > sizeof pool.bytes) length = sizeof pool.bytes;
  for (size_t i = 0; i < length; i++) {
    unsigned byte;
    if (sscanf(seed + 2 * i, "%2x", &byte) != 1) return fail(why, "invalid", "malformed seed");
    ((unsigned char *)pool.info.buf)[i] = byte;
  }
  if (!length || !RULE_RESEED) return 0;
  /* Machines that resumed from one memory have one pool: without this they would draw the same numbers. */
  int fd = open("/dev/urandom", O_RDWR | O_CLOEXEC);
  pool.info.entropy_count = length * 8;
  pool.info.buf_size = length;
  if (fd < 0 || ioctl(fd, RNDADDENTROPY, &pool) || ioctl(fd, RNDRESEEDCRNG)) return fail(why, "internal", "randomness: %s", strerror(errno));
  close(fd);
  return 0;
}

static int mount_root(struct fields f, struct failure *why) {
  char device[64], options[256];
  const char *upper = field(f, "upper", "");
  if (field_number(f, "flat", 0)) {
    upper_place = "/root";
    if (find_disk(upper, upper_device, sizeof upper_device)) return fail(why, "internal", "the root disk did not appear");
    if (mount(upper_device, "/root", "ext4", MS_NOATIME, NULL)) return fail(why, "internal", "root disk: %s", strerror(errno));
    return 0;
  }
  if (find_disk(field(f, "root", "root"), device, sizeof device)) return fail(why, "internal", "the root disk did not appear");
  if (mount(device, "/lower", "erofs", MS_RDONLY | MS_NODEV, NULL)) return fail(why, "internal", "root disk: %s", strerror(errno));
  if (*upper) {
    if (find_disk(upper, upper_device, sizeof upper_device)) return fail(why, "internal", "the upper disk did not appear");
    if (mount(upper_device, "/upper", "ext4", MS_NODEV | MS_NOATIME, NULL)) return fail(why, "internal", "upper disk: %s", strerror(errno));
  } else {
    snprintf(options, sizeof options, "mode=755,size=%lld", field_number(f, "upper-bytes", 0));
    if (mount("upper", "/upper", "tmpfs", MS_NODEV, field_number(f, "upper-bytes", 0) ? options : "mode=755")) return fail(why, "internal", "upper: %s", strerror(errno));
  }
  mkdir("/upper/up", 0755);
  mkdir("/upper/work", 0755);
  /* One meaning of an upper in every form: no redirects, no metadata copies, no index. A tmpfs of this kernel has no user
   * attributes, and what is thrown away needs to mean nothing elsewhere. */
  snprintf(options, sizeof options, "lowerdir=/lower,upperdir=/upper/up,workdir=/upper/work,index=off,xino=off%s", *upper ? ",userxattr" : ",redirect_dir=nofollow,metacopy=off");
  if (mount("overlay", "/root", "overlay", 0, options)) return fail(why, "internal", "root: %s", strerror(errno));
  return 0;
}

/* The disk may have grown since its file system was made or last grew: the kernel makes it as large as its disk, and has
 * nothing to do where it is. One that it cannot grow is as good as it was. */
static void grow_to_disk(const char *device, const char *path) {
  int disk = open(device, O_RDONLY | O_CLOEXEC), top = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  uint64_t bytes;
  struct statfs s;
  if (disk >= 0 && top >= 0 && ioctl(disk, BLKGETSIZE64, &bytes) == 0 && fstatfs(top, &s) == 0 && s.f_bsize > 0) {
    uint64_t blocks = bytes / (uint64_t)s.f_bsize;
    ioctl(top, _IOW('f', 16, uint64_t) /* EXT4_IOC_RESIZE_FS, fs/ext4/ext4.h */, &blocks);
  }
  if (disk >= 0) close(disk);
  if (top >= 0) close(top);
}

/* A device that is not there answers at once: there is nothing to wait for but its driver's look at it. */
static int mount_share(const char *tag, const char *path, unsigned long flags) {
  for (int attempt = 0; attempt < 200; attempt++) {
    if (mount(tag, path, "virtiofs", flags, NULL) == 0) return 0;
    if (errno != EINVAL) return -1;
    usleep(5000);
  }
  return -1;
}

/* volume=SERIAL|TAG disk|share ro|rw TARGET */
static int mount_volumes(struct fields f, struct failure *why) {
  const char *text;
  for (size_t at = 0; (text = field_next(f, "volume", &at)); volume_count++) {
    char name[32], kind[6], mode[3], path[32];
    int used = 0;
    if (volume_count == MAX_VOLUMES || sscanf(text, "%31s %5s %2s %n", name, kind, mode, &used) != 3 || text[used] != '/') return fail(why, "invalid", "malformed volume");
    char *device = volume_devices[volume_count];
    bool fixed = strcmp(mode, "ro") == 0, shared = strcmp(kind, "share") == 0;
    unsigned long flags = MS_NODEV | MS_NOSUID | (fixed ? MS_RDONLY : 0);
    if (shared && load_modules("share", why)) return -1;
    if (!shared && find_disk(name, device, sizeof *volume_devices)) return fail(why, "internal", "the disk of the volume at %.100s did not appear", text + used);
    snprintf(path, sizeof path, "/volumes/%d", volume_count);
    make_directories(path, 0755);
    if ((shared ? mount_share(name, path, flags) : mount(device, path, "ext4", flags, NULL)) == 0) {
      if (!fixed && !shared) grow_to_disk(device, path);
      continue;
    }
    /* Whose last user was cut off has to be written before it can be read. */
    if (fixed && !shared && errno == EROFS) return fail(why, "wrongState", "the volume at %.100s was not left clean by whoever wrote it: start somebody who may write it first", text + used);
    return fail(why, "internal", "volume at %.100s: %s", text + used, strerror(errno));
  }
  return 0;
}

int volume_mounts(int trees[MAX_VOLUMES]) {
  char path[32];
  for (int i = 0; i < volume_count; i++) {
    snprintf(path, sizeof path, "/volumes/%d", i);
    trees[i] = open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
  }
  return volume_count;
}

/* The workload has them alone: with its end, or by its init's own unmounting, they are left clean. */
void let_go_of_volumes(void) {
  char path[32];
  for (int i = 0; i < volume_count; i++) {
    snprintf(path, sizeof path, "/volumes/%d", i);
    umount2(path, MNT_DETACH);
  }
}

/* The file system lets go of its disk a moment after its last mount; exclusive opening tells when. */
static void wait_for_disk(const char *device, int flags) {
  for (int attempt = 0; attempt < 400; attempt++) {
    int fd = open(device, flags | O_EXCL | O_CLOEXEC);
    if (fd >= 0) { fsync(fd); close(fd); return; }
    usleep(2500);
  }
}

int system_setup(struct fields f, bool resumed, struct failure *why) {
  char *copy = malloc(f.length);
  if (!copy) return fail(why, "exhausted", "out of memory");
  setup_fields = (struct fields){memcpy(copy, f.data, f.length), f.length};
  if (set_clock(f, why) || load_modules("root", why)) return -1;
  if (*field(f, "interface", "") && load_modules("network", why)) return -1;
  if (resumed) probe_devices();
  const char *name = field(f, "hostname", "");
  if (*name && sethostname(name, strlen(name))) return fail(why, "internal", "host name: %s", strerror(errno));
  if (network_setup(f, why) || mount_root(f, why) || mount_volumes(f, why)) return -1;
  const char *text;
  for (size_t at = 0; (text = field_next(f, "sysctl", &at));) {
    char path[256];
    const char *value = strchr(text, '=');
    if (!value || value - text > 200) return fail(why, "invalid", "malformed sysctl");
    snprintf(path, sizeof path, "/proc/sys/%.*s", (int)(value - text), text);
    for (char *p = path + 10; *p; p++) if (*p == '.') *p = '/';
    if (strstr(path, "//") || write_file(path, value + 1)) return fail(why, "invalid", "sysctl %.*s: %s", (int)(value - text), text, strerror(errno));
  }
  if (mount("cgroup", CGROUP_DIR, "cgroup2", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL) == 0) {
    write_file(CGROUP_DIR "/cgroup.subtree_control", "+cpu +io +pids +memory");
    mkdir(WORKLOAD_CGROUP, 0755);
  }
  return 0;
}

/* Leaves the disks clean: once the exit record is out, the machine may vanish at any moment. */
void system_teardown(void) {
  int fd = open(upper_place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd >= 0 && *upper_device) syncfs(fd);
  if (fd >= 0) close(fd);
  umount2("/root", MNT_DETACH);
  let_go_of_volumes();
  for (int i = 0; i < volume_count; i++) if (*volume_devices[i]) wait_for_disk(volume_devices[i], O_RDONLY);
  if (!*upper_device) return;
  umount2(upper_place, MNT_DETACH);
  wait_for_disk(upper_device, O_RDWR);
}
