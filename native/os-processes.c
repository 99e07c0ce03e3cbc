/* processes: a table of processes, from /proc. Inside a unit it tells all that the unit can see, but the kernel's own
 * threads and itself; on the host those whose numbers it reads from standard input (-).
 *   berth-native processes [-]
 * A record for each, fields apart by tabs and ended by a NUL, the command last, cut and with spaces for its NULs:
 *   PID · PID in its own pid namespace · how deep that lies · PID of its parent · effective user · state ·
 *   milliseconds of processor time · milliseconds since its start · resident bytes · command
 * A record `more` says that there were too many. */
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_TOLD = 4096, MAX_COMMAND = 512, KERNEL_THREAD = 0x00200000 /* PF_KTHREAD, include/linux/sched.h */ };

/* A process may be in 65,536 groups, which its status tells before what is looked for. */
static char text[1 << 20];

static ssize_t take(const char *pid, const char *name, size_t most) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%s/%s", pid, name);
  int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  ssize_t length = 0, got;
  while (length < (ssize_t)most && (got = read(fd, text + length, most - (size_t)length)) > 0) length += got;
  close(fd);
  text[length] = 0;
  return length;
}

static double uptime_seconds(void) {
  int fd = open("/proc/uptime", O_RDONLY | O_CLOEXEC);
  ssize_t length = fd < 0 ? 0 : read(fd, text, sizeof text - 1);
  if (fd >= 0) close(fd);
  text[length > 0 ? length : 0] = 0;
  return atof(text);
}

/* proc_pid_stat(5), proc_pid_status(5). A process may end between two looks: then nothing is told of it. */
static bool tell(const char *pid, double uptime, bool kernel_threads) {
  char name[64], state;
  int parent;
  unsigned flags;
  unsigned long user_time, system_time;
  unsigned long long start;
  long resident;
  if (take(pid, "stat", 1024) <= 0) return false;
  char *open_mark = strchr(text, '('), *end = strrchr(text, ')');
  if (!open_mark || !end || end - open_mark > (long)sizeof name) return false;
  snprintf(name, sizeof name, "[%.*s]", (int)(end - open_mark - 1), open_mark + 1);
  if (sscanf(end + 1, " %c %d %*d %*d %*d %*d %u %*u %*u %*u %*u %lu %lu %*d %*d %*d %*d %*d %*d %llu %*u %ld", &state, &parent, &flags, &user_time, &system_time, &start, &resident) != 7) return false;
  if (!kernel_threads && (flags & KERNEL_THREAD)) return false;
  if (take(pid, "status", sizeof text - 1) <= 0) return false;
  unsigned uid = 0, inner = 0, deep = 0;
  char *at = strstr(text, "\nUid:");
  if (!at || sscanf(at + 5, "%*u %u", &uid) != 1) return false;
  if ((at = strstr(text, "\nNSpid:")))
    for (at += 7; *at == '\t' || *at == ' '; deep++) inner = (unsigned)strtoul(at, &at, 10);
  long ticks = sysconf(_SC_CLK_TCK);
  double age = uptime - (double)start / (double)ticks;
  printf("%s\t%u\t%u\t%d\t%u\t%c\t%.0f\t%.0f\t%lld\t", pid, inner, deep, parent, uid, state, (double)(user_time + system_time) * 1000 / (double)ticks, age > 0 ? age * 1000 : 0, (long long)resident * sysconf(_SC_PAGESIZE));
  ssize_t length = take(pid, "cmdline", MAX_COMMAND);
  while (length > 0 && text[length - 1] == 0) length--;
  for (ssize_t i = 0; i < length; i++) if (!text[i]) text[i] = ' ';
  if (length > 0) printf("%.*s", (int)length, text);
  else fputs(name, stdout);
  putchar(0);
  return true;
}

static bool number(const char *word) {
  if (!*word || strlen(word) > 10) return false;
  for (; *word; word++) if (!isdigit((unsigned char)*word)) return false;
  return true;
}

int processes_main(int argc, char **argv) {
  double uptime = uptime_seconds();
  int told = 0;
  if (argc > 1 && strcmp(argv[1], "-") == 0) {
    char word[16];
    while (scanf("%15s", word) == 1 && told < MAX_TOLD) if (number(word)) told += tell(word, uptime, true);
  } else {
    DIR *dir = opendir("/proc");
    char self[16];
    snprintf(self, sizeof self, "%d", getpid());
    for (struct dirent *entry; dir && told < MAX_TOLD && (entry = readdir(dir));)
      if (number(entry->d_name) && strcmp(entry->d_name, self) != 0) told += tell(entry->d_name, uptime, false);
    if (dir) closedir(dir);
  }
  if (told >= MAX_TOLD) fwrite("more", 1, 5, stdout);
  return fflush(stdout) != 0;
}
