#include "os-tar.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BLOCK = 512, BUFFER_BYTES = 256 * 1024, MAX_EXTENSION = 1024 * 1024, MAX_PATH_BYTES = 64 * 1024 };
static const uint64_t OCTAL_11 = 077777777777, OCTAL_7 = 07777777;

static unsigned char in[BUFFER_BYTES], out[BUFFER_BYTES];
static size_t in_at, in_end, out_end;
/* Of the entry's content, and of the padding behind it. */
static uint64_t left, padding;

_Noreturn void os_fail(const char *code, const char *format, ...) {
  char text[4600];
  va_list list;
  int length = snprintf(text, sizeof text, "%s ", code);
  va_start(list, format);
  vsnprintf(text + length, sizeof text - (size_t)length - 1, format, list);
  va_end(list);
  strcat(text, "\n");
  if (write(STDERR_FILENO, text, strlen(text)) < 0) _exit(3);
  _exit(2);
}

static void *must(void *memory) {
  if (!memory) os_fail("exhausted", "There is not enough memory inside.");
  return memory;
}

/* ---- reading ---- */

static int fill(void) {
  for (;;) {
    ssize_t length = read(STDIN_FILENO, in, sizeof in);
    if (length < 0 && errno == EINTR) continue;
    if (length < 0) os_fail("internal", "The archive cannot be read: %s.", strerror(errno));
    in_at = 0;
    in_end = (size_t)length;
    return length > 0;
  }
}

static size_t some(void *into, size_t length) {
  if (in_at == in_end && !fill()) return 0;
  if (length > in_end - in_at) length = in_end - in_at;
  if (into) memcpy(into, in + in_at, length);
  in_at += length;
  return length;
}

static void exactly(void *into, uint64_t length) {
  for (uint64_t done = 0; done < length;) {
    size_t n = some(into ? (char *)into + done : NULL, length - done < BUFFER_BYTES ? (size_t)(length - done) : BUFFER_BYTES);
    if (n == 0) os_fail("invalid", "The archive ends in the middle of an entry.");
    done += n;
  }
}

size_t os_tar_read(void *into, size_t length) {
  if (left == 0) return 0;
  if (length > left) length = (size_t)left;
  size_t n = some(into, length);
  if (n == 0) os_fail("invalid", "The archive ends in the middle of an entry.");
  left -= n;
  return n;
}

/* Octal digits, or base 256 when the top bit is set. */
static uint64_t number(const unsigned char *field, size_t length) {
  uint64_t value = 0;
  size_t i = 0;
  if (field[0] & 0x80) {
    for (i = 1; i < length; i++) {
      if (value >> 55 || (field[0] & 0x7f)) os_fail("invalid", "A number of the archive is negative or too large.");
      value = value << 8 | field[i];
    }
    return value;
  }
  while (i < length && field[i] == ' ') i++;
  for (; i < length && field[i] >= '0' && field[i] <= '7'; i++) value = value << 3 | (uint64_t)(field[i] - '0');
  if (i < length && field[i] != ' ' && field[i] != 0) os_fail("invalid", "A number of the archive is malformed.");
  return value;
}

static uint64_t decimal(const char *text, char **end) {
  if (*text < '0' || *text > '9') os_fail("invalid", "A PAX number is malformed.");
  return strtoull(text, end, 10);
}

static struct { char *path, *link; int has_size, has_uid, has_gid, has_mtime; uint64_t size, uid, gid; struct timespec mtime; } extended;

static char *copied(const char *text, size_t length) {
  if (length > MAX_PATH_BYTES || memchr(text, 0, length)) os_fail("invalid", "A path of the archive is too long or holds NUL.");
  char *copy = must(malloc(length + 1));
  memcpy(copy, text, length);
  copy[length] = 0;
  return copy;
}

static void take(char **into, char *text) {
  free(*into);
  *into = text;
}

static void pax_time(const char *text) {
  char *end;
  int negative = *text == '-';
  extended.mtime = (struct timespec){.tv_sec = (time_t)decimal(text + negative, &end)};
  long scale = 100000000;
  if (*end == '.') for (end++; *end >= '0' && *end <= '9' && scale > 0; end++, scale /= 10) extended.mtime.tv_nsec += (*end - '0') * scale;
  if (negative) extended.mtime = (struct timespec){.tv_sec = -extended.mtime.tv_sec};
  extended.has_mtime = 1;
}

