/* Makes the entries of a layer below the working directory's root, in overlay's own format. Nothing is sanitised:
 * an entry that breaks a rule fails the whole layer. Later entries replace earlier ones. */
#pragma once
#include "tar-entry.h"

struct layer_totals { uint64_t entries, file_bytes; };

void tree_open(void);
void tree_add(struct tar_entry *entry);
/* Sets the times of directories, which their children changed, and makes all of it durable. */
void tree_close(void);
extern struct layer_totals tree_totals;
/* JSON arrays of strings, without the brackets. */
extern struct json tree_notes, tree_setuid;
