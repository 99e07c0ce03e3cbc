#include "job-report.h"
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int report_fd = STDOUT_FILENO;
const char *report_entry = NULL;

void *must_alloc(void *memory) {
  if (!memory) {
    static const char text[] = "{\"error\":{\"code\":\"exhausted\",\"rule\":\"memory\",\"message\":\"The memory limit of the jail was reached.\"}}\n";
    if (write(report_fd, text, sizeof text - 1) < 0) _exit(2);
    _exit(1);
  }
  return memory;
}

static void append(struct json *json, const char *bytes, size_t length) {
  if (json->length + length > json->capacity) {
    size_t capacity = (json->length + length) * 2 + 256;
    json->text = must_alloc(realloc(json->text, capacity));
    json->capacity = capacity;
  }
  memcpy(json->text + json->length, bytes, length);
  json->length += length;
}

void json_raw(struct json *json, const char *text) { append(json, text, strlen(text)); }

void json_number(struct json *json, uint64_t number) {
  char digits[24];
  append(json, digits, (size_t)snprintf(digits, sizeof digits, "%llu", (unsigned long long)number));
}

/* Length of the well-formed UTF-8 sequence at `s`, 0 when there is none (RFC 3629). */
static size_t utf8_length(const unsigned char *s, size_t left) {
  if (s[0] < 0x80) return 1;
  if (s[0] >= 0xc2 && s[0] <= 0xdf) return left >= 2 && (s[1] & 0xc0) == 0x80 ? 2 : 0;
  if (s[0] >= 0xe0 && s[0] <= 0xef) {
    if (left < 3 || (s[1] & 0xc0) != 0x80 || (s[2] & 0xc0) != 0x80) return 0;
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f)) return 0;
    return 3;
  }
  if (s[0] >= 0xf0 && s[0] <= 0xf4) {
    if (left < 4 || (s[1] & 0xc0) != 0x80 || (s[2] & 0xc0) != 0x80 || (s[3] & 0xc0) != 0x80) return 0;
    if ((s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f)) return 0;
    return 4;
  }
  return 0;
}

void json_string(struct json *json, const char *text, size_t length) {
  append(json, "\"", 1);
  for (size_t i = 0; i < length;) {
    const unsigned char *at = (const unsigned char *)text + i;
    size_t sequence = utf8_length(at, length - i);
    if (sequence == 0) { append(json, "\xef\xbf\xbd", 3); i++; continue; }
    if (sequence == 1 && (*at < 0x20 || *at == '"' || *at == '\\' || *at == 0x7f)) {
      char escaped[8];
      append(json, escaped, (size_t)snprintf(escaped, sizeof escaped, "\\u%04x", *at));
    } else append(json, (const char *)at, sequence);
    i += sequence;
  }
  append(json, "\"", 1);
}

const char *json_text(struct json *json) {
  append(json, "", 1);
  json->length--;
  return json->text;
}

void json_send(struct json *json, int fd) {
  append(json, "\n", 1);
  for (size_t done = 0; done < json->length;) {
    ssize_t n = write(fd, json->text + done, json->length - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) _exit(2);
    done += (size_t)n;
  }
  json->length = 0;
}

void fail(const char *code, const char *rule, const char *format, ...) {
  char message[1024];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(message, sizeof message, format, arguments);
  va_end(arguments);
  struct json json = {0};
  json_raw(&json, "{\"error\":{\"code\":\"");
  json_raw(&json, code);
  json_raw(&json, "\",\"rule\":\"");
  json_raw(&json, rule);
  json_raw(&json, "\",\"message\":");
  json_string(&json, message, strlen(message));
  if (report_entry) {
    json_raw(&json, ",\"entry\":");
    json_string(&json, report_entry, strlen(report_entry));
  }
  json_raw(&json, "}}");
  json_send(&json, report_fd);
  _exit(1);
}

void fail_errno(const char *doing) {
  int number = errno;
  bool exhausted = number == ENOSPC || number == EDQUOT || number == EMFILE || number == ENFILE || number == ENOMEM || number == EMLINK || number == EFBIG;
  fail(exhausted ? "exhausted" : "internal", exhausted ? "resources" : "system", "Could not %s: %s.", doing, strerror(number));
}
