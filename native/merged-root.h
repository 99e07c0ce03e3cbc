/* Roots that a jail builds for itself, in its own mount namespace, instead of being given a directory. */
#pragma once
enum { MERGED_LAYERS = 128 };

/* An empty root of its own; the host's lies below /old until it is unmounted. The working directory is /. */
void merged_root_begin(void);
/* The distribution's programs and libraries, read-only. */
void merged_system_directories(void);
/* The layers (lowest first) as one read-only directory /root, as an instance would see them. Call before or after
 * begin; `merged_clone_layers` takes the paths while the host's root is still there. */
void merged_clone_layers(int count, char **layers);
void merged_mount_layers(void);

int clone_mount(int dir, const char *path, unsigned long long flags);
void place_mount(int fd, const char *target);
