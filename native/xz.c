/* berth-native xz MAX_BYTES CPU_SECONDS
 * Decompresses descriptor 0 (xz) to descriptor 1; a report or an error as JSON on descriptor 4. The decoder is the
 * distribution's xz, in namespaces of its own: it sees /usr read-only and two pipes, and has no right at all. */
#include "jail.h"
#include "job-report.h"
#include "merged-root.h"
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { REPORT_FD = 4 };
static const int no_capabilities[] = {-1};

static _Noreturn void decode(int out, uint64_t cpu_seconds) {
  if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) fail_errno("make mounts private");
  merged_root_begin();
  merged_system_directories();
  if (umount2("/old", MNT_DETACH) < 0) fail_errno("hide the host");
  jail_limit(RLIMIT_AS, 256ull << 20);
  jail_limit(RLIMIT_FSIZE, 0);
  jail_limit(RLIMIT_CPU, cpu_seconds);
  jail_limit(RLIMIT_NOFILE, 16);
  jail_limit(RLIMIT_CORE, 0);
  if (dup2(out, STDOUT_FILENO) < 0) fail_errno("redirect output");
  jail_keep_capabilities(no_capabilities);
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) _exit(126);
  if (syscall(SYS_close_range, 3u, ~0u, 0) < 0) _exit(126);
  jail_seal_program();
  char *const arguments[] = {"xz", "-dcq", "--threads=1", NULL}, *const environment[] = {NULL};
  execve("/usr/bin/xz", arguments, environment);
  _exit(127);
}

static void send(const char *bytes, size_t length) {
  while (length > 0) {
    ssize_t written = write(STDOUT_FILENO, bytes, length);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno == EPIPE) fail("unavailable", "output", "Nobody reads the output any more.");
    if (written <= 0) fail_errno("write the output");
    bytes += written;
    length -= (size_t)written;
  }
}

int xz_main(int argc, char **argv) {
  uint64_t numbers[2];
  report_fd = REPORT_FD;
  if (argc != 3) return 2;
  for (int i = 0; i < 2; i++) {
    char *end;
    numbers[i] = strtoull(argv[1 + i], &end, 10);
    if (*end != 0 || numbers[i] == 0) return 2;
  }
  static char *no_environment[] = {NULL};
  environ = no_environment;
  signal(SIGPIPE, SIG_IGN);
  if (syscall(SYS_close_range, (unsigned)REPORT_FD + 1, ~0u, 0) < 0 || prctl(PR_SET_PDEATHSIG, SIGKILL) < 0) fail_errno("close descriptors");
  int out[2];
  if (pipe2(out, O_CLOEXEC) < 0) fail_errno("make a pipe");
  pid_t pid = jail_clone(CLONE_NEWNS | CLONE_NEWPID | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS);
  if (pid == 0) decode(out[1], numbers[1]);
  close(out[1]);
  static char bytes[1 << 16];
  uint64_t total = 0;
  for (ssize_t n; (n = read(out[0], bytes, sizeof bytes)) != 0;) {
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) fail_errno("read the decoder's output");
    if ((total += (uint64_t)n) > numbers[0]) {
      kill(pid, SIGKILL);
      fail("exhausted", "maxBytes", "The file has more than %llu bytes when it is unpacked.", (unsigned long long)numbers[0]);
    }
    send(bytes, (size_t)n);
  }
  int status;
  while (waitpid(pid, &status, 0) < 0)
    if (errno != EINTR) fail_errno("wait for the decoder");
  if (WIFEXITED(status) && WEXITSTATUS(status) == 127) fail("unavailable", "xz", "xz (of xz-utils) is not installed.");
  if (WIFSIGNALED(status) && (WTERMSIG(status) == SIGKILL || WTERMSIG(status) == SIGXCPU)) fail("exhausted", "cpuTime", "The decoder was ended: its time was used up.");
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) fail("invalid", "xz", "The file is no whole xz file.");
  struct json report = {0};
  json_raw(&report, "{\"report\":{\"bytes\":");
  json_number(&report, total);
  json_raw(&report, "}}");
  json_send(&report, REPORT_FD);
  return 0;
}
