/* berth-native erofs UUID CPU_SECONDS LAYER...             the layers (lowest first) as one read-only EROFS image
 * berth-native ext4 UUID CPU_SECONDS BYTES LAYER...        the same as an ext4 file system of that size
 * Written to `image` in the directory on descriptor 3. mkfs.erofs and mke2fs walk what an image brought, so they run in
 * namespaces of their own, see the distribution's /usr read-only, the merged layers and the output, and may do nothing
 * but read. */
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

struct maker {
  const char *name;
  char **arguments; /* the first is the program's name, in a directory for programs */
  uint64_t cpu_seconds;
  uint64_t bytes; /* of the file, made beforehand; 0: its maker makes it */
};

static _Noreturn void build(const struct maker *maker, int count, char **layers, int log) {
  if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) fail_errno("make mounts private");
  int output = clone_mount(AT_FDCWD, ".", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
  merged_clone_layers(count, layers);
  merged_root_begin();
  merged_system_directories();
  place_mount(output, "/out");
  if (mkdir("/tmp", 0700) < 0) fail_errno("make a directory"); /* mkfs.erofs collects attributes there */
  merged_mount_layers();
  umask(0077);
  if (maker->bytes) {
    int image = open("/out/image", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (image < 0 || ftruncate(image, (off_t)maker->bytes) < 0) fail_errno("make the file");
    close(image);
    jail_limit(RLIMIT_FSIZE, maker->bytes);
  }
  if (umount2("/old", MNT_DETACH) < 0) fail_errno("hide the host");
  jail_limit(RLIMIT_AS, 4ull << 30);
  jail_limit(RLIMIT_CPU, maker->cpu_seconds);
  jail_limit(RLIMIT_CORE, 0);
  if (dup2(log, 1) < 0 || dup2(log, 2) < 0) fail_errno("redirect output");
  jail_keep_capabilities(capabilities);
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) _exit(126);
  char *const environment[] = {"LC_ALL=C", NULL};
  static const char *const places[] = {"/usr/bin/%s", "/usr/sbin/%s", "/sbin/%s"};
  for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
    char program[64];
    snprintf(program, sizeof program, places[i], maker->name);
    execve(program, maker->arguments, environment);
  }
  _exit(127);
}

static int make(const struct maker *maker, int count, char **layers) {
  if (count < 1 || count > MERGED_LAYERS) return 2;
  static char *no_environment[] = {NULL};
  environ = no_environment;
  if (syscall(SYS_close_range, OUTPUT_FD + 1, ~0u, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) fail_errno("close descriptors");
  if (fchdir(OUTPUT_FD) < 0) fail_errno("enter the directory");
  close(OUTPUT_FD);
  int log[2];
  if (pipe2(log, O_CLOEXEC) < 0) fail_errno("make a pipe");
  pid_t pid = jail_clone(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS);
  if (pid == 0) build(maker, count, layers, log[1]);
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
    if (errno != EINTR) fail_errno("wait for the maker of the file system");
  if (WIFEXITED(status) && WEXITSTATUS(status) == 1 && length == 0) return 1; /* the child has reported */
  if (WIFEXITED(status) && WEXITSTATUS(status) == 127) fail("unavailable", maker->name, "%s is not installed.", maker->name);
  if (maker->bytes && strstr(said, "ould not allocate")) fail("exhausted", "size", "The image does not fit into %llu bytes.", (unsigned long long)maker->bytes);
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) fail("internal", maker->name, "%s failed: %s", maker->name, said);
  if (write(STDOUT_FILENO, "{\"report\":{}}\n", 14) != 14) return 1;
  return 0;
}

static uint64_t number(const char *text) {
  char *end;
  uint64_t value = strtoull(text, &end, 10);
  return *end == 0 ? value : 0;
}

int erofs_main(int argc, char **argv) {
  if (argc < 4 || strlen(argv[1]) != 36 || !number(argv[2])) return 2;
  char *arguments[] = {"mkfs.erofs", "-T0", "-U", argv[1], "/out/image", "/root", NULL};
  struct maker maker = {.name = "mkfs.erofs", .arguments = arguments, .cpu_seconds = number(argv[2])};
  return make(&maker, argc - 3, argv + 3);
}

int ext4_main(int argc, char **argv) {
  if (argc < 5 || strlen(argv[1]) != 36 || !number(argv[2]) || !number(argv[3])) return 2;
  char *arguments[] = {"mke2fs", "-q", "-F", "-t", "ext4", "-m", "0", "-U", argv[1], "-E", "lazy_itable_init=1,lazy_journal_init=1", "-d", "/root", "/out/image", NULL};
  struct maker maker = {.name = "mke2fs", .arguments = arguments, .cpu_seconds = number(argv[2]), .bytes = number(argv[3])};
  return make(&maker, argc - 4, argv + 4);
}
