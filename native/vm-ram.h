/* The memory file of a warm start, given to QEMU as a descriptor. */
#pragma once

/* In the child, after no_new_privs and before it executes: from then on its first creation of a file asks whoever has
 * the descriptor that is sent through `to`. 0, or -1 and errno. */
int ram_ask(int to);
/* In the parent: answers that question with `ram`, then is deaf. 0, or -1 when nobody asked in time. */
int ram_answer(int from, int ram, int timeout_ms);