/* "LENGTH KEY=VALUE\n", LENGTH counting all of it. */
static void pax(char *text, size_t size) {
  for (char *at = text, *end = text + size; at < end;) {
    char *space;
    uint64_t length = decimal(at, &space);
    char *equals = *space == ' ' ? memchr(space, '=', (size_t)(end - space)) : NULL;
    if (length > (uint64_t)(end - at) || !equals || equals >= at + length || at[length - 1] != '\n') os_fail("invalid", "A PAX header is malformed.");
    char *key = space + 1, *value = equals + 1;
    size_t bytes = (size_t)(at + length - 1 - value);
    *equals = at[length - 1] = 0;
    if (!strcmp(key, "path")) take(&extended.path, copied(value, bytes));
    else if (!strcmp(key, "linkpath")) take(&extended.link, copied(value, bytes));
    else if (!strcmp(key, "size")) extended.size = decimal(value, &space), extended.has_size = 1;
    else if (!strcmp(key, "uid")) extended.uid = decimal(value, &space), extended.has_uid = 1;
    else if (!strcmp(key, "gid")) extended.gid = decimal(value, &space), extended.has_gid = 1;
    else if (!strcmp(key, "mtime")) pax_time(value);
    else if (!strncmp(key, "GNU.sparse.", 11)) os_fail("unsupported", "Sparse files are not taken in.");
    at += length;
  }
}

static char *extension(uint64_t size) {
  if (size > MAX_EXTENSION) os_fail("exhausted", "An extended header has more than %d bytes.", MAX_EXTENSION);
  char *text = must(malloc(size + 1));
  exactly(text, size);
  text[size] = 0;
  exactly(NULL, (BLOCK - size % BLOCK) % BLOCK);
  return text;
}

static char *plain(const unsigned char *block) {
  char text[257];
  size_t prefix = memcmp(block + 257, "ustar\0" "00", 8) == 0 ? strnlen((const char *)block + 345, 155) : 0;
  int length = snprintf(text, sizeof text, "%.*s%s%.100s", (int)prefix, (const char *)block + 345, prefix ? "/" : "", (const char *)block);
  return copied(text, (size_t)length);
}

int os_tar_next(struct os_tar_entry *entry) {
  static char *path, *link;
  unsigned char block[BLOCK];
  exactly(NULL, left + padding);
  left = padding = 0;
  for (;;) {
    uint64_t sum = 0, said;
    exactly(block, BLOCK);
    for (size_t i = 0; i < BLOCK; i++) sum += i >= 148 && i < 156 ? ' ' : block[i];
    if (sum == 8 * ' ') {
      while (some(NULL, BUFFER_BYTES) > 0) {}
      return 0;
    }
    said = number(block + 148, 8);
    if (said != sum) os_fail("invalid", "A header has a wrong checksum: this is not a tar archive, or it is damaged.");
    char type = (char)block[156];
    uint64_t size = number(block + 124, 12);
    if (type == 'x' || type == 'g' || type == 'L' || type == 'K') {
      char *text = extension(size);
      if (type == 'x') pax(text, size);
      else if (type != 'g') take(type == 'L' ? &extended.path : &extended.link, copied(text, strnlen(text, size)));
      free(text);
      continue;
    }
    if (type == 0 || type == '7') type = '0';
    *entry = (struct os_tar_entry){.type = type, .mode = (mode_t)(number(block + 100, 8) & 07777), .size = extended.has_size ? extended.size : size,
      .uid = extended.has_uid ? extended.uid : number(block + 108, 8), .gid = extended.has_gid ? extended.gid : number(block + 116, 8)};
    entry->mtime = extended.has_mtime ? extended.mtime : (struct timespec){.tv_sec = (time_t)number(block + 136, 12)};
    take(&path, extended.path ? extended.path : plain(block));
    take(&link, extended.link ? extended.link : copied((const char *)block + 157, strnlen((const char *)block + 157, 100)));
    memset(&extended, 0, sizeof extended);
    if (type >= '1' && type <= '6') entry->size = 0;
    if (entry->size > INT64_MAX) os_fail("invalid", "A number of the archive is too large.");
    entry->path = path;
    entry->link = link;
    left = entry->size;
    padding = (BLOCK - left % BLOCK) % BLOCK;
    return 1;
  }
}

