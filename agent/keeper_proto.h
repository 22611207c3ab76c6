/*
 * keeper_proto: what the agent and drover-keeper agree on. Plain C, so that the keeper links libc alone.
 *
 * The agent starts `drover-keeper <record folder>` with
 *   fd 3  the spec: a memory file, read once; it holds the environment, so it never has a name
 *   fd 4  the write end of a pipe for events, one line each:
 *           "S <pid> <start>\n"   the task runs
 *           "E <sentence>\n"      it could not be started; the keeper ends
 *           "X\n"                 it ended; the status is in the record
 * The agent may be gone: then nobody reads fd 4, and the record folder tells its successor. Its files are described in
 * agent/keeper.h.
 *
 * Spec, integers little-endian: u32 KEEPER_MAGIC, then the fields in this order. str = u32 length + bytes + NUL (the
 * NUL is not counted); list = u32 count + that many str; int = u64.
 *   str command, list args (argv[0] included), list env, str work_dir, int uid, int gid, list of int groups (as u64),
 *   str stdout_path, str stderr_path, int max_files, int max_file_size, int logs_disabled, str cgroup,
 *   list cgroup_procs, int oom_score_adj + 1000
 * uid KEEPER_SAME_USER: stay who the agent is.
 */
#ifndef AGENT_KEEPER_PROTO_H
#define AGENT_KEEPER_PROTO_H

#include <stdint.h>

#define KEEPER_MAGIC     0x314b5244u /* "DRK1" */
#define KEEPER_FD_SPEC   3
#define KEEPER_FD_EVENTS 4
#define KEEPER_SAME_USER UINT64_MAX
#define KEEPER_MAX_SPEC  (4u << 20) /* bytes */

#endif
