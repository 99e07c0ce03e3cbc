/* The rules of layer unpacking, each a switch that is only ever off in a test build (-DRULE_X=0): a test that proves
 * the rule must go red without it. The names are what the report calls them. */
#pragma once
#ifndef RULE_ABSOLUTE_PATH
#define RULE_ABSOLUTE_PATH 1 /* no leading slash, in paths and hard link targets */
#endif
#ifndef RULE_PARENT_REFERENCE
#define RULE_PARENT_REFERENCE 1 /* no '..' component */
#endif
#ifndef RULE_DRIVE_PREFIX
#define RULE_DRIVE_PREFIX 1 /* no 'C:' component */
#endif
#ifndef RULE_NUL_IN_PATH
#define RULE_NUL_IN_PATH 1 /* no NUL in a PAX path */
#endif
#ifndef RULE_PATH_LENGTH
#define RULE_PATH_LENGTH 1 /* at most 4095 bytes, components of at most 255 */
#endif
#ifndef RULE_THROUGH_SYMLINK
#define RULE_THROUGH_SYMLINK 1 /* nothing is written or linked through a symbolic link */
#endif
#ifndef RULE_HARDLINK_TARGET
#define RULE_HARDLINK_TARGET 1 /* a hard link names a file, symbolic link or FIFO of this very layer */
#endif
#ifndef RULE_WHITEOUT_NAME
#define RULE_WHITEOUT_NAME 1 /* a whiteout is an empty regular file that names one thing of its own directory */
#endif
#ifndef RULE_DEVICE_NODE
#define RULE_DEVICE_NODE 1 /* device nodes are noted, never made */
#endif
#ifndef RULE_XATTR
#define RULE_XATTR 1 /* only security.capability and small user.*, never an overlay mark */
#endif
#ifndef RULE_ID_RANGE
#define RULE_ID_RANGE 1 /* ids are at most 65535 */
#endif
#ifndef RULE_TYPE
#define RULE_TYPE 1 /* known entry types only; no sparse files */
#endif
#ifndef RULE_NUMBER
#define RULE_NUMBER 1 /* numbers are not negative, malformed or beyond their field */
#endif
#ifndef RULE_MAX_BYTES
#define RULE_MAX_BYTES 1
#endif
#ifndef RULE_MAX_ENTRIES
#define RULE_MAX_ENTRIES 1
#endif
#ifndef RULE_MAX_RATIO
#define RULE_MAX_RATIO 1
#endif
#ifndef RULE_ZSTD_WINDOW
#define RULE_ZSTD_WINDOW 1 /* windows of at most 128 MiB */
#endif
#ifndef RULE_JAIL
#define RULE_JAIL 1
#endif
#ifndef RULE_SYSCALL_FILTER
#define RULE_SYSCALL_FILTER 1
#endif