/* ---- writing ---- */

static void flush(void) {
  for (size_t done = 0; done < out_end;) {
    ssize_t n = write(STDOUT_FILENO, out + done, out_end - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) _exit(3);
    done += (size_t)n;
  }
  out_end = 0;
}

void os_tar_write(const void *bytes, size_t length) {
  while (length > 0) {
    size_t n = BUFFER_BYTES - out_end < length ? BUFFER_BYTES - out_end : length;
    memcpy(out + out_end, bytes, n);
    bytes = (const char *)bytes + n;
    length -= n;
    if ((out_end += n) == BUFFER_BYTES) flush();
  }
}

void os_tar_pad(uint64_t size) {
  static const char zeros[BLOCK];
  os_tar_write(zeros, (BLOCK - size % BLOCK) % BLOCK);
}

static void octal(unsigned char *field, int digits, uint64_t value) {
  char text[32];
  snprintf(text, sizeof text, "%0*llo", digits, (unsigned long long)value);
  memcpy(field, text, (size_t)digits);
}

static void write_block(const char *path, const struct os_tar_entry *e, char type, uint64_t size) {
  unsigned char block[BLOCK] = {0};
  uint64_t sum = 0;
  memcpy(block, path, strnlen(path, 100));
  octal(block + 100, 7, e->mode & 07777);
  octal(block + 108, 7, e->uid <= OCTAL_7 ? e->uid : 0);
  octal(block + 116, 7, e->gid <= OCTAL_7 ? e->gid : 0);
  octal(block + 124, 11, size <= OCTAL_11 ? size : 0);
  octal(block + 136, 11, e->mtime.tv_sec >= 0 && (uint64_t)e->mtime.tv_sec <= OCTAL_11 ? (uint64_t)e->mtime.tv_sec : 0);
  block[156] = (unsigned char)type;
  if (type != 'x' && e->link) memcpy(block + 157, e->link, strnlen(e->link, 100));
  memcpy(block + 257, "ustar\0" "00", 8);
  if (type == '3' || type == '4') octal(block + 329, 7, e->major), octal(block + 337, 7, e->minor);
  memset(block + 148, ' ', 8);
  for (size_t i = 0; i < BLOCK; i++) sum += block[i];
  octal(block + 148, 6, sum);
  block[154] = 0;
  os_tar_write(block, BLOCK);
}

static struct { char *text; size_t length, room; } records;

static void record(const char *key, const char *value) {
  size_t body = strlen(key) + strlen(value) + 3, all = body + 1;
  char digits[24];
  while ((size_t)snprintf(digits, sizeof digits, "%zu", all) + body != all) all = strlen(digits) + body;
  if (records.length + all + 1 > records.room) records.text = must(realloc(records.text, records.room = (records.length + all) * 2 + 512));
  records.length += (size_t)sprintf(records.text + records.length, "%s %s=%s\n", digits, key, value);
}

void os_tar_header(const struct os_tar_entry *e) {
  char text[48];
  records.length = 0;
  if (strlen(e->path) > 100) record("path", e->path);
  if (e->link && strlen(e->link) > 100) record("linkpath", e->link);
  if (e->size > OCTAL_11) snprintf(text, sizeof text, "%llu", (unsigned long long)e->size), record("size", text);
  if (e->uid > OCTAL_7) snprintf(text, sizeof text, "%llu", (unsigned long long)e->uid), record("uid", text);
  if (e->gid > OCTAL_7) snprintf(text, sizeof text, "%llu", (unsigned long long)e->gid), record("gid", text);
  if (e->mtime.tv_sec >= 0 && e->mtime.tv_nsec != 0) snprintf(text, sizeof text, "%lld.%09ld", (long long)e->mtime.tv_sec, e->mtime.tv_nsec), record("mtime", text);
  if (records.length > 0) {
    struct os_tar_entry plain_entry = {.mode = 0644};
    write_block("PaxHeaders/entry", &plain_entry, 'x', records.length);
    os_tar_write(records.text, records.length);
    os_tar_pad(records.length);
  }
  write_block(e->path, e, e->type, e->size);
}

void os_tar_end(void) {
  static const char zeros[2 * BLOCK];
  os_tar_write(zeros, sizeof zeros);
  flush();
}
