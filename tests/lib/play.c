#include "tests/lib/play.h"

#include <errno.h>
#include <event2/event.h>
#include <glob.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/codec.h"
#include "base/file.h"
#include "base/log.h"

/* ---- the servers ---- */

struct play_answer {
	struct play *p;
	struct play_answer *next;
	struct event *timer;
	link_done_fn *done;
	void *arg;
	bool work;
};

static void answer_free(struct play_answer *x)
{
	struct play_answer **at = &x->p->answers;

	while (*at != x)
		at = &(*at)->next;
	*at = x->next;
	event_free(x->timer);
	free(x);
}

static void on_later(evutil_socket_t fd UNUSED, short what UNUSED, void *arg)
{
	struct play_answer *x = arg;
	struct play *p = x->p;
	struct node_hello hello = { .index = p->work.index, .heartbeat_ttl = 10 * SECOND, .report = p->report };
	struct link_answer a = { .hello = &hello, .work = x->work ? &p->work : NULL };
	link_done_fn *done = x->done;
	void *to = x->arg;

	if (p->broken)
		err_set(&a.err, -ECONNREFUSED, "connection refused");
	else if (p->forgot)
		err_set(&a.err, -ENOENT, "unknown node");
	answer_free(x);
	done(to, &a);
	err_clear(&a.err);
}

static void later(struct play *p, link_done_fn *done, void *arg, bool work)
{
	struct play_answer *x = xcalloc(1, sizeof(*x));

	*x = (struct play_answer){ .p = p, .next = p->answers, .done = done, .arg = arg, .work = work };
	x->timer = evtimer_new(p->base, on_later, x);
	evtimer_add(x->timer, &(struct timeval){ 0 });
	p->answers = x;
}

static struct play *of(struct server_link *l)
{
	return CONTAINER_OF(l, struct play, link);
}

static void link_register(struct server_link *l, const struct node *node, link_done_fn *done, void *arg)
{
	if (str_empty(node->secret_id))
		die("a node without a secret registers");
	of(l)->registrations++;
	of(l)->forgot = false;
	later(of(l), done, arg, false);
}

static void link_heartbeat(struct server_link *l, link_done_fn *done, void *arg)
{
	later(of(l), done, arg, false);
}

static void link_work(struct server_link *l, uint64_t index, int64_t wait UNUSED, link_done_fn *done, void *arg)
{
	struct play *p = of(l);

	if (p->broken || p->forgot || index != (uint64_t)p->work.index) {
		later(p, done, arg, true);
		return;
	}
	p->waiting.done = done;
	p->waiting.arg = arg;
}

static void hear(struct play *p, const struct alloc_update *u)
{
	const struct alloc_update *old = objmap_get(&p->seen, u->id);

	if (!old || !str_eq(old->client_status, u->client_status))
		strs_push(p->arena, &p->trail, arena_printf(p->arena, "%.8s %s", u->id, u->client_status));
	objmap_set(p->arena, &p->seen, arena_strdup(p->arena, u->id), model_copy(p->arena, &type_alloc_update, u));
}

static void link_update(struct server_link *l, const struct alloc_updates *u, link_done_fn *done, void *arg)
{
	struct play *p = of(l);

	later(p, done, arg, false);
	if (p->broken || p->forgot)
		return;
	p->updates++;
	if (u->complete)
		p->completed = u->complete;
	OBJS_EACH(&u->allocs, struct alloc_update, x) {
		if (p->on_update)
			p->on_update(p, x);
		else
			hear(p, x);
	}
}

static const char *link_server(struct server_link *l UNUSED)
{
	return "127.0.0.1:1";
}

static const struct server_link_ops link_ops = {
	.node_register = link_register,
	.heartbeat = link_heartbeat,
	.work = link_work,
	.update = link_update,
	.server = link_server,
};

/* ---- the stage ---- */

void play_open(struct play *p)
{
	*p = (struct play){ .base = event_base_new(), .arena = arena_new() };
	p->link.ops = &link_ops;
	p->work.index = 1;
	snprintf(p->dir, sizeof(p->dir), "%.40s/drover-play-XXXXXX", getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
	if (!mkdtemp(p->dir) || chmod(p->dir, 0755) < 0)
		die("cannot make %s", p->dir);
	p->config = (struct client_config){
		.region = "global",
		.datacenter = "dc1",
		.name = "test",
		.data_dir = p->dir,
		.alloc_dir = arena_printf(p->arena, "%s/alloc", p->dir),
		.http_addr = "127.0.0.1:4646",
		.bind_ip = "127.0.0.1",
		.min_dynamic_port = 20000,
		.max_dynamic_port = 32000,
		.max_kill_timeout = 30 * SECOND,
		.gc_interval = MINUTE,
		.gc_max_allocs = 50,
		.cgroup_parent = arena_printf(p->arena, "drover-test-%d", (int)getpid()), /* the same ids run next door */
	};
	strmap_set(p->arena, &p->config.drivers_enabled, "raw_exec", "true");
}

void play_start(struct play *p)
{
	struct err e cleanup_err = ERR_INIT;

	if (client_start(p->base, &p->config, &p->link, &p->client, &e))
		die("client_start: %s", err_str(&e));
}

void play_halt(struct play *p)
{
	client_stop(p->client);
	p->client = NULL;
	while (p->answers)
		answer_free(p->answers);
	p->waiting.done = NULL;
	p->seen.n = 0;
}

/* Of cgroups of both versions. */
static void remove_cgroups(const char *parent)
{
	static const char *const places[] = {"/sys/fs/cgroup/%s", "/sys/fs/cgroup/*/%s"};

	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		char pattern[128];
		glob_t found;

		snprintf(pattern, sizeof(pattern), places[i], parent);
		if (glob(pattern, 0, NULL, &found))
			continue;
		for (size_t n = 0; n < found.gl_pathc; n++)
			rmdir(found.gl_pathv[n]);
		globfree(&found);
	}
}

