/* berth-native disk copy MAX_BYTES MAX_WRITTEN CPU_SECONDS      the disk on descriptor 0 becomes the sparse file `image`
 * berth-native disk convert BYTES MAX_WRITTEN CPU_SECONDS       the qcow2 file `source`, whose header the daemon has
 *                                                               checked, becomes the raw file `image` of BYTES
 * in the directory on descriptor 3; both report the digest of the raw content. What is on a disk is nobody's business:
 * it is copied and hashed, never looked at. Only qemu-img reads a format, the one that was said, as an id that nobody
 * has, and it sees the two files and the distribution's /usr. */
#include "jail.h"
#include "job-report.h"
#include "merged-root.h"
#include "rules.h"
#include "sha256.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* Debian gives the ids from 65000 to 65533 to nobody (Debian Policy, 9.2.2). */
enum { DIRECTORY_FD = 3, PROGRAM_ID = 65533, CHUNK = 1 << 20, BLOCK = 4096, LOOK_EVERY_MS = 100 };
static const int no_capabilities[] = {-1};
static uint8_t chunk[CHUNK];
static struct { uint64_t bytes, max_written, cpu_seconds; } order;

static void report_disk(struct sha256 *hash, uint64_t bytes) {
  char digest[65];
  struct json report = {0};
  sha256_end(hash, digest);
  json_raw(&report, "{\"report\":{\"digest\":\"sha256:");
  json_raw(&report, digest);
  json_raw(&report, "\",\"bytes\":");
  json_number(&report, bytes);
  json_raw(&report, "}}");
  json_send(&report, STDOUT_FILENO);
}

/* All that was asked for, but at the end of the input. */
static size_t read_fully(int fd, uint8_t *target, size_t length) {
  size_t have = 0;
  while (have < length) {
    ssize_t n = read(fd, target + have, length - have);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_errno("read the disk");
    if (n == 0) break;
    have += (size_t)n;
  }
  return have;
}

static void write_at(int fd, uint64_t at, const uint8_t *bytes, size_t length) {
  if (lseek(fd, (off_t)at, SEEK_SET) < 0) fail_errno("write the disk");
  while (length > 0) {
    ssize_t n = write(fd, bytes, length);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_errno("write the disk");
    bytes += n;
    length -= (size_t)n;
  }
}

static bool is_zero(const uint8_t *bytes, size_t length) { return bytes[0] == 0 && memcmp(bytes, bytes + 1, length - 1) == 0; }
static _Noreturn void no_room(void) { fail("exhausted", "room", "The disk has more in it than there is room for on this host."); }

