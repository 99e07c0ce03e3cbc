/* berth-native erofs UUID CPU_SECONDS LAYER...        (lowest layer first)
 * The layers as one read-only EROFS image, written to `image` in the directory on descriptor 3. mkfs.erofs walks what
 * an image brought, so it runs in namespaces of its own, sees the distribution's /usr read-only, the merged layers and
 * the output, and may do nothing but read. */
#include "jail.h"
#include "job-report.h"
#include "merged-root.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <sched.h>
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

enum { OUTPUT_FD = 3 };
static const int capabilities[] = {CAP_DAC_READ_SEARCH, -1};

static _Noreturn void build(int count, char **layers, char *uuid, uint64_t cpu_seconds, int log) {
  if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) fail_errno("make mounts private");
  int output = clone_mount(AT_FDCWD, ".", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
  merged_clone_layers(count, layers);
  merged_root_begin();
  merged_system_directories();
  place_mount(output, "/out");
  if (mkdir("/tmp", 0700) < 0) fail_errno("make a directory"); /* mkfs.erofs collects attributes there */
  merged_mount_layers();
  if (umount2("/old", MNT_DETACH) < 0) fail_errno("hide the host");
  jail_limit(RLIMIT_AS, 4ull << 30);
  jail_limit(RLIMIT_CPU, cpu_seconds);
  jail_limit(RLIMIT_CORE, 0);
  umask(0077);
  if (dup2(log, 1) < 0 || dup2(log, 2) < 0) fail_errno("redirect output");
  jail_keep_capabilities(capabilities);
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) _exit(126);
  char *const arguments[] = {"mkfs.erofs", "-T0", "-U", uuid, "/out/image", "/root", NULL};
  char *const environment[] = {"LC_ALL=C", NULL};
  static const char *const places[] = {"/usr/bin/mkfs.erofs", "/usr/sbin/mkfs.erofs", "/sbin/mkfs.erofs"};
  for (size_t i = 0; i < sizeof places / sizeof *places; i++) execve(places[i], arguments, environment);
  _exit(127);
}

int erofs_main(int argc, char **argv) {
  char *end;
  if (argc < 4 || argc - 3 > MERGED_LAYERS || strlen(argv[1]) != 36) return 2;
  uint64_t cpu_seconds = strtoull(argv[2], &end, 10);
  if (*end != 0 || cpu_seconds == 0) return 2;
  static char *no_environment[] = {NULL};
  environ = no_environment;
  if (syscall(SYS_close_range, OUTPUT_FD + 1, ~0u, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) fail_errno("close descriptors");
  if (fchdir(OUTPUT_FD) < 0) fail_errno("enter the directory");
  close(OUTPUT_FD);
  int log[2];
  if (pipe2(log, O_CLOEXEC) < 0) fail_errno("make a pipe");
  pid_t pid = jail_clone(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS);
  if (pid == 0) build(argc - 3, argv + 3, argv[1], cpu_seconds, log[1]);
  close(log[1]);
  char said[512], rest[4096];
  size_t length = 0;
  for (ssize_t n; (n = read(log[0], rest, sizeof rest)) > 0;) {
    size_t take = (size_t)n < sizeof said - 1 - length ? (size_t)n : sizeof said - 1 - length;
    memcpy(said + length, rest, take);
    length += take;
  }
  said[length] = 0;
  int status;
  while (waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) fail_errno("wait for mkfs.erofs");
  if (WIFEXITED(status) && WEXITSTATUS(status) == 1 && length == 0) return 1; /* the child has reported */
  if (WIFEXITED(status) && WEXITSTATUS(status) == 127) fail("unavailable", "mkfs.erofs", "mkfs.erofs is not installed.");
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) fail("internal", "mkfs.erofs", "mkfs.erofs failed: %s", said);
  if (write(STDOUT_FILENO, "{\"report\":{}}\n", 14) != 14) return 1;
  return 0;
}
