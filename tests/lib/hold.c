#include "tests/lib/hold.h"

#include "tests/lib/test.h"

#include <sys/stat.h>

#include "base/file.h"
#include "tests/lib/play.h"

void hold_on_event(void *arg, struct keeper *k UNUSED, enum keeper_event event, const struct keeper_exit *x)
{
	struct hold *h = arg;

	h->started |= event == KEEPER_STARTED;
	h->failed |= event == KEEPER_START_FAILED;
	h->exited |= event == KEEPER_EXITED;
	if (x)
		h->exit = *x;
	if (x && x->error)
		snprintf(h->error, sizeof(h->error), "%s", x->error);
}

int hold_open(void **state)
{
	struct hold *h = xcalloc(1, sizeof(*h));

	play_find_keeper();
	h->base = event_base_new();
	h->arena = arena_new();
	strcpy(h->dir, "/tmp/drover-keeper-XXXXXX");
	assert_non_null(mkdtemp(h->dir));
	assert_int_equal(0, chmod(h->dir, 0755));
	h->logs = path_join(h->dir, "logs");
	h->record = path_join(h->dir, "t.run");
	assert_int_equal(0, mkdir(h->logs, 0777));
	h->spec = (struct keeper_spec){.command = "/bin/sh",
	    .work_dir = h->dir,
	    .log_folder = h->logs,
	    .log_names = {"t.stdout", "t.stderr"},
	    .max_files = 10,
	    .max_file_size = 10 << 20};
	strs_push(h->arena, &h->spec.env, "PATH=/usr/bin:/bin");
	*state = h;
	return 0;
}

int hold_close(void **state)
{
	struct hold *h = *state;

	if (h->k && !h->exited)
		keeper_kill(h->k, NULL);
	for (int i = 0; i < 500 && h->k && !h->exited && !h->failed; i++)
		event_base_loop(h->base, EVLOOP_NONBLOCK), usleep(10000);
	keeper_release(h->k);
	event_base_free(h->base);
	dir_remove(h->dir, NULL);
	arena_free(h->arena);
	free(h->logs);
	free(h->record);
	free(h);
	return 0;
}

void hold_start(struct hold *h, const char *script)
{
	struct err e = ERR_INIT;

	h->spec.args.n = 0;
	strs_push(h->arena, &h->spec.args, "-c");
	strs_push(h->arena, &h->spec.args, script);
	if (keeper_start(h->base, h->record, 1, &h->spec, hold_on_event, h, &h->k, &e) < 0)
		fail_msg("keeper_start: %s", err_str(&e));
}

void hold_run(struct hold *h, const char *script)
{
	hold_start(h, script);
	until(h, h->exited || h->failed);
}

char *hold_log(struct hold *h, const char *name)
{
	struct buf b cleanup_buf = BUF_INIT;
	cleanup_free char *path = path_join(h->logs, name);

	if (file_read(path, 64 << 20, &b, NULL) < 0)
		return arena_strdup(h->arena, "");
	return arena_strdup(h->arena, b.data ? b.data : "");
}

bool hold_alive(int pid)
{
	cleanup_free char *path = xasprintf("/proc/%d/stat", pid);
	struct buf b cleanup_buf = BUF_INIT;

	if (pid <= 0 || file_read(path, 4096, &b, NULL) < 0 || !b.len)
		return false;
	return strrchr(b.data, ')')[2] != 'Z';
}

/* The agent is killed: nothing of it is left but the record. */
void hold_forget(struct hold *h)
{
	keeper_release(h->k);
	h->k = NULL;
	h->started = h->exited = h->failed = false;
}

int hold_adopt(struct hold *h, uint64_t start)
{
	return keeper_adopt(h->base, h->record, &start, hold_on_event, h, &h->k, NULL);
}

int hold_number(struct hold *h, const char *name)
{
	struct buf b cleanup_buf = BUF_INIT;
	cleanup_free char *path = path_join(h->dir, name);

	return file_read(path, 64, &b, NULL) == 0 && b.len ? atoi(b.data) : 0;
}
