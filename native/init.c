/* init: PID 1 of a container that asked for one. Starts the command, hands signals on, reaps orphans, and ends as the
 * command ended (128 + signal where a signal did).      berth-native init -- COMMAND [ARGUMENT]... */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CANNOT_RUN = 126, NOT_FOUND = 127 };

static int start(char **command, const sigset_t *mask, pid_t *child) {
  *child = fork();
  if (*child < 0) {
    fprintf(stderr, "init: cannot fork: %s\n", strerror(errno));
    return -1;
  }
  if (*child > 0) return 0;
  /* A group of its own, in the foreground of the terminal where there is one: Ctrl-C is the command's. */
  setpgid(0, 0);
  signal(SIGTTOU, SIG_IGN);
  if (isatty(STDIN_FILENO)) tcsetpgrp(STDIN_FILENO, getpgrp());
  signal(SIGTTOU, SIG_DFL);
  sigprocmask(SIG_SETMASK, mask, NULL);
  execvp(command[0], command);
  int error = errno;
  fprintf(stderr, "init: %s: %s\n", command[0], strerror(error));
  _exit(error == ENOENT || error == ENOTDIR ? NOT_FOUND : CANNOT_RUN);
}

/* Takes in every child that ended; answers the command's exit code once it is among them, else -1. */
static int reap(pid_t command) {
  int code = -1, status;
  pid_t pid;
  while ((pid = waitpid(-1, &status, WNOHANG)) > 0)
    if (pid == command) code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return code;
}

int init_main(int argc, char **argv) {
  int at = 1;
  if (at < argc && strcmp(argv[at], "--") == 0) at++;
  if (at >= argc) {
    fprintf(stderr, "usage: init -- COMMAND [ARGUMENT]...\n");
    return NOT_FOUND;
  }
  sigset_t all, before;
  sigfillset(&all);
  /* Faults of init itself must kill it, not wait in a queue. */
  for (const int *fault = (const int[]){SIGFPE, SIGILL, SIGSEGV, SIGBUS, SIGABRT, SIGTRAP, SIGSYS, 0}; *fault; fault++) sigdelset(&all, *fault);
  sigprocmask(SIG_SETMASK, &all, &before);
  pid_t command;
  if (start(argv + at, &before, &command) != 0) return CANNOT_RUN;
  for (;;) {
    int number = sigwaitinfo(&all, NULL);
    if (number < 0) continue;
    if (number != SIGCHLD) kill(command, number);
    int code = reap(command);
    if (code >= 0) return code;
  }
}
