/*
 * keeper_output: the part of drover-keeper that moves a task's stdout and stderr into numbered log files with rotation.
 *
 * The task is never blocked by the disk: a thread moves its pipe into a second pipe, which costs no copy and no wait,
 * and that one into the file. When a write has been stuck for a second, the keeper's other thread empties the task's
 * pipes, and what is lost is counted in the log. Until then a full pipe slows the task down, as any reader would.
 */
#ifndef AGENT_KEEPER_OUTPUT_H
#define AGENT_KEEPER_OUTPUT_H

#include <poll.h>
#include <stdbool.h>
#include <stdint.h>

struct output_config {
	const char *folder, *name[2]; /* "<name>.<n>" in folder; stdout and stderr */
	uint64_t max_files, max_file_size;
	bool disabled; /* read and thrown away */
};

/* Opens the folder and makes the pipes; task_ends are for the task, close-on-exec. NULL, or what could not be done. */
const char *output_open(const struct output_config *c, int task_ends[2]);

/* For the keeper's poll: output_fds() fills in OUTPUT_FDS entries, output_wake() acts on what they say and returns how
 * long poll may sleep, in ms (-1: for ever). The thread starts with the first output. */
enum { OUTPUT_FDS = 3 };
void output_fds(struct pollfd fds[OUTPUT_FDS]);
int output_wake(const struct pollfd fds[OUTPUT_FDS]);

/* The task has ended: waits for what it wrote, at most ms (whole seconds). */
void output_drain(int ms);

#endif
