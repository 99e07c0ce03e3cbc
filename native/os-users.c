/* Users of an OS container, at its first boot: lines of passwd(5), shadow(5), group(5) and what lies in a home. Written
 * here and not by the image's own tools: each distribution has others, and a root of busybox none. */
#include "os-boot.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { FIRST_ID = 1000, LAST_ID = 59999, LINE = 8192 };

static const char *next_line(const char *line) {
  line = strchr(line, '\n');
  return line ? line + 1 : NULL;
}

/* The line of `name` in a file of colon-separated lines; NULL when there is none. */
static const char *line_of(const char *text, const char *name) {
  size_t length = strlen(name);
  for (const char *line = text; line && *line; line = next_line(line))
    if (strncmp(line, name, length) == 0 && line[length] == ':') return line;
  return NULL;
}

/* Where field `index` of a line begins; NULL when it has fewer. */
static const char *field_of(const char *line, int index) {
  for (; line && index > 0; index--) {
    line = strpbrk(line, ":\n");
    line = line && *line == ':' ? line + 1 : NULL;
  }
  return line;
}

/* Field `index` of a line as a number; -1 when it is none. */
static long number_of(const char *line, int index) {
  const char *field = field_of(line, index);
  return field && *field >= '0' && *field <= '9' ? strtol(field, NULL, 10) : -1;
}

/* Field `index` of a line as text, cut where it is too long; empty when there is none. */
static void text_of(const char *line, int index, char *into, size_t size) {
  const char *field = field_of(line, index);
  size_t length = field ? strcspn(field, ":\n") : 0;
  if (length >= size) length = size - 1;
  if (field) memcpy(into, field, length);
  into[length] = 0;
}

void os_ids(const char *user, const char *group, uid_t *uid, gid_t *gid) {
  char *users = os_read("/etc/passwd"), *groups = os_read("/etc/group");
  const char *line = users ? line_of(users, user) : NULL;
  if (*user >= '0' && *user <= '9') *uid = (uid_t)strtoul(user, NULL, 10);
  else if (line) *uid = (uid_t)number_of(line, 2), *gid = (gid_t)number_of(line, 3);
  if (*group >= '0' && *group <= '9') *gid = (gid_t)strtoul(group, NULL, 10);
  else if (*group && groups && line_of(groups, group)) *gid = (gid_t)number_of(line_of(groups, group), 2);
}

static int id_taken(const char *text, long id) {
  for (const char *line = text; line && *line; line = next_line(line))
    if (number_of(line, 2) == id) return 1;
  return 0;
}

static long free_id(const char *users, const char *groups) {
  for (long id = FIRST_ID; id <= LAST_ID; id++)
    if (!(users && id_taken(users, id)) && !(groups && id_taken(groups, id))) return id;
  return -1;
}

static void append_line(const char *path, const char *line, mode_t mode) {
  struct stat at;
  gid_t group = 0;
  if (stat(path, &at) == 0) mode = at.st_mode & 07777, group = at.st_gid;
  const char *text = os_read(path);
  /* A last line without its end would become one with ours. */
  if (text && *text && text[strlen(text) - 1] != '\n') os_write(path, "\n", 1, mode, 0, group, 1);
  os_write(path, line, strlen(line), mode, 0, group, 1);
}

/* Adds `name` to the members of `group`; a group that is not there is made. */
static void join_group(const char *group, const char *name) {
  char *groups = os_read("/etc/group");
  const char *line = groups ? line_of(groups, group) : NULL;
  char text[LINE];
  if (!line) {
    char *users = os_read("/etc/passwd");
    snprintf(text, sizeof text, "%s:x:%ld:%s\n", group, free_id(users, groups), name);
    append_line("/etc/group", text, 0644);
    return;
  }
  size_t before = (size_t)(line - groups) + strcspn(line, "\n"), rest = strlen(groups + before);
  char *copy = malloc(before + rest + strlen(name) + 2);
  if (!copy) return;
  memcpy(copy, groups, before);
  int length = sprintf(copy + before, "%s%s", groups[before - 1] == ':' ? "" : ",", name);
  memcpy(copy + before + length, groups + before, rest + 1);
  os_write("/etc/group", copy, strlen(copy), 0644, 0, 0, 0);
}