void play_leave(struct play *p)
{
	play_halt(p);
	event_base_free(p->base);
	remove_cgroups(p->config.cgroup_parent);
	arena_free(p->arena);
}

void play_close(struct play *p)
{
	play_leave(p);
	dir_remove(p->dir, NULL);
}

void play_run_ms(struct play *p, int ms)
{
	struct timeval tv = { .tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000 };

	event_base_loopexit(p->base, &tv);
	event_base_dispatch(p->base);
}

void play_wake(struct play *p)
{
	if (!p->waiting.done)
		return;
	later(p, p->waiting.done, p->waiting.arg, true);
	p->waiting.done = NULL;
}

/* ---- what is desired ---- */

struct job *play_job(struct play *p, const char *type, const char *group)
{
	struct job *j = MODEL_NEW(p->arena, job);
	struct err e cleanup_err = ERR_INIT;
	const char *text = arena_printf(p->arena,
	    "{\"ID\":\"j\",\"Name\":\"j\",\"Namespace\":\"default\",\"Type\":\"%s\",\"Version\":0,\"Meta\":{\"where\":\"job\"},"
	    "\"TaskGroups\":[{\"Name\":\"g\",\"Count\":1,%s}]}",
	    type, group);

	if (codec_from_text(&type_job, j, text, strlen(text), p->arena, &e))
		die("job: %s\n%s", err_str(&e), text);
	MODEL_SET(job, j, job_modify_index, p->work.index);
	return j;
}

const char *play_sh(struct play *p, const char *name, const char *command, const char *more)
{
	struct buf b cleanup_buf = BUF_INIT;

	json_put_string(&b, command, strlen(command));
	return arena_printf(p->arena,
	    "{\"Name\":\"%s\",\"Driver\":\"raw_exec\",\"Config\":{\"command\":\"/bin/sh\",\"args\":[\"-c\",%s]}%s%s}", name, b.data,
	    *more ? "," : "", more);
}

struct allocation *play_want(struct play *p, const char *id, struct job *j, const char *more)
{
	struct allocation *a = MODEL_NEW(p->arena, allocation);
	struct err e cleanup_err = ERR_INIT;
	const char *text = arena_printf(p->arena,
	    "{\"ID\":\"%s\",\"Namespace\":\"default\",\"Name\":\"j.g[3]\",\"JobID\":\"j\",\"TaskGroup\":\"g\",\"DesiredStatus\":\"run\","
	    "\"ClientStatus\":\"pending\",\"AllocModifyIndex\":%lld,\"JobVersion\":0%s%s}",
	    id, (long long)p->work.index + 1, *more ? "," : "", more);

	if (codec_from_text(&type_allocation, a, text, strlen(text), p->arena, &e))
		die("allocation: %s\n%s", err_str(&e), text);
	p->work.index++;
	p->work.jobs.n = 0;
	objs_push(p->arena, &p->work.jobs, j);
	objs_push(p->arena, &p->work.allocs, a);
	play_wake(p);
	return a;
}

struct allocation *play_desire(struct play *p, const char *id, struct job *j)
{
	return play_want(p, id, j, "");
}

void play_desire_stop(struct play *p, struct allocation *a)
{
	p->work.index++;
	MODEL_SET(allocation, a, alloc_modify_index, p->work.index);
	MODEL_SET(allocation, a, desired_status, "stop");
	play_wake(p);
}

void play_forget(struct play *p, const char *id)
{
	p->work.index++;
	p->work.allocs.n = 0;
	strs_push(p->arena, &p->work.gone, id);
	play_wake(p);
}

/* ---- what is seen ---- */

const struct alloc_update *play_seen(struct play *p, const char *id)
{
	return objmap_get(&p->seen, id);
}

bool play_is(struct play *p, const char *id, const char *status)
{
	return play_seen(p, id) && str_eq(play_seen(p, id)->client_status, status);
}

char *play_slurp(struct play *p, const char *fmt, ...)
{
	struct buf b cleanup_buf = BUF_INIT;
	char path[512];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(path, sizeof(path), fmt, ap);
	va_end(ap);
	cleanup_free char *full = path_join(p->config.alloc_dir, path);

	if (file_read(full, 1 << 20, &b, NULL) < 0)
		return arena_strdup(p->arena, "");
	return arena_strdup(p->arena, b.data ? b.data : "");
}

void play_find_keeper(void)
{
	char exe[4096], path[4200];
	static const char *const places[] = { "drover-keeper", "../../drover-keeper" };
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);

	if (getenv("DROVER_KEEPER") || n <= 0)
		return;
	exe[n] = '\0';
	*strrchr(exe, '/') = '\0';
	for (size_t i = 0; i < ARRAY_LEN(places); i++) {
		snprintf(path, sizeof(path), "%s/%s", exe, places[i]);
		if (access(path, X_OK) == 0)
			setenv("DROVER_KEEPER", path, 0);
	}
}
