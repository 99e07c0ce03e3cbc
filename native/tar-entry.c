#include "tar-entry.h"
#include "byte-stream.h"
#include "job-report.h"
#include "rules.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK = 512, EXTENSION_BYTES = 1024 * 1024, LONG_NAME_BYTES = 64 * 1024, XATTRS = 256 };

struct ustar {
  char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], checksum[8], type, link[100], magic[8], user[32], group[32], major[8], minor[8], prefix[155], rest[12];
};
_Static_assert(sizeof(struct ustar) == BLOCK, "a header is one block");

/* What an extended header said about the next entry. */
static struct {
  char *pax, *long_name, *long_link;
  size_t long_name_length, long_link_length;
  struct { char *text; size_t length; } path, link;
  bool has_size, has_uid, has_gid, has_mtime;
  uint64_t size, uid, gid;
  struct timespec mtime;
  struct tar_xattr xattrs[XATTRS];
  size_t xattr_count;
} extended;

static char name_buffer[sizeof((struct ustar *)0)->prefix + sizeof((struct ustar *)0)->name + 2], link_buffer[sizeof((struct ustar *)0)->link + 1];

static _Noreturn void bad_number(const char *what) { fail("invalid", "number", "The entry's %s is not a valid number.", what); }

/* Octal digits, or GNU's base 256 when the top bit is set (the next one is the sign). */
static uint64_t number(const char *field, size_t length, const char *what) {
  uint64_t value = 0;
  if (field[0] & 0x80) {
    if ((field[0] & 0x7f) != 0) {
      if (RULE_NUMBER) bad_number(what);
      return 0;
    }
    for (size_t i = 1; i < length; i++) {
      if (value >> 55) bad_number(what);
      value = value << 8 | (uint8_t)field[i];
    }
    return value;
  }
  size_t i = 0;
  while (i < length && field[i] == ' ') i++;
  for (; i < length && field[i] >= '0' && field[i] <= '7'; i++) {
    if (value >> 60) bad_number(what);
    value = value << 3 | (uint64_t)(field[i] - '0');
  }
  for (; i < length; i++)
    if (field[i] != ' ' && field[i] != 0 && RULE_NUMBER) bad_number(what);
    else if (field[i] == 0) break;
  return value;
}

static uint64_t decimal(const char *text, size_t length, const char *what) {
  uint64_t value = 0;
  if (length == 0 || length > 18) bad_number(what);
  for (size_t i = 0; i < length; i++) {
    if (text[i] < '0' || text[i] > '9') bad_number(what);
    value = value * 10 + (uint64_t)(text[i] - '0');
  }
  return value;
}

/* Seconds with an optional sign and fraction. */
static struct timespec pax_time(const char *text, size_t length) {
  bool negative = length > 0 && text[0] == '-';
  if (negative) text++, length--;
  const char *dot = memchr(text, '.', length);
  size_t whole = dot ? (size_t)(dot - text) : length;
  struct timespec time = {.tv_sec = (time_t)decimal(text, whole, "mtime")};
  long scale = 100000000;
  for (size_t i = whole + 1; i < length; i++, scale /= 10) {
    if (text[i] < '0' || text[i] > '9') bad_number("mtime");
    time.tv_nsec += (text[i] - '0') * scale;
  }
  if (negative) {
    time.tv_sec = -time.tv_sec;
    if (time.tv_nsec > 0) time = (struct timespec){time.tv_sec - 1, 1000000000 - time.tv_nsec};
  }
  return time;
}

static char *read_extension(uint64_t size, size_t most) {
  if (size > most) fail("exhausted", "extendedHeader", "An extended header has more than %zu bytes.", most);
  char *text = must_alloc(malloc(size + 1));
  if (size > 0 && !stream_read(text, size)) fail("invalid", "truncated", "The layer ends in the middle of an extended header.");
  text[size] = 0;
  tar_skip(0, size);
  return text;
}

static void pax_text(typeof(extended.path) *into, char *value, size_t length, const char *what) {
  if (into->text) fail("invalid", "duplicateRecord", "A PAX header has two values of %s.", what);
  if (length == 0) fail("invalid", "emptyPath", "A PAX header has an empty %s.", what);
  if (RULE_NUL_IN_PATH && memchr(value, 0, length)) fail("invalid", "nulInPath", "A PAX header has a NUL in its %s.", what);
  into->text = value;
  into->length = length;
}

