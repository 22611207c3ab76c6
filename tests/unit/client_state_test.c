#include "tests/lib/test.h"

#include <errno.h>
#include <sys/stat.h>

#include "agent/alloc_gc.h"
#include "agent/client_state.h"
#include "agent/task_event.h"
#include "base/codec.h"
#include "base/file.h"

static char dir[64];

static int begin(void **state)
{
	*state = arena_new();
	strcpy(dir, "/tmp/drover-state-XXXXXX");
	return mkdtemp(dir) ? 0 : -1;
}

static int finish(void **state)
{
	arena_free(*state);
	return dir_remove(dir, NULL);
}

static void test_the_identity_is_made_once_and_private(void **state)
{
	char id[UUID_STR], secret[UUID_STR], id2[UUID_STR], secret2[UUID_STR];
	cleanup_free char *path = path_join(dir, "node");
	struct stat st;

	(void)state;
	assert_int_equal(0, client_state_identity(dir, id, secret, NULL));
	assert_int_equal(0, client_state_identity(dir, id2, secret2, NULL));
	assert_string_equal(id, id2);
	assert_string_equal(secret, secret2);
	assert_string_not_equal(id, secret);
	assert_int_equal(0, stat(path, &st));
	assert_int_equal(0600, st.st_mode & 0777);
}

static void test_a_damaged_identity_is_refused_not_replaced(void **state)
{
	char id[UUID_STR], secret[UUID_STR];
	cleanup_free char *path = path_join(dir, "node");
	struct err e = ERR_INIT;

	(void)state;
	assert_int_equal(0, file_write_atomic(path, "garbage", 7, 0600, false, NULL));
	assert_int_equal(-EBADMSG, client_state_identity(dir, id, secret, &e));
	assert_non_null(strstr(err_str(&e), "remove it"));
	err_clear(&e);
}

static struct alloc_record sample(struct arena *a)
{
	struct alloc_record r = { .stopping = true, .health = -1, .health_at = 77, .n = 1 };
	struct task_state *s = MODEL_NEW(a, task_state);

	MODEL_SET(task_state, s, state, "running");
	MODEL_SET(task_state, s, restarts, 3);
	task_event_add(a, s, EVENT_RESTARTING, 5, "Restart within policy", 2 * SECOND);
	r.tasks = arena_alloc(a, sizeof(*r.tasks));
	r.tasks[0] = (struct task_record){ .name = "t", .phase = 5, .starts = 6, .restarts = { 123, 4 }, .restart_at = 99, .restart_asked = true, .state = s };
	return r;
}

static struct client_record load(struct arena *a)
{
	struct client_record rec;

	client_state_load(dir, a, &rec);
	return rec;
}

static void assert_is_sample(struct arena *a, const struct alloc_record *back)
{
	struct alloc_record r = sample(a);

	assert_non_null(back);
	assert_true(back->stopping);
	assert_int_equal(-1, back->health);
	assert_int_equal(77, back->health_at);
	assert_int_equal(1, back->n);
	assert_string_equal("t", back->tasks[0].name);
	assert_int_equal(5, back->tasks[0].phase);
	assert_int_equal(6, back->tasks[0].starts);
	assert_int_equal(123, back->tasks[0].restarts.window_start);
	assert_int_equal(4, back->tasks[0].restarts.count);
	assert_int_equal(99, back->tasks[0].restart_at);
	assert_true(back->tasks[0].restart_asked);
	assert_true(model_equal(&type_task_state, r.tasks[0].state, back->tasks[0].state, 0));
}

static void test_what_was_observed_comes_back(void **state)
{
	struct arena *a = *state;
	struct alloc_record r = sample(a);

	for (int round = 0; round < 2; round++) { /* written new, then appended */
		assert_int_equal(0, client_state_save(dir, &r, NULL));
		assert_is_sample(a, load(a).state);
		assert_null(load(a).alloc);
		assert_null(load(a).trouble);
	}
}