static void copy_skeleton(const char *home, uid_t uid, gid_t gid) {
  DIR *dir = opendir("/etc/skel");
  if (!dir) return;
  char from[512], to[4096];
  for (struct dirent *entry; (entry = readdir(dir));) {
    if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
    snprintf(from, sizeof from, "/etc/skel/%s", entry->d_name);
    snprintf(to, sizeof to, "%s/%s", home, entry->d_name);
    char *text = os_read(from);
    if (text && access(to, F_OK) != 0) os_write(to, text, strlen(text), 0644, uid, gid, 0);
    free(text);
  }
  closedir(dir);
}

static void make_home(const char *home, uid_t uid, gid_t gid) {
  if (mkdir(home, 0700) != 0) {
    if (errno != EEXIST) os_say("cannot make %s: %s", home, strerror(errno));
    return;
  }
  if (chown(home, uid, gid) != 0) os_say("cannot give %s away: %s", home, strerror(errno));
  copy_skeleton(home, uid, gid);
}

static void put_keys(const char *home, const char *keys, uid_t uid, gid_t gid) {
  char path[4096];
  snprintf(path, sizeof path, "%s/.ssh", home);
  mkdir(path, 0700);
  if (chown(path, uid, gid) != 0) os_say("cannot give %s away: %s", path, strerror(errno));
  snprintf(path, sizeof path, "%s/.ssh/authorized_keys", home);
  os_write(path, keys, strlen(keys), 0600, uid, gid, 0);
}

static const char *shell_there(const char *wanted) {
  if (*wanted) return wanted;
  return access("/bin/bash", X_OK) == 0 ? "/bin/bash" : "/bin/sh";
}

static long make_user(const struct os_user *user, const char *home, const char *users) {
  char *groups = os_read("/etc/group"), line[LINE];
  long id = *user->uid ? strtol(user->uid, NULL, 10) : free_id(users, groups);
  if (id < 0) {
    os_say("no id is free for %s", user->name);
    return -1;
  }
  const char *own = groups ? line_of(groups, user->name) : NULL;
  long gid = own ? number_of(own, 2) : groups && id_taken(groups, id) ? free_id(users, groups) : id;
  snprintf(line, sizeof line, "%s:x:%ld:%ld:%s:%s:%s\n", user->name, id, gid, user->gecos, home, shell_there(user->shell));
  append_line("/etc/passwd", line, 0644);
  if (!own) {
    snprintf(line, sizeof line, "%s:x:%ld:\n", user->name, gid);
    append_line("/etc/group", line, 0644);
  }
  /* `*` is no password's hash, and not the mark of a locked account, which sshd would keep out with its key, too. */
  snprintf(line, sizeof line, "%s:%s:%ld:0:99999:7:::\n", user->name, *user->password ? user->password : "*", (long)(time(NULL) / 86400));
  append_line("/etc/shadow", line, 0640);
  return id;
}

void os_add_user(const struct os_user *user) {
  char *users = os_read("/etc/passwd"), home[2048], path[4096];
  const char *there = users ? line_of(users, user->name) : NULL;
  if (there) text_of(there, 5, home, sizeof home);
  else snprintf(home, sizeof home, "%s%s", *user->home ? user->home : "/home/", *user->home ? "" : user->name);
  if (!there && make_user(user, home, users) < 0) return;
  uid_t uid = 0;
  gid_t gid = 0;
  os_ids(user->name, "", &uid, &gid);
  make_home(home, uid, gid);
  char *list = strdup(user->groups), *rest = NULL;
  for (char *one = list ? strtok_r(list, ",", &rest) : NULL; one; one = strtok_r(NULL, ",", &rest)) join_group(one, user->name);
  free(list);
  if (*user->keys) put_keys(home, user->keys, uid, gid);
  if (*user->sudo) {
    snprintf(path, sizeof path, "/etc/sudoers.d/90-%s", user->name);
    os_write(path, user->sudo, strlen(user->sudo), 0440, 0, 0, 0);
  }
}
