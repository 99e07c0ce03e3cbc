/* keep LOG MAXBYTES -- PROGRAM ARGS...: where no systemd runs, what it would do for the daemon. Runs PROGRAM, writes its
 * output to LOG (one older piece beside it as LOG.1), starts it again when it ends by itself, and ends when it was told to:
 * SIGTERM and SIGINT are passed on, and then the program's end is the end of this one too. Instances are not its children.
 *
 * A program that ends within 10 s waits before it is started again: 1 s, doubled up to 60 s. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { SHORT_LIFE_S = 10, MOST_WAIT_S = 60, BUFFER = 65536 };

static const char *log_path;
static long long max_bytes, log_bytes;
static int log_fd = -1;

static void open_log(void) {
  log_fd = open(log_path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0640);
  struct stat st;
  log_bytes = log_fd >= 0 && fstat(log_fd, &st) == 0 ? st.st_size : 0;
}

static void write_log(const char *data, size_t length) {
  if (log_fd >= 0 && log_bytes + (long long)length > max_bytes) {
    char older[4096];
    if (snprintf(older, sizeof older, "%s.1", log_path) < (int)sizeof older) rename(log_path, older);
    close(log_fd);
    log_fd = -1;
  }
  if (log_fd < 0) open_log();
  /* A full disk loses lines, never the program: what cannot be written is dropped. */
  while (log_fd >= 0 && length > 0) {
    ssize_t n = write(log_fd, data, length);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return;
    log_bytes += n; data += n; length -= (size_t)n;
  }
}

static void note(const char *text) {
  char line[256];
  int n = snprintf(line, sizeof line, "berth keep: %s\n", text);
  if (n > 0) write_log(line, (size_t)n);
}

static pid_t start(char **argv, int *output, const sigset_t *mask) {
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) < 0) return -1;
  pid_t pid = fork();
  if (pid == 0) {
    sigprocmask(SIG_UNBLOCK, mask, NULL);
    dup2(ends[1], 1);
    dup2(ends[1], 2);
    execvp(argv[0], argv);
    dprintf(2, "cannot run %s: %s\n", argv[0], strerror(errno));
    _exit(127);
  }
  close(ends[1]);
  if (pid < 0) close(ends[0]);
  else *output = ends[0];
  return pid;
}

static void drain(int fd) {
  static char buffer[BUFFER];
  for (;;) {
    struct pollfd one = {.fd = fd, .events = POLLIN};
    if (poll(&one, 1, 0) <= 0) return;
    ssize_t n = read(fd, buffer, sizeof buffer);
    if (n <= 0) return;
    write_log(buffer, (size_t)n);
  }
}

/* One life of the program. Returns 1 when it was told to end. */
static int live(char **argv, int signals, const sigset_t *mask, int *status) {
  static char buffer[BUFFER];
  int output = -1, told = 0;
  pid_t pid = start(argv, &output, mask);
  if (pid < 0) { *status = 127 << 8; return 0; }
  for (;;) {
    /* Whoever else inherited the pipe may keep it open: the end of the program counts, not the end of its output. */
    struct pollfd two[] = {{.fd = signals, .events = POLLIN}, {.fd = output, .events = POLLIN}};
    if (poll(two, 2, -1) < 0 && errno != EINTR) break;
    if (two[1].revents) {
      ssize_t n = read(output, buffer, sizeof buffer);
      if (n > 0) write_log(buffer, (size_t)n);
      else { close(output); output = -1; }
    }
    if (!(two[0].revents & POLLIN)) continue;
    struct signalfd_siginfo info;
    if (read(signals, &info, sizeof info) != sizeof info) continue;
    if (info.ssi_signo != SIGCHLD) { told = 1; kill(pid, SIGTERM); continue; }
    int gone = 0;
    for (pid_t one; (one = waitpid(-1, status, WNOHANG)) > 0;) if (one == pid) { gone = 1; break; }
    if (gone) break;
  }
  if (output >= 0) { drain(output); close(output); }
  return told;
}

/* Waits, and returns 1 when a signal says not to start again. */
static int wait_seconds(int signals, int seconds) {
  struct pollfd one = {.fd = signals, .events = POLLIN};
  struct timespec now, end;
  clock_gettime(CLOCK_MONOTONIC, &end);
  end.tv_sec += seconds;
  for (;;) {
    clock_gettime(CLOCK_MONOTONIC, &now);
    long left = (end.tv_sec - now.tv_sec) * 1000 + (end.tv_nsec - now.tv_nsec) / 1000000;
    if (left <= 0) return 0;
    if (poll(&one, 1, (int)left) <= 0) continue;
    struct signalfd_siginfo info;
    if (read(signals, &info, sizeof info) == sizeof info && info.ssi_signo != SIGCHLD) return 1;
  }
}

int keep_main(int argc, char **argv) {
  if (argc < 5 || strcmp(argv[3], "--") != 0 || (max_bytes = atoll(argv[2])) < BUFFER) {
    fprintf(stderr, "usage: keep LOG MAXBYTES -- PROGRAM ARGS...\n");
    return 2;
  }
  log_path = argv[1];
  sigset_t mask;
  sigemptyset(&mask);
  sigaddset(&mask, SIGCHLD);
  sigaddset(&mask, SIGTERM);
  sigaddset(&mask, SIGINT);
  sigprocmask(SIG_BLOCK, &mask, NULL);
  signal(SIGHUP, SIG_IGN);
  int signals = signalfd(-1, &mask, SFD_CLOEXEC);
  int devnull = open("/dev/null", O_RDWR | O_CLOEXEC);
  if (signals < 0 || devnull < 0) return 1;
  for (int fd = 0; fd < 3; fd++) dup2(devnull, fd);
  for (int pause = 1;;) {
    int status = 0;
    struct timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    if (live(argv + 4, signals, &mask, &status)) return WIFEXITED(status) ? WEXITSTATUS(status) : 0;
    char text[128];
    if (WIFSIGNALED(status)) snprintf(text, sizeof text, "the program was ended by signal %d and is started again", WTERMSIG(status));
    else snprintf(text, sizeof text, "the program ended with %d and is started again", WEXITSTATUS(status));
    note(text);
    clock_gettime(CLOCK_MONOTONIC, &end);
    if (end.tv_sec - begin.tv_sec >= SHORT_LIFE_S) pause = 1;
    if (wait_seconds(signals, pause)) return 0;
    pause = pause * 2 > MOST_WAIT_S ? MOST_WAIT_S : pause * 2;
  }
}