static void save_sample_alloc(struct arena *a)
{
	const char *text = "{\"ID\":\"x\",\"JobID\":\"j\",\"TaskGroup\":\"g\",\"DesiredStatus\":\"run\",\"AllocModifyIndex\":9}";
	const char *job_text = "{\"ID\":\"j\",\"Type\":\"batch\",\"TaskGroups\":[{\"Name\":\"g\",\"Tasks\":[{\"Name\":\"t\","
	    "\"Config\":{\"command\":\"/bin/true\",\"args\":[1,2.5,true,null]}}]}]}";
	struct allocation *al = MODEL_NEW(a, allocation), *back;
	struct job *j = MODEL_NEW(a, job);

	assert_int_equal(0, codec_from_text(&type_allocation, al, text, strlen(text), a, NULL));
	assert_int_equal(0, codec_from_text(&type_job, j, job_text, strlen(job_text), a, NULL));
	assert_int_equal(0, client_state_save_alloc(dir, al, j, NULL));
	back = load(a).alloc;
	assert_non_null(back);
	assert_true(model_equal(&type_job, j, back->job, 0));
	back->job = NULL;
	back->has &= ~MODEL_BIT(allocation, job);
	assert_true(model_equal(&type_allocation, al, back, 0));
}

static void test_an_allocation_comes_back_with_its_job(void **state)
{
	assert_null(load(*state).alloc);
	assert_non_null(load(*state).trouble);
	save_sample_alloc(*state);
}

/* What is in front of a cut or a damage is used, what is behind never; nothing damaged passes for whole. */
static void test_every_cut_and_every_flipped_byte_is_noticed(void **state)
{
	struct arena *a = *state;
	struct alloc_record r = sample(a);
	cleanup_free char *path = path_join(dir, "record");
	struct buf good cleanup_buf = BUF_INIT;
	struct stat st;

	save_sample_alloc(a);
	assert_int_equal(0, stat(path, &st));
	assert_int_equal(0, client_state_save(dir, &r, NULL));
	assert_int_equal(0, file_read(path, 1 << 20, &good, NULL));
	for (size_t i = 0; i < good.len; i++) {
		assert_int_equal(0, file_write_atomic(path, good.data, i, 0600, false, NULL));
		struct client_record rec = load(a);

		assert_int_equal(i >= (size_t)st.st_size, rec.alloc != NULL);
		assert_null(rec.state);
		if (i >= 5 && i < 9)
			continue; /* the first size: a hint */
		good.data[i] ^= 0x40;
		assert_int_equal(0, file_write_atomic(path, good.data, good.len, 0600, false, NULL));
		rec = load(a);
		assert_int_equal(i >= (size_t)st.st_size, rec.alloc != NULL);
		assert_null(rec.state);
		good.data[i] ^= 0x40;
	}
}

static void test_a_torn_end_does_not_hide_what_is_written_after_it(void **state)
{
	struct arena *a = *state;
	struct alloc_record r = sample(a);
	cleanup_free char *path = path_join(dir, "record");
	struct stat st;

	save_sample_alloc(a);
	assert_int_equal(0, client_state_save(dir, &r, NULL));
	assert_int_equal(0, stat(path, &st));
	assert_int_equal(0, truncate(path, st.st_size - 3));
	assert_null(load(a).state);
	assert_int_equal(0, client_state_save(dir, &r, NULL));
	assert_is_sample(a, load(a).state);
	assert_non_null(load(a).alloc);
}

static void test_a_record_of_another_form_is_said_and_left_alone(void **state)
{
	cleanup_free char *path = path_join(dir, "record");
	struct stat st;

	assert_int_equal(0, file_write_atomic(path, "DRVS\001 of old", 12, 0600, false, NULL));
	assert_non_null(strstr(load(*state).trouble, "another version"));
	assert_int_equal(0, stat(path, &st));
	assert_int_equal(12, st.st_size);
}

static void test_a_record_does_not_grow_for_ever(void **state)
{
	struct arena *a = *state;
	struct alloc_record r = sample(a);
	cleanup_free char *path = path_join(dir, "record");
	struct stat st;

	save_sample_alloc(a);
	for (int i = 0; i < 2000; i++) {
		r.health_at = 77 + i % 2;
		assert_int_equal(0, client_state_save(dir, &r, NULL));
	}
	assert_int_equal(0, stat(path, &st));
	assert_in_range(st.st_size, 1, 100000);
	r.health_at = 77;
	assert_int_equal(0, client_state_save(dir, &r, NULL));
	assert_is_sample(a, load(a).state);
	assert_non_null(load(a).alloc);
}