static int copy(void *unused) {
  (void)unused;
  struct sha256 hash;
  uint64_t bytes = 0, written = 0;
  sha256_start(&hash);
  int target = openat(AT_FDCWD, "image", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (target < 0) fail_errno("make the disk");
  jail_seal();
  for (size_t have; (have = read_fully(STDIN_FILENO, chunk, CHUNK)) > 0; bytes += have) {
    if (bytes + have > order.bytes) fail("exhausted", "maxBytes", "The disk has more than the %llu bytes that it may have.", (unsigned long long)order.bytes);
    sha256_add(&hash, chunk, have);
    for (size_t from = 0; from < have;) {
      size_t length = have - from < BLOCK ? have - from : BLOCK;
      bool zero = is_zero(chunk + from, length);
      size_t to = from + length;
      while (to < have) {
        length = have - to < BLOCK ? have - to : BLOCK;
        if (is_zero(chunk + to, length) != zero) break;
        to += length;
      }
      if (!zero) {
        if ((written += to - from) > order.max_written) no_room();
        write_at(target, bytes + from, chunk + from, to - from);
      }
      from = to;
    }
  }
  if (ftruncate(target, (off_t)bytes) < 0) fail_errno("make the disk");
  report_disk(&hash, bytes);
  return 0;
}

/* Holes are hashed without being read. */
static int digest(void *unused) {
  (void)unused;
  struct sha256 hash;
  struct stat stat;
  sha256_start(&hash);
  int disk = openat(AT_FDCWD, "image", O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  if (disk < 0 || fstat(disk, &stat) < 0) fail_errno("open the disk");
  jail_seal();
  uint64_t size = (uint64_t)stat.st_size, at = 0;
  while (at < size) {
    off_t data = lseek(disk, (off_t)at, SEEK_DATA);
    if (data < 0 && errno != ENXIO) fail_errno("read the disk");
    uint64_t hole_end = data < 0 ? size : (uint64_t)data;
    memset(chunk, 0, CHUNK);
    for (; at < hole_end; at += hole_end - at < CHUNK ? hole_end - at : CHUNK) sha256_add(&hash, chunk, hole_end - at < CHUNK ? hole_end - at : CHUNK);
    if (at >= size) break;
    off_t hole = lseek(disk, (off_t)at, SEEK_HOLE);
    if (hole < 0 || lseek(disk, (off_t)at, SEEK_SET) < 0) fail_errno("read the disk");
    while (at < (uint64_t)hole) {
      size_t have = read_fully(disk, chunk, (uint64_t)hole - at < CHUNK ? (uint64_t)hole - at : CHUNK);
      if (have == 0) fail("internal", "digest", "The disk became shorter while it was read.");
      sha256_add(&hash, chunk, have);
      at += have;
    }
  }
  report_disk(&hash, size);
  return 0;
}

static void place_file(int mount_fd, const char *target) {
  int fd = open(target, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0) fail_errno("make a mount point");
  close(fd);
  if (syscall(SYS_move_mount, mount_fd, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH) < 0) fail_errno("attach a mount");
  close(mount_fd);
}

static _Noreturn void run_qemu_img(const char *source, const char *target) {
  char from[256];
  /* A backing file is not opened, whatever the header says. The name of the file is one of ours. */
  snprintf(from, sizeof from, "json:{\"backing\":null,\"file\":{\"driver\":\"file\",\"filename\":\"%s\",\"locking\":\"off\"}}", source);
  char *const arguments[] = {"qemu-img", "convert", "-f", "qcow2", "-O", "raw", "-n", "--target-is-zero", RULE_JAIL ? from : (char *)source, (char *)target, NULL};
  char *const environment[] = {"LC_ALL=C", NULL};
  execve("/usr/bin/qemu-img", arguments, environment);
  _exit(127);
}

static _Noreturn void convert(int log) {
  if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) fail_errno("make mounts private");
  const unsigned long long plain = MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC;
  int source = clone_mount(AT_FDCWD, "source", plain | MOUNT_ATTR_RDONLY), target = clone_mount(AT_FDCWD, "image", plain);
  merged_root_begin();
  merged_system_directories();
  place_file(source, "/in");
  place_file(target, "/out");
  if (umount2("/old", MNT_DETACH) < 0 || rmdir("/old") < 0) fail_errno("hide the host");
  if (mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY | MS_NOSUID | MS_NODEV, NULL) < 0) fail_errno("make the root read-only");
  jail_limit(RLIMIT_AS, 1ull << 30);
  jail_limit(RLIMIT_FSIZE, order.bytes);
  jail_limit(RLIMIT_CPU, order.cpu_seconds);
  jail_limit(RLIMIT_NOFILE, 64);
  jail_limit(RLIMIT_CORE, 0);
  umask(0077);
  if (dup2(log, 1) < 0 || dup2(log, 2) < 0) fail_errno("redirect output");
  if (setresgid(PROGRAM_ID, PROGRAM_ID, PROGRAM_ID) < 0 || setresuid(PROGRAM_ID, PROGRAM_ID, PROGRAM_ID) < 0) _exit(126);
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) _exit(126);
  jail_seal_program();
  run_qemu_img("/in", "/out");
}

static bool is_too_much(int image) {
  struct stat stat;
  return fstat(image, &stat) == 0 && (uint64_t)stat.st_blocks * 512 > order.max_written;
}

