/* berth-native inflate none|gzip|zstd MAX_BYTES MAX_RATIO CPU_SECONDS
 * Decompresses descriptor 0 to descriptor 1; a report or an error as JSON on descriptor 4. */
#include "byte-stream.h"
#include "jail.h"
#include "job-report.h"
#include "merged-root.h"
#include <errno.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

enum { REPORT_FD = 4 };
static const int capabilities[] = {-1};
static enum compression compression;
static struct stream_limits limits;

static void empty_root(void *unused) {
  (void)unused;
  merged_root_begin();
}

static int inflate_input(void *unused) {
  (void)unused;
  const uint8_t *bytes;
  char digest[65];
  mallopt(M_ARENA_MAX, 1);
  stream_open(STDIN_FILENO, compression, limits);
  jail_seal();
  for (size_t n; (n = stream_peek(&bytes)) > 0;) {
    ssize_t written = write(STDOUT_FILENO, bytes, n);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0 && errno == EPIPE) fail("unavailable", "output", "Nobody reads the output any more.");
    if (written <= 0) fail_errno("write the output");
    stream_take((size_t)written);
  }
  stream_digest(digest);
  struct json report = {0};
  json_raw(&report, "{\"report\":{\"digest\":\"sha256:");
  json_raw(&report, digest);
  json_raw(&report, "\",\"bytes\":");
  json_number(&report, stream_bytes());
  json_raw(&report, "}}");
  json_send(&report, REPORT_FD);
  return 0;
}

int inflate_main(int argc, char **argv) {
  uint64_t cpu_seconds = 0, *numbers[] = {&limits.max_bytes, &limits.max_ratio, &cpu_seconds};
  report_fd = REPORT_FD;
  if (argc != 5 || !stream_compression(argv[1], &compression)) return 2;
  for (int i = 0; i < 3; i++) {
    char *end;
    *numbers[i] = strtoull(argv[2 + i], &end, 10);
    if (*end != 0 || *numbers[i] == 0) return 2;
  }
  limits.ratio_from_bytes = 100ull << 20;
  struct jail_plan plan = {
    .root_fd = -1, .prepare = empty_root, .writable = 0, .keep_fds = REPORT_FD + 1, .memory_bytes = 640ull << 20, .file_bytes = RLIM_INFINITY,
    .cpu_seconds = cpu_seconds, .open_files = 64, .capabilities = capabilities,
  };
  return jail_run(&plan, inflate_input, NULL);
}