static void test_events_keep_the_newest_ten(void **state)
{
	struct arena *a = *state;
	struct task_state *s = MODEL_NEW(a, task_state);

	for (int i = 0; i < 25; i++)
		task_event_add(a, s, EVENT_STARTED, i, NULL, 0);
	assert_int_equal(10, s->events.n);
	assert_int_equal(15, ((struct task_event *)s->events.v[0])->time);
	assert_int_equal(24, ((struct task_event *)s->events.v[9])->time);
}

static void test_events_read_as_recorded(void **state)
{
	struct arena *a = *state;
	struct task_state *s = MODEL_NEW(a, task_state);
	const struct task_event_exit ok = { 0 }, hurt = { .code = 130, .signal = 2 }, oom = { .code = 137, .oom = true };

	assert_string_equal("Exit Code: 0", task_event_add_exit(a, s, 1, &ok)->display_message);
	assert_string_equal("Exit Code: 130, Signal: 2", task_event_add_exit(a, s, 1, &hurt)->display_message);
	assert_string_equal("Exit Code: 137, Exit Message: \"OOM Killed\"", task_event_add_exit(a, s, 1, &oom)->display_message);
	assert_string_equal("Task restarting in 16.496501139s",
	    task_event_add(a, s, EVENT_RESTARTING, 1, "Restart within policy", 16496501139)->display_message);
	const struct task_event *k = task_event_add(a, s, EVENT_KILLING, 1, NULL, 5 * SECOND);

	assert_string_equal("Sent interrupt. Waiting 5s before force killing", k->display_message);
	assert_string_equal("5s", strmap_get(&k->details, "kill_timeout"));
	assert_int_equal(5 * SECOND, k->kill_timeout);
}

/* How many of the four oldest go in one round. */
static size_t chosen(const struct alloc_gc_limits *l, size_t total, double disk, double inodes)
{
	const int64_t ends[] = { 10 * SECOND, 20 * SECOND, 30 * SECOND, 40 * SECOND };
	struct alloc_gc_look at = { .total = total, .disk_used = disk, .inodes_used = inodes, .now = 100 * SECOND };

	while (at.removed < 4 && alloc_gc_wants(l, &at, ends[at.removed])) {
		at.removed++;
		at.total--;
	}
	return at.removed;
}

static void test_garbage_is_chosen_by_age_count_and_room(void **state)
{
	struct alloc_gc_limits l = { .max_allocs = 50, .disk_percent = 80, .inode_percent = 70 };

	(void)state;
	assert_int_equal(0, chosen(&l, 50, 79, 69));
	assert_int_equal(2, chosen(&l, 52, 0, 0));
	assert_int_equal(4, chosen(&l, 90, 0, 0));
	assert_int_equal(4, chosen(&l, 4, 81, 0));
	assert_int_equal(4, chosen(&l, 4, 0, 71));
	l.max_age = 75 * SECOND;
	assert_int_equal(2, chosen(&l, 4, 0, 0));
}

#define T(f) cmocka_unit_test_setup_teardown(f, begin, finish)
int main(void)
{
	const struct CMUnitTest tests[] = {
		T(test_the_identity_is_made_once_and_private),
		T(test_a_damaged_identity_is_refused_not_replaced),
		T(test_what_was_observed_comes_back),
		T(test_every_cut_and_every_flipped_byte_is_noticed),
		T(test_an_allocation_comes_back_with_its_job),
		T(test_a_torn_end_does_not_hide_what_is_written_after_it),
		T(test_a_record_of_another_form_is_said_and_left_alone),
		T(test_a_record_does_not_grow_for_ever),
		T(test_events_keep_the_newest_ten),
		T(test_events_read_as_recorded),
		T(test_garbage_is_chosen_by_age_count_and_room),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