static bool once(bool *seen, const char *what) {
  if (*seen) fail("invalid", "duplicateRecord", "A PAX header has two values of %s.", what);
  return *seen = true;
}

static void pax_record(char *key, char *value, size_t length) {
  static const char xattr[] = "SCHILY.xattr.";
  if (strcmp(key, "path") == 0) pax_text(&extended.path, value, length, "path");
  else if (strcmp(key, "linkpath") == 0) pax_text(&extended.link, value, length, "linkpath");
  else if (strcmp(key, "size") == 0 && once(&extended.has_size, key)) extended.size = decimal(value, length, "size");
  else if (strcmp(key, "uid") == 0 && once(&extended.has_uid, key)) extended.uid = decimal(value, length, "uid");
  else if (strcmp(key, "gid") == 0 && once(&extended.has_gid, key)) extended.gid = decimal(value, length, "gid");
  else if (strcmp(key, "mtime") == 0 && once(&extended.has_mtime, key)) extended.mtime = pax_time(value, length);
  else if (strncmp(key, "GNU.sparse.", 11) == 0 && RULE_TYPE) fail("invalid", "sparse", "Sparse files are not allowed in a layer.");
  else if (strncmp(key, xattr, sizeof xattr - 1) == 0) {
    if (extended.xattr_count == XATTRS) fail("exhausted", "xattr", "An entry has more than %d extended attributes.", XATTRS);
    extended.xattrs[extended.xattr_count++] = (struct tar_xattr){key + sizeof xattr - 1, (uint8_t *)value, length};
  }
}

/* Records are "LENGTH KEY=VALUE\n", LENGTH counting all of it. */
static void parse_pax(char *text, size_t size, bool global) {
  for (char *at = text, *end = text + size; at < end;) {
    char *space = memchr(at, ' ', (size_t)(end - at));
    if (!space || space == at) fail("invalid", "paxRecord", "A PAX header is malformed.");
    uint64_t length = decimal(at, (size_t)(space - at), "PAX record length");
    if (length > (uint64_t)(end - at) || at + length <= space + 1 || at[length - 1] != '\n') fail("invalid", "paxRecord", "A PAX header is malformed.");
    char *key = space + 1, *stop = at + length - 1, *equals = memchr(key, '=', (size_t)(stop - key));
    if (!equals || equals == key || memchr(key, 0, (size_t)(equals - key))) fail("invalid", "paxRecord", "A PAX header is malformed.");
    *equals = *stop = 0;
    if (!global) pax_record(key, equals + 1, (size_t)(stop - equals - 1));
    else if (strcmp(key, "comment") != 0) fail("invalid", "globalHeader", "A global PAX header sets %.64s for all entries.", key);
    at += length;
  }
}

static bool is_zero(const void *block, size_t length) {
  const char *bytes = block;
  return length == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, length - 1) == 0);
}

static void check_sum(const struct ustar *header) {
  const uint8_t *bytes = (const uint8_t *)header;
  uint64_t sum = 0;
  for (size_t i = 0; i < BLOCK; i++) sum += i >= offsetof(struct ustar, checksum) && i < offsetof(struct ustar, type) ? ' ' : bytes[i];
  char field[sizeof header->checksum + 1] = "";
  memcpy(field, header->checksum, sizeof header->checksum);
  if (strtoull(field, NULL, 8) != sum) fail("invalid", "checksum", "A tar header has a wrong checksum: this is not a tar archive, or it is damaged.");
}

/* After the end only padding may follow: what one reader skips, another would unpack. */
static void read_to_end(void) {
  const uint8_t *bytes;
  for (size_t n; (n = stream_peek(&bytes)) > 0; stream_take(n))
    if (!is_zero(bytes, n)) fail("invalid", "trailingData", "The layer goes on after its end.");
}

void tar_skip(uint64_t content_left, uint64_t size) {
  uint64_t left = content_left + (BLOCK - size % BLOCK) % BLOCK;
  while (left > 0) {
    const uint8_t *bytes;
    uint64_t n = stream_peek(&bytes);
    if (n == 0) fail("invalid", "truncated", "The layer ends in the middle of an entry.");
    if (n > left) n = left;
    stream_take(n);
    left -= n;
  }
}

