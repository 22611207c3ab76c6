#include "tests/lib/stage.h"

#include "tests/lib/test.h"

#include <signal.h>

#include "base/file.h"
#include "base/log.h"

int stage_open(void **state)
{
	struct play *x = xcalloc(1, sizeof(*x));

	log_set_level(getenv("DEBUG") ? LOG_TRACE : LOG_ERROR);
	play_find_keeper();
	play_open(x);
	play_start(x);
	*state = x;
	return 0;
}

/* Tasks outlive clients, so the test asks for their end. */
int stage_close(void **state)
{
	struct play *x = *state;
	struct client_stats s = { .running = 1 };

	if (!x->client)
		play_start(x);
	x->broken = x->forgot = false;
	x->work.index += 2000;
	play_forget(x, ID1);
	play_forget(x, ID2);
	for (int i = 0; i < 800 && s.running; i++) {
		play_run_ms(x, 10);
		client_stats(x->client, &s);
	}
	play_close(x);
	free(x);
	return 0;
}

/* What the events of all tasks say, for the message of a test that fails. */
static const char *last_words(struct play *x, const char *id)
{
	const char *s = "";

	for (uint32_t i = 0; play_seen(x, id) && i < play_seen(x, id)->task_states.n; i++) {
		const struct task_state *t = play_seen(x, id)->task_states.v[i].value;

		OBJS_EACH(&t->events, struct task_event, ev) {
			s = arena_printf(x->arena, "%s\n  %s: %s: %s", s, play_seen(x, id)->task_states.v[i].key, ev->type,
			    ev->display_message);
		}
	}
	return s;
}

void wait_status(struct play *x, const char *id, const char *status)
{
	for (int i = 0; i < 1000 && !play_is(x, id, status); i++) {
		if (play_is(x, id, "failed") || play_is(x, id, "complete"))
			break; /* nothing comes after these */
		play_run_ms(x, 10);
	}
	if (!play_is(x, id, status))
		fail_msg("expected status %s, is %s (%s)", status,
		    play_seen(x, id) ? play_seen(x, id)->client_status : "never reported", last_words(x, id));
}

const struct task_state *task_of(struct play *x, const char *id, const char *task)
{
	return objmap_get(&play_seen(x, id)->task_states, task);
}

const char *events_of(struct play *x, const char *id, const char *task)
{
	const char *s = "";

	OBJS_EACH(&task_of(x, id, task)->events, struct task_event, ev) {
		s = arena_printf(x->arena, "%s%s%s", s, *s ? "," : "", ev->type);
	}
	return s;
}

const struct task_event *event_of(struct play *x, const char *id, const char *task, const char *type)
{
	OBJS_EACH(&task_of(x, id, task)->events, struct task_event, ev) {
		if (str_eq(ev->type, type))
			return ev;
	}
	fail_msg("no event %s: %s", type, events_of(x, id, task));
	return NULL;
}

pid_t pid_written(struct play *x, const char *id)
{
	for (int i = 0; i < 200; i++) {
		int pid = atoi(play_slurp(x, "%s/alloc/logs/t.stdout.0", id));

		if (pid > 0)
			return pid;
		play_run_ms(x, 10);
	}
	fail_msg("the task wrote no pid");
	return 0;
}

bool is_alive(pid_t pid)
{
	cleanup_free char *path = xasprintf("/proc/%d/stat", (int)pid);
	cleanup_fclose FILE *f = fopen(path, "re");
	char text[512] = "";

	if (!f || !fgets(text, sizeof(text), f))
		return false;
	const char *p = strrchr(text, ')');

	return p && p[2] != 'Z' && p[2] != 'X';
}

char *run_path(struct play *x, const char *id)
{
	return arena_printf(x->arena, "%s/client/allocs/%s/t.run", x->dir, id);
}

pid_t pid_in_run(struct play *x, const char *id, const char *line)
{
	struct buf b cleanup_buf = BUF_INIT;
	char word[16];
	int pid;

	if (file_read(run_path(x, id), 4096, &b, NULL) < 0 || !b.len)
		fail_msg("no record %s", run_path(x, id));
	for (const char *p = b.data; p; p = strchr(p, '\n')) {
		p += *p == '\n';
		if (sscanf(p, "%15s %d", word, &pid) == 2 && str_eq(word, line))
			return pid;
	}
	fail_msg("no line %s in %s", line, b.data);
	return 0;
}
