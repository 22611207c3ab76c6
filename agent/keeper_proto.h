/*
 * keeper_proto: what the agent and drover-keeper agree on. Plain C, so that the keeper links libc alone.
 *
 * The agent starts `drover-keeper <path of the record>` (the path is for people who look at process lists) with
 *   fd 3  the spec: a memory file, read once; it holds the environment, so it never has a name
 *   fd 4  the write end of a pipe for events, one line each:
 *           "S <pid> <start>\n"   the task runs
 *           "E <errno> <sentence>\n"   it could not be started; the keeper ends
 *           "X <code> <signal> <oom 0/1> <wall time ns>\n"   it ended; the same stands in the record
 *         The agent may be gone: then nobody reads it, and the record tells its successor.
 *   fd 5  the record, open for reading and writing, with an exclusive flock(2) that the agent took and the keeper
 *         inherits: as long as the lock is held the keeper lives, also before it has written a word.
 *
 * The record is a file of KEEPER_RECORD bytes of text in lines of a fixed width, padded with blanks, so that what is
 * written late overwrites bytes that the file has already: a disk that is full by then cannot lose an exit status.
 *   at KEEPER_AT_HEAD    "drover-run 2 <number of the start> <boot id>"   by the agent
 *   at KEEPER_AT_KEEPER  "keeper <pid>"
 *   at KEEPER_AT_TASK    "task <pid> <start time>"                        before the program runs
 *   at KEEPER_AT_EXIT    "exit <code> <signal> <oom 0/1> <wall time ns>"
 *   at KEEPER_AT_ERROR   "error <errno> <sentence>"                       it could not be started
 * A start time is in clock ticks since boot (proc(5), field 22): with the pid it names a process for good.
 *
 * Spec, integers little-endian: u32 KEEPER_MAGIC, then the fields in this order. str = u32 length + bytes + NUL (the
 * NUL is not counted); list = u32 count + that many str; int = u64.
 *   str command, list args (argv[0] included), list env, str work_dir, int uid, int gid, list of int groups (as u64),
 *   str log_folder, str stdout_name, str stderr_name, int max_files, int max_file_size, int logs_disabled,
 *   str cgroup (folder of the v2 group to be born in), str cgroup_oom, list cgroup_procs (v1), int oom_score_adj + 1000, int open files (soft limit)
 * KEEPER_UNCHANGED for uid, gid, oom_score_adj and open files: as the agent has it.
 */
#ifndef AGENT_KEEPER_PROTO_H
#define AGENT_KEEPER_PROTO_H

#include <stdint.h>

#define KEEPER_MAGIC      0x324b5244u /* "DRK2" */
#define KEEPER_FORMAT     2           /* of the record */
#define KEEPER_FD_SPEC    3
#define KEEPER_FD_EVENTS  4
#define KEEPER_FD_RECORD  5
#define KEEPER_UNCHANGED  UINT64_MAX
#define KEEPER_MAX_SPEC   (4u << 20) /* bytes */

#define KEEPER_LINE       96
#define KEEPER_AT_HEAD    0
#define KEEPER_AT_KEEPER  (1 * KEEPER_LINE)
#define KEEPER_AT_TASK    (2 * KEEPER_LINE)
#define KEEPER_AT_EXIT    (3 * KEEPER_LINE)
#define KEEPER_AT_ERROR   (4 * KEEPER_LINE)
#define KEEPER_RECORD     1024 /* bytes; the rest is the error's */

#endif
