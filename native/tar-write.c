#include "tar-write.h"
#include "job-report.h"
#include "sha256.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK = 512, BUFFER_BYTES = 256 * 1024 };
static const uint64_t OCTAL_11 = 077777777777;

static uint8_t buffer[BUFFER_BYTES];
static size_t buffered;
static uint64_t total;
static struct sha256 hash;
static bool started;

static void flush(void) {
  if (!started) sha256_start(&hash), started = true;
  sha256_add(&hash, buffer, buffered);
  for (size_t done = 0; done < buffered;) {
    ssize_t n = write(STDOUT_FILENO, buffer + done, buffered - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == EPIPE) fail("unavailable", "output", "Nobody reads the archive any more.");
    if (n <= 0) fail_errno("write the archive");
    done += (size_t)n;
  }
  total += buffered;
  buffered = 0;
}

void tar_write(const void *bytes, size_t length) {
  while (length > 0) {
    size_t n = BUFFER_BYTES - buffered < length ? BUFFER_BYTES - buffered : length;
    memcpy(buffer + buffered, bytes, n);
    bytes = (const uint8_t *)bytes + n;
    length -= n;
    if ((buffered += n) == BUFFER_BYTES) flush();
  }
}

void tar_write_padding(uint64_t size) {
  static const uint8_t zeros[BLOCK];
  tar_write(zeros, (BLOCK - size % BLOCK) % BLOCK);
}

static void octal(uint8_t *field, size_t digits, uint64_t value) {
  char text[24];
  snprintf(text, sizeof text, "%0*llo", (int)digits, (unsigned long long)value);
  memcpy(field, text, digits);
}

/* A header block: offsets of POSIX.1-1988 ustar. */
static void write_block(const char *name, size_t name_length, const struct tar_entry *entry, char type, uint64_t size) {
  uint8_t block[BLOCK] = {0};
  uint64_t sum = 0;
  memcpy(block, name, name_length < 100 ? name_length : 100);
  octal(block + 100, 7, entry->mode);
  octal(block + 108, 7, entry->uid);
  octal(block + 116, 7, entry->gid);
  octal(block + 124, 11, size <= OCTAL_11 ? size : 0);
  octal(block + 136, 11, entry->mtime.tv_sec >= 0 && (uint64_t)entry->mtime.tv_sec <= OCTAL_11 ? (uint64_t)entry->mtime.tv_sec : 0);
  block[156] = (uint8_t)type;
  if (type != 'x') memcpy(block + 157, entry->link, entry->link_length < 100 ? entry->link_length : 100);
  memcpy(block + 257, "ustar\0" "00", 8);
  memset(block + 148, ' ', 8);
  for (size_t i = 0; i < BLOCK; i++) sum += block[i];
  octal(block + 148, 6, sum);
  block[154] = 0;
  tar_write(block, BLOCK);
}

static struct { char *text; size_t length, capacity; } pax;

static void pax_bytes(const void *bytes, size_t length) {
  if (pax.length + length > pax.capacity) {
    pax.capacity = (pax.length + length) * 2 + 512;
    pax.text = must_alloc(realloc(pax.text, pax.capacity));
  }
  memcpy(pax.text + pax.length, bytes, length);
  pax.length += length;
}

/* "LENGTH PREFIXKEY=VALUE\n", where LENGTH counts its own digits too. */
static void pax_record(const char *prefix, const char *key, const void *value, size_t length) {
  size_t body = 1 + strlen(prefix) + strlen(key) + 1 + length + 1, all = body + 1;
  char digits[24];
  while ((size_t)snprintf(digits, sizeof digits, "%zu", all) + body != all) all = strlen(digits) + body;
  pax_bytes(digits, strlen(digits));
  pax_bytes(" ", 1);
  pax_bytes(prefix, strlen(prefix));
  pax_bytes(key, strlen(key));
  pax_bytes("=", 1);
  pax_bytes(value, length);
  pax_bytes("\n", 1);
}

void tar_write_header(const struct tar_entry *entry) {
  char text[48];
  pax.length = 0;
  if (entry->path_length > 100) pax_record("", "path", entry->path, entry->path_length);
  if (entry->link_length > 100) pax_record("", "linkpath", entry->link, entry->link_length);
  if (entry->size > OCTAL_11) pax_record("", "size", text, (size_t)snprintf(text, sizeof text, "%llu", (unsigned long long)entry->size));
  if (entry->mtime.tv_nsec != 0 || entry->mtime.tv_sec < 0 || (uint64_t)entry->mtime.tv_sec > OCTAL_11) {
    struct timespec time = entry->mtime;
    bool negative = time.tv_sec < 0;
    if (negative && time.tv_nsec > 0) time = (struct timespec){-time.tv_sec - 1, 1000000000 - time.tv_nsec};
    else if (negative) time.tv_sec = -time.tv_sec;
    int length = snprintf(text, sizeof text, "%s%lld", negative ? "-" : "", (long long)time.tv_sec);
    if (time.tv_nsec != 0) {
      length += snprintf(text + length, sizeof text - (size_t)length, ".%09ld", time.tv_nsec);
      while (text[length - 1] == '0') length--;
    }
    pax_record("", "mtime", text, (size_t)length);
  }
  for (size_t i = 0; i < entry->xattr_count; i++) pax_record("SCHILY.xattr.", entry->xattrs[i].name, entry->xattrs[i].value, entry->xattrs[i].length);
  if (pax.length > 0) {
    static const char name[] = "PaxHeaders/entry";
    struct tar_entry plain = {.mode = 0644};
    write_block(name, sizeof name - 1, &plain, 'x', pax.length);
    tar_write(pax.text, pax.length);
    tar_write_padding(pax.length);
  }
  write_block(entry->path, entry->path_length, entry, entry->type, entry->size);
}

void tar_write_end(char digest[65], uint64_t *bytes) {
  static const uint8_t zeros[2 * BLOCK];
  tar_write(zeros, sizeof zeros);
  flush();
  sha256_end(&hash, digest);
  *bytes = total;
}
