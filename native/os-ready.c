/* ready: waits, inside an OS container, until its init has brought the system up, and says how it is.
 *   berth-native ready SECONDS         prints `running`, `degraded` or `starting`; exit code 0, 1, 2
 *   berth-native off                   asks it to power off
 * systemd is asked; of other inits it is enough that none of their start scripts runs any more. */
#include "os-boot.h"
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LOOK_MS = 10, QUIET_LOOKS = 3 };

static long now_ms(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void nap(void) { nanosleep(&(struct timespec){.tv_nsec = LOOK_MS * 1000000L}, NULL); }

static void name_of(const char *pid, char *name, size_t size) {
  char path[300];
  snprintf(path, sizeof path, "/proc/%s/comm", pid);
  FILE *file = fopen(path, "re");
  name[0] = 0;
  if (!file) return;
  if (!fgets(name, (int)size, file)) name[0] = 0;
  name[strcspn(name, "\n")] = 0;
  fclose(file);
}

/* Scripts of sysv-rc, OpenRC and busybox that bring a system up. */
static int scripts_run(void) {
  static const char *const scripts[] = {"rcS", "rc", "rc.sysinit", "startpar", "openrc", "openrc-run.sh", "runscript"};
  DIR *dir = opendir("/proc");
  int found = 0;
  char name[64];
  for (struct dirent *entry; dir && !found && (entry = readdir(dir));) {
    if (entry->d_name[0] < '0' || entry->d_name[0] > '9') continue;
    name_of(entry->d_name, name, sizeof name);
    for (size_t i = 0; i < sizeof scripts / sizeof *scripts; i++) found |= strcmp(name, scripts[i]) == 0;
  }
  if (dir) closedir(dir);
  return found;
}

/* What the first process executes, without its directory: a name of its own it gives itself only later. */
static void program_of_init(char *name, size_t size) {
  char path[4096];
  ssize_t length = readlink("/proc/1/exe", path, sizeof path - 1);
  path[length > 0 ? length : 0] = 0;
  const char *slash = strrchr(path, '/');
  if ((size_t)snprintf(name, size, "%s", slash ? slash + 1 : path) >= size) name[0] = 0;
}

int os_wait_until_up(int seconds) {
  long end = now_ms() + seconds * 1000L;
  char name[64];
  int quiet = 0;
  for (; now_ms() < end; nap()) {
    program_of_init(name, sizeof name);
    if (strcmp(name, "systemd") == 0) {
      if (access("/run/systemd/private", F_OK) != 0) continue;
      char limit[32];
      snprintf(limit, sizeof limit, "%ld", (end - now_ms()) / 1000 + 1);
      /* timeout(1) is coreutils', which is where systemd is. */
      int code = os_run((char *const[]){(char *)"timeout", limit, (char *)"systemctl", (char *)"is-system-running", (char *)"--wait", NULL}, -1);
      return code == 0 ? 0 : code == 124 ? -1 : 1;
    }
    if (strcmp(name, "berth-native") == 0 || strcmp(name, ".init") == 0 || scripts_run()) quiet = 0;
    else if (++quiet >= QUIET_LOOKS) return 0;
  }
  return -1;
}

static int command(const char *words[]) { return os_run((char *const *)words, -1); }

/* off: asks the init to power off, in the way that it understands. systemd(1) "Signals", busybox init/init.c; others
 * (System V, OpenRC) listen to their own command only, and openrc-init to nothing but its own. */
int off_main(int argc, char **argv) {
  char name[64];
  (void)argc, (void)argv;
  program_of_init(name, sizeof name);
  if (strcmp(name, "systemd") == 0) return kill(1, SIGRTMIN + 4) != 0;
  if (strcmp(name, "busybox") == 0) return kill(1, SIGUSR2) != 0;
  if (access("/run/openrc/init.ctl", F_OK) == 0 && command((const char *[]){"openrc-shutdown", "-p", "now", NULL}) == 0) return 0;
  return command((const char *[]){"poweroff", NULL}) && command((const char *[]){"shutdown", "-h", "now", NULL}) && command((const char *[]){"init", "0", NULL});
}

int ready_main(int argc, char **argv) {
  int state = os_wait_until_up(argc > 1 ? atoi(argv[1]) : 60);
  puts(state == 0 ? "running" : state > 0 ? "degraded" : "starting");
  return state < 0 ? 2 : state;
}
