/** Programs that measure inside a guest: what fork and exec cost there, and an echo on a port of the agent's own device. */
import path from 'node:path';
import { compileStatic } from '../../lib/crun-bench.ts';

/** `spawn-timer N PROGRAM ARG…`: microseconds of fork, exec and wait, the median of N. */
const SPAWN_TIMER = String.raw`
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
static int compare(const void *a, const void *b) { double x = *(const double *)a, y = *(const double *)b; return x < y ? -1 : x > y; }
static double now(void) { struct timespec t; clock_gettime(CLOCK_MONOTONIC, &t); return t.tv_sec * 1e6 + t.tv_nsec / 1e3; }
int main(int argc, char **argv) {
  int n = argc > 2 ? atoi(argv[1]) : 0;
  if (n < 1 || n > 10000) return 2;
  double all[n];
  for (int i = -1; i < n; i++) {
    double begin = now();
    int status;
    pid_t pid = fork();
    if (pid == 0) { execv(argv[2], argv + 2); _exit(127); }
    if (waitpid(pid, &status, 0) != pid || status != 0) return 1;
    if (i >= 0) all[i] = now() - begin;
  }
  qsort(all, n, sizeof *all, compare);
  printf("%.0f\n", all[n / 2]);
  return 0;
}
`;

/** `echo-port`: sends back what comes on the port bench.echo. Blocking, as simple as can be. */
const ECHO_PORT = String.raw`
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <poll.h>
#include <unistd.h>
static int read_text(const char *path, char *text, int size) {
  int fd = open(path, O_RDONLY), length = fd < 0 ? -1 : read(fd, text, size - 1);
  if (fd >= 0) close(fd);
  text[length > 0 ? length : 0] = 0;
  return length;
}
int main(void) {
  DIR *dir = opendir("/sys/class/virtio-ports");
  for (struct dirent *e; dir && (e = readdir(dir));) {
    char path[300], text[64];
    unsigned major, minor;
    snprintf(path, sizeof path, "/sys/class/virtio-ports/%s/name", e->d_name);
    if (e->d_name[0] == '.' || read_text(path, text, sizeof text) < 0 || strcmp(text, "bench.echo\n")) continue;
    snprintf(path, sizeof path, "/sys/class/virtio-ports/%s/dev", e->d_name);
    if (read_text(path, text, sizeof text) < 0 || sscanf(text, "%u:%u", &major, &minor) != 2) return 1;
    if (mknod("/dev/bench-echo", S_IFCHR | 0600, makedev(major, minor))) return 2;
    int fd = open("/dev/bench-echo", O_RDWR);
    if (fd < 0) return 3;
    for (char data[4096];;) {
      struct pollfd one = {fd, POLLIN, 0};
      poll(&one, 1, -1);
      int length = read(fd, data, sizeof data);
      if (length > 0 && write(fd, data, length) != length) return 4;
      if (length <= 0) usleep(1000); /* nobody has the other end open */
    }
  }
  return 5;
}
`;

/** Compiles both into `dir`. */
export function compileInsidePrograms(dir: string): { readonly spawnTimer: string; readonly echoPort: string } {
  const spawnTimer = path.join(dir, 'spawn-timer'), echoPort = path.join(dir, 'echo-port');
  compileStatic(SPAWN_TIMER, spawnTimer);
  compileStatic(ECHO_PORT, echoPort);
  return { spawnTimer, echoPort };
}
