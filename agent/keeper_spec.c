/* What a keeper is told, as agent/keeper_proto.h has it; names that a static program cannot look up become numbers. */
#include <errno.h>
#include <sys/stat.h>

#include "agent/keeper.h"
#include "agent/keeper_proto.h"
#include "agent/user.h"
#include "base/buf.h"
#include "base/file.h"

static void put_int(struct buf *b, uint64_t v, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		buf_putc(b, (char)(v >> (8 * i)));
}

static void put_str(struct buf *b, const char *s)
{
	put_int(b, s ? strlen(s) : 0, 4);
	buf_put(b, s ? s : "", (s ? strlen(s) : 0) + 1);
}

static int put_user(struct buf *b, const char *name, struct err *e)
{
	struct user u;
	int r = str_empty(name) ? 0 : user_find(name, &u, e);

	if (r < 0)
		return r;
	if (str_empty(name) || geteuid() != 0) {
		put_int(b, KEEPER_UNCHANGED, 8);
		put_int(b, KEEPER_UNCHANGED, 8);
		put_int(b, 0, 4);
		return 0;
	}
	put_int(b, u.uid, 8);
	put_int(b, u.gid, 8);
	put_int(b, (uint64_t)u.n_groups, 4);
	for (int i = 0; i < u.n_groups; i++)
		put_int(b, u.groups[i], 8);
	return 0;
}

static const char *env_value(const struct strs *env, const char *name)
{
	size_t n = strlen(name);

	for (uint32_t i = 0; i < env->n; i++)
		if (strncmp(env->v[i], name, n) == 0 && env->v[i][n] == '=')
			return env->v[i] + n + 1;
	return NULL;
}

/* The program as execve wants it. */
static int find_command(const struct keeper_spec *s, char **out, struct err *e)
{
	const char *path = env_value(&s->env, "PATH");

	if (str_empty(s->command))
		return err_set(e, -EINVAL, "no command was given");
	if (strchr(s->command, '/')) {
		if (access(s->command, X_OK) < 0)
			return err_set(e, -errno, "command \"%s\" cannot be started: %s", s->command, strerror(errno));
		*out = xstrdup(s->command);
		return 0;
	}
	cleanup_free char *list = xstrdup(path ? path : "/usr/local/bin:/usr/bin:/bin");

	for (char *rest = list, *dir; (dir = strsep(&rest, ":"));) {
		cleanup_free char *full = path_join(*dir ? dir : s->work_dir, s->command);
		struct stat st;

		if (access(full, X_OK) == 0 && stat(full, &st) == 0 && S_ISREG(st.st_mode)) {
			*out = STEAL(full);
			return 0;
		}
	}
	return err_set(e, -ENOENT, "command \"%s\" was not found in PATH (%s)", s->command, path ? path : "unset");
}

/* What /proc/self/oom_score_adj says of the agent; tasks do not take over its protection. */
static int own_oom_score(void)
{
	enum { NOT_READ = 9999 };
	static int score = NOT_READ;
	cleanup_buf struct buf text = BUF_INIT;

	if (score == NOT_READ)
		score = file_read("/proc/self/oom_score_adj", 64, &text, NULL) == 0 && text.len ? atoi(text.data) : 0;
	return score;
}

int keeper_spec_encode(const struct keeper_spec *s, struct buf *b, struct err *e)
{
	cleanup_free char *command = NULL;
	int r = find_command(s, &command, e);
	uint32_t n_procs = 0;

	if (r < 0)
		return r;
	while (n_procs < ARRAY_LEN(s->cgroup_procs) && s->cgroup_procs[n_procs])
		n_procs++;
	put_int(b, KEEPER_MAGIC, 4);
	put_str(b, command);
	put_int(b, s->args.n + 1, 4);
	put_str(b, s->command);
	for (uint32_t i = 0; i < s->args.n; i++)
		put_str(b, s->args.v[i]);
	put_int(b, s->env.n, 4);
	for (uint32_t i = 0; i < s->env.n; i++)
		put_str(b, s->env.v[i]);
	put_str(b, s->work_dir);
	r = put_user(b, s->user, e);
	if (r < 0)
		return r;
	put_str(b, s->log_folder);
	put_str(b, s->log_names[0]);
	put_str(b, s->log_names[1]);
	put_int(b, (uint64_t)MAX(s->max_files, 1), 8);
	put_int(b, (uint64_t)MAX(s->max_file_size, 4096), 8);
	put_int(b, s->logs_disabled, 8);
	put_str(b, s->cgroup);
	put_str(b, s->cgroup_oom);
	put_int(b, n_procs, 4);
	for (uint32_t i = 0; i < n_procs; i++)
		put_str(b, s->cgroup_procs[i]);
	put_int(b, s->oom_score_adj == own_oom_score() ? KEEPER_UNCHANGED : (uint64_t)(s->oom_score_adj + 1000), 8);
	put_int(b, s->open_files > 0 ? (uint64_t)s->open_files : KEEPER_UNCHANGED, 8);
	if (b->len > KEEPER_MAX_SPEC)
		return err_set(e, -E2BIG, "arguments and environment are %zu bytes; %u are the most that a task may have", b->len,
		    KEEPER_MAX_SPEC);
	return 0;
}