/* Until it is over, or has written more than it may. */
static size_t follow(int log, int image, pid_t pid, char *said, size_t room) {
  size_t length = 0;
  for (;;) {
    struct pollfd ready = {.fd = log, .events = POLLIN};
    int news = poll(&ready, 1, LOOK_EVERY_MS);
    if (news > 0) {
      char rest[4096];
      ssize_t n = read(log, rest, sizeof rest);
      if (n <= 0) break;
      size_t take = (size_t)n < room - 1 - length ? (size_t)n : room - 1 - length;
      memcpy(said + length, rest, take);
      length += take;
    }
    if (is_too_much(image)) {
      kill(pid, SIGKILL);
      waitpid(pid, NULL, 0);
      no_room();
    }
  }
  said[length] = 0;
  return length;
}

static int convert_and_wait(void) {
  static char *no_environment[] = {NULL};
  environ = no_environment;
  if (syscall(SYS_close_range, DIRECTORY_FD + 1, ~0u, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) fail_errno("close descriptors");
  if (fchdir(DIRECTORY_FD) < 0) fail_errno("enter the directory");
  int image = openat(AT_FDCWD, "image", O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
  if (image < 0 || ftruncate(image, (off_t)order.bytes) < 0 || fchown(image, PROGRAM_ID, PROGRAM_ID) < 0) fail_errno("make the disk");
  int log[2];
  if (pipe2(log, O_CLOEXEC) < 0) fail_errno("make a pipe");
  pid_t pid = RULE_JAIL ? jail_clone(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) : fork();
  if (pid < 0) fail_errno("start the conversion");
  if (pid == 0) {
    if (RULE_JAIL) {
      close(DIRECTORY_FD);
      close(image);
      convert(log[1]);
    }
    if (dup2(log[1], 1) < 0 || dup2(log[1], 2) < 0) _exit(126);
    run_qemu_img("source", "image");
  }
  close(log[1]);
  char said[512];
  size_t length = follow(log[0], image, pid, said, sizeof said);
  int status;
  while (waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) fail_errno("wait for qemu-img");
  if (WIFEXITED(status) && WEXITSTATUS(status) == 1 && length == 0) return 1; /* the child has reported */
  if (WIFEXITED(status) && WEXITSTATUS(status) == 127) fail("unavailable", "qemuImg", "qemu-img is not installed.");
  if (WIFSIGNALED(status) && (WTERMSIG(status) == SIGKILL || WTERMSIG(status) == SIGXCPU)) fail("exhausted", "cpuTime", "The conversion was ended: its time was used up.");
  if (strstr(said, "No space left")) fail("exhausted", "room", "The disk of this host is full.");
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) fail("invalid", "qemuImg", "qemu-img cannot read it: %s", said);
  if (is_too_much(image)) no_room(); /* it was faster than the looks */
  if (fchown(image, 0, 0) < 0) fail_errno("take over the disk");
  close(image);
  return 0;
}

int disk_main(int argc, char **argv) {
  uint64_t *numbers[] = {&order.bytes, &order.max_written, &order.cpu_seconds};
  if (argc != 5) return 2;
  for (int i = 0; i < 3; i++) {
    char *end;
    *numbers[i] = strtoull(argv[2 + i], &end, 10);
    if (*end != 0 || *numbers[i] == 0) return 2;
  }
  struct jail_plan plan = {
    .root_fd = DIRECTORY_FD, .writable = 1, .keep_fds = DIRECTORY_FD + 1, .memory_bytes = 256ull << 20, .file_bytes = order.bytes,
    .cpu_seconds = order.cpu_seconds, .open_files = 16, .capabilities = no_capabilities,
  };
  if (strcmp(argv[1], "copy") == 0) return jail_run(&plan, copy, NULL);
  if (strcmp(argv[1], "convert") != 0) return 2;
  int failed = convert_and_wait();
  if (failed) return failed;
  plan.writable = 0;
  return jail_run(&plan, digest, NULL);
}
