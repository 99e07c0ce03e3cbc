/* berth-native unpack none|gzip|zstd MAX_BYTES MAX_ENTRIES MAX_RATIO CPU_SECONDS
 * Layer bytes on descriptor 0, the new empty directory on descriptor 3; a report or an error as JSON on descriptor 1. */
#include "byte-stream.h"
#include "jail.h"
#include "job-report.h"
#include "layer-tree.h"
#include "rules.h"
#include <linux/capability.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { DIRECTORY_FD = 3 };
static const int capabilities[] = {CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_FSETID, CAP_SETFCAP, -1};

static struct { enum compression compression; uint64_t max_bytes, max_entries, max_ratio, cpu_seconds; } order;

static int unpack(void *unused) {
  (void)unused;
  struct tar_entry entry;
  char digest[65];
  /* One arena: a second one would reserve 128 MiB of the address space. */
  mallopt(M_ARENA_MAX, 1);
  stream_open(STDIN_FILENO, order.compression, (struct stream_limits){order.max_bytes, order.max_ratio, 100ull << 20});
  jail_seal();
  tree_open();
  while (tar_next(&entry)) {
    if (tree_totals.entries >= order.max_entries && RULE_MAX_ENTRIES) fail("exhausted", "maxEntries", "The layer has more than %llu entries.", (unsigned long long)order.max_entries);
    if (entry.size > order.max_bytes && RULE_MAX_BYTES) fail("exhausted", "maxBytes", "The entry claims %llu bytes, more than a layer may have.", (unsigned long long)entry.size);
    tree_add(&entry);
  }
  tree_close();
  stream_digest(digest);
  struct json report = {0};
  json_raw(&report, "{\"report\":{\"diffId\":\"sha256:");
  json_raw(&report, digest);
  json_raw(&report, "\",\"tarBytes\":");
  json_number(&report, stream_bytes());
  json_raw(&report, ",\"fileBytes\":");
  json_number(&report, tree_totals.file_bytes);
  json_raw(&report, ",\"entries\":");
  json_number(&report, tree_totals.entries);
  json_raw(&report, ",\"setuid\":[");
  json_raw(&report, json_text(&tree_setuid));
  json_raw(&report, "],\"notes\":[");
  json_raw(&report, json_text(&tree_notes));
  json_raw(&report, "]}}");
  json_send(&report, STDOUT_FILENO);
  return 0;
}

int unpack_main(int argc, char **argv) {
  if (argc != 6 || !stream_compression(argv[1], &order.compression)) return 2;
  uint64_t *numbers[] = {&order.max_bytes, &order.max_entries, &order.max_ratio, &order.cpu_seconds};
  for (int i = 0; i < 4; i++) {
    char *end;
    *numbers[i] = strtoull(argv[2 + i], &end, 10);
    if (*end != 0 || *numbers[i] == 0) return 2;
  }
  struct jail_plan plan = {
    .root_fd = DIRECTORY_FD, .writable = 1, .keep_fds = DIRECTORY_FD + 1, .memory_bytes = 640ull << 20, .file_bytes = order.max_bytes,
    .cpu_seconds = order.cpu_seconds, .open_files = 2200, .capabilities = capabilities,
  };
  return jail_run(&plan, unpack, NULL);
}
