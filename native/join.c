/* join: conmon's runtime and exec's front. Joins the control groups of a unit, hands it its standard streams, closes what
 * was inherited, and becomes crun with fixed flags.
 *
 *   berth-native join --crun=PROGRAM --state=DIR [--log=FILE] --owner=UID --null=FILE [--group=FILE]... VERB [ARGUMENT]...
 *
 * Each FILE is a control group's `tasks` (v1) or `cgroup.procs` (v2): writing 0 moves the writer. On v1 a thread that
 * moves itself takes no global lock, where a pid written to cgroup.procs waits for an RCU grace period (10 ms).
 * The streams are given to OWNER (the unit's root on the host), else nothing inside could open /dev/stdout anew. crun
 * does the same, as root, with whatever it finds: the host's /dev/null would be the container's to close to everybody.
 * So a null device of the unit's own (NULL) takes its place. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

enum { FAILED = 125, MAX_WORDS = 64 };

static const char *value_of(const char *word, const char *option) {
  size_t length = strlen(option);
  return strncmp(word, option, length) == 0 ? word + length : NULL;
}

static int fail(const char *what, const char *which) {
  fprintf(stderr, "join: %s %s: %s\n", what, which, strerror(errno));
  return FAILED;
}

static int join_group(const char *file) {
  int fd = open(file, O_WRONLY | O_CLOEXEC | O_NOFOLLOW);
  if (fd < 0) return -1;
  ssize_t written = write(fd, "0", 1);
  int saved = errno;
  close(fd);
  errno = saved;
  return written == 1 ? 0 : -1;
}

static int give_streams(uid_t owner, const char *null) {
  int own_null = open(null, O_RDWR | O_CLOEXEC | O_NOFOLLOW);
  if (own_null < 0) return -1;
  for (int fd = 0; fd < 3; fd++) {
    struct stat at;
    if (fstat(fd, &at) != 0) return -1;
    if (S_ISCHR(at.st_mode) && at.st_rdev == makedev(1, 3)) {
      if (dup2(own_null, fd) < 0) return -1;
    } else if ((S_ISFIFO(at.st_mode) || S_ISSOCK(at.st_mode)) && fchown(fd, owner, owner) != 0) return -1;
  }
  return 0;
}

/* conmon ignores SIGPIPE, and what is ignored stays so over execve: a unit would never end on a closed pipe. */
static void reset_signals(void) {
  for (int number = 1; number < NSIG; number++) signal(number, SIG_DFL);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
}

/* What runs in a unit is killed for memory before the host is: a daemon, or a shell, that is kept from it does not hand that
 * on. Down is what needs a right; where it is above 0 it stays, as for the first process (ceilings.ts). */
static int can_be_killed(void) {
  char text[16];
  int fd = open("/proc/self/oom_score_adj", O_RDWR | O_CLOEXEC);
  if (fd < 0) return -1;
  ssize_t length = read(fd, text, sizeof text - 1);
  int result = length <= 0 || (text[0] == '-' && pwrite(fd, "0", 1, 0) != 1) ? -1 : 0;
  close(fd);
  return result;
}

int join_main(int argc, char **argv) {
  const char *crun = NULL, *state = NULL, *log = NULL, *null = NULL, *owner = NULL, *value;
  int at = 1;
  for (; at < argc && strncmp(argv[at], "--", 2) == 0; at++) {
    if ((value = value_of(argv[at], "--crun="))) crun = value;
    else if ((value = value_of(argv[at], "--state="))) state = value;
    else if ((value = value_of(argv[at], "--log="))) log = value;
    else if ((value = value_of(argv[at], "--owner="))) owner = value;
    else if ((value = value_of(argv[at], "--null="))) null = value;
    else if ((value = value_of(argv[at], "--group="))) {
      if (join_group(value) != 0) return fail("cannot join", value);
    } else {
      errno = EINVAL;
      return fail("unknown option", argv[at]);
    }
  }
  if (!crun || !state || !owner || !null || at >= argc || argc - at > MAX_WORDS) {
    errno = EINVAL;
    return fail("usage", "join --crun=PROGRAM --state=DIR [--log=FILE] --owner=UID --null=FILE [--group=FILE]... VERB [ARGUMENT]...");
  }
  if (give_streams((uid_t)strtoul(owner, NULL, 10), null) != 0) return fail("cannot give away", "the standard streams");
  if (can_be_killed() != 0) return fail("cannot write", "/proc/self/oom_score_adj");
  char log_option[4200];
  if (log && (size_t)snprintf(log_option, sizeof log_option, "--log=file:%s", log) >= sizeof log_option) {
    errno = ENAMETOOLONG;
    return fail("log", log);
  }
  char *words[MAX_WORDS + 8];
  int count = 0;
  words[count++] = (char *)crun;
  words[count++] = (char *)"--root";
  words[count++] = (char *)state;
  words[count++] = (char *)"--cgroup-manager=disabled";
  if (log) words[count++] = log_option;
  while (at < argc) words[count++] = argv[at++];
  words[count] = NULL;
  char *environment[] = {(char *)"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", (char *)"LC_ALL=C.UTF-8", NULL};
  reset_signals();
  if (close_range(3, ~0U, 0) != 0) return fail("cannot close", "inherited descriptors");
  execve(crun, words, environment);
  return fail("cannot run", crun);
}