static void forget_extension(void) {
  free(extended.pax);
  free(extended.long_name);
  free(extended.long_link);
  memset(&extended, 0, sizeof extended);
}

static void plain_names(struct tar_entry *entry, const struct ustar *header) {
  size_t length = 0, name = strnlen(header->name, sizeof header->name);
  if (memcmp(header->magic, "ustar\0" "00", 8) == 0) {
    length = strnlen(header->prefix, sizeof header->prefix);
    memcpy(name_buffer, header->prefix, length);
    if (length > 0) name_buffer[length++] = '/';
  }
  memcpy(name_buffer + length, header->name, name);
  name_buffer[length + name] = 0;
  entry->path = name_buffer;
  entry->path_length = length + name;
  entry->link_length = strnlen(header->link, sizeof header->link);
  memcpy(link_buffer, header->link, entry->link_length);
  link_buffer[entry->link_length] = 0;
  entry->link = link_buffer;
}

bool tar_next(struct tar_entry *entry) {
  struct ustar header;
  report_entry = NULL;
  forget_extension();
  for (;;) {
    if (!stream_read(&header, BLOCK)) {
      if (extended.pax || extended.long_name || extended.long_link) fail("invalid", "truncated", "The layer ends after an extended header.");
      return false;
    }
    if (is_zero(&header, BLOCK)) {
      if (stream_read(&header, BLOCK) && !is_zero(&header, BLOCK)) fail("invalid", "trailingData", "The layer goes on after its end.");
      read_to_end();
      return false;
    }
    check_sum(&header);
    uint64_t size = number(header.size, sizeof header.size, "size");
    if (header.type == 'x') {
      if (extended.pax) fail("invalid", "duplicateRecord", "An entry has two PAX headers.");
      extended.pax = read_extension(size, EXTENSION_BYTES);
      parse_pax(extended.pax, size, false);
    } else if (header.type == 'g') {
      char *text = read_extension(size, EXTENSION_BYTES);
      parse_pax(text, size, true);
      free(text);
    } else if (header.type == 'L' || header.type == 'K') {
      char **into = header.type == 'L' ? &extended.long_name : &extended.long_link;
      if (*into) fail("invalid", "duplicateRecord", "An entry has two long names.");
      *into = read_extension(size, LONG_NAME_BYTES);
      *(header.type == 'L' ? &extended.long_name_length : &extended.long_link_length) = strnlen(*into, size);
    } else {
      plain_names(entry, &header);
      if (extended.long_name) entry->path = extended.long_name, entry->path_length = extended.long_name_length;
      if (extended.long_link) entry->link = extended.long_link, entry->link_length = extended.long_link_length;
      if (extended.path.text) entry->path = extended.path.text, entry->path_length = extended.path.length;
      if (extended.link.text) entry->link = extended.link.text, entry->link_length = extended.link.length;
      report_entry = entry->path;
      entry->size = extended.has_size ? extended.size : size;
      entry->mode = number(header.mode, sizeof header.mode, "mode") & 07777;
      entry->uid = extended.has_uid ? extended.uid : number(header.uid, sizeof header.uid, "uid");
      entry->gid = extended.has_gid ? extended.gid : number(header.gid, sizeof header.gid, "gid");
      entry->mtime = extended.has_mtime ? extended.mtime : (struct timespec){.tv_sec = (time_t)number(header.mtime, sizeof header.mtime, "mtime")};
      bool device = header.type == '3' || header.type == '4';
      entry->major = device ? number(header.major, sizeof header.major, "device number") : 0;
      entry->minor = device ? number(header.minor, sizeof header.minor, "device number") : 0;
      entry->xattrs = extended.xattrs;
      entry->xattr_count = extended.xattr_count;
      entry->type = header.type == 0 || header.type == '7' ? '0' : header.type;
      /* Before POSIX a directory was a file with a slash at its end. */
      if (entry->type == '0' && entry->path_length > 0 && entry->path[entry->path_length - 1] == '/' && entry->size == 0) entry->type = '5';
      return true;
    }
  }
}
