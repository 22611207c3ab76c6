/* drover-scale-in without a cloud: the course that a machine takes, its state file, and what is read from others. */
#include <errno.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "base/file.h"
#include "packaging/scale-in/metadata.h"
#include "packaging/scale-in/provider_aws.h"
#include "packaging/scale-in/state_file.h"
#include "tests/lib/test.h"

#define NOON (INT64_C(1795600000) * SECOND)

static const struct drain_view none = {.status = DRAIN_NONE}, active = {.status = DRAIN_ACTIVE, .ours = true, .remaining = 2},
			       cancelled = {.status = DRAIN_CANCELLED},
			       empty = {.status = DRAIN_DONE, .ours = true, .node_ready = true},
			       reopened = {.status = DRAIN_DONE, .ours = true, .node_ready = true, .node_eligible = true},
			       down = {.status = DRAIN_DONE, .ours = true};
static const struct wish unsaid = {.word = WISH_UNSAID}, stay = {.word = WISH_STAY}, leave = {.word = WISH_LEAVE, .hooked = true, .reason = (char *)"it goes"},
			 notice = {.word = WISH_LEAVE, .deadline = NOON + 2 * MINUTE, .reason = (char *)"two minutes"};

static struct course begun(const struct wish *w)
{
	struct course c;

	course_init(&c);
	assert_int_equal(course_step(&c, w, &none, NOON) & TODO_DRAIN, TODO_DRAIN);
	assert_int_equal(c.phase, PHASE_DRAINING);
	course_drain_is_set(&c);
	return c;
}

/* ---- the course ---- */

static void a_machine_that_nobody_wants_does_nothing(void **state UNUSED)
{
	const struct wish *wishes[] = {NULL, &unsaid, &stay};
	struct course c;

	course_init(&c);
	for (size_t i = 0; i < ARRAY_LEN(wishes); i++)
		assert_int_equal(course_step(&c, wishes[i], &cancelled, NOON), 0);
	assert_int_equal(c.phase, PHASE_IDLE);
	course_free(&c);
}

static void it_is_held_while_work_runs_and_released_once_when_it_is_empty(void **state UNUSED)
{
	struct course c = begun(&leave);

	assert_int_equal(course_step(&c, &leave, &active, NOON), TODO_EXTEND);
	assert_int_equal(course_step(&c, NULL, NULL, NOON), TODO_EXTEND); /* nobody answers */
	assert_int_equal(course_step(&c, &leave, &empty, NOON), TODO_EXTEND | TODO_RELEASE);
	assert_int_equal(course_step(&c, &leave, NULL, NOON), TODO_EXTEND); /* not known to be empty any more */
	assert_int_equal(course_step(&c, &leave, &empty, NOON), TODO_EXTEND | TODO_RELEASE);
	course_is_released(&c);
	assert_int_equal(course_step(&c, &leave, &empty, NOON), 0);
	assert_int_equal(c.phase, PHASE_RELEASED);
	course_free(&c);
}

static void without_a_look_at_the_node_no_drain_is_set_over_that_of_somebody_else(void **state UNUSED)
{
	struct drain_view theirs = {.status = DRAIN_ACTIVE, .deadline = NOON + HOUR};
	struct course c;

	course_init(&c);
	assert_int_equal(course_step(&c, &leave, NULL, NOON), TODO_EXTEND);
	assert_int_equal(course_step(&c, &leave, &theirs, NOON), TODO_EXTEND);
	assert_true(c.drain_set);
	/* An earlier deadline is given to it, a later one is not. */
	assert_int_equal(course_step(&c, &notice, &theirs, NOON), TODO_EXTEND | TODO_DRAIN);
	theirs.deadline = NOON + MINUTE;
	assert_int_equal(course_step(&c, &notice, &theirs, NOON), TODO_EXTEND);
	/* It stays when the machine does. */
	assert_int_equal(course_step(&c, &stay, &theirs, NOON), 0);
	assert_int_equal(c.phase, PHASE_IDLE);
	course_free(&c);
}

static void a_drain_that_is_cancelled_holds_the_machine_until_somebody_drains_again(void **state UNUSED)
{
	struct course c = begun(&leave);

	for (int i = 0; i < 3; i++)
		assert_int_equal(course_step(&c, &leave, &cancelled, NOON), TODO_EXTEND);
	assert_int_equal(c.phase, PHASE_HELD);
	assert_int_equal(course_step(&c, &leave, &active, NOON), TODO_EXTEND);
	assert_int_equal(c.phase, PHASE_DRAINING);
	assert_int_equal(course_step(&c, &leave, &empty, NOON), TODO_EXTEND | TODO_RELEASE);
	/* The drained node was given work while the completion was on its way. */
	assert_int_equal(course_step(&c, &leave, &reopened, NOON), TODO_EXTEND);
	assert_int_equal(c.phase, PHASE_HELD);
	course_free(&c);
}

static void a_new_deadline_drains_what_was_held(void **state UNUSED)
{
	struct course c = begun(&leave);

	course_step(&c, &leave, &cancelled, NOON);
	assert_int_equal(course_step(&c, &notice, &cancelled, NOON), TODO_EXTEND | TODO_DRAIN);
	assert_int_equal(course_deadline(&c), NOON + 2 * MINUTE);
	course_free(&c);
}

static void a_node_that_is_down_is_not_empty(void **state UNUSED)
{
	struct course c = begun(&leave);

	assert_int_equal(course_step(&c, &leave, &down, NOON), TODO_EXTEND);
	assert_int_equal(c.phase, PHASE_DRAINING);
	assert_int_equal(course_step(&c, &leave, &empty, NOON), TODO_EXTEND | TODO_RELEASE);
	assert_int_equal(course_step(&c, &leave, &down, NOON), TODO_EXTEND);
	course_free(&c);
}

static void what_holds_a_machine_ends_by_its_own_word_alone(void **state UNUSED)
{
	struct course c = begun(&leave), n = begun(&notice);

	assert_int_equal(course_step(&c, &unsaid, &active, NOON), TODO_EXTEND);
	assert_int_equal(course_step(&c, &stay, &active, NOON), TODO_UNDRAIN);
	assert_int_equal(course_step(&c, NULL, NULL, NOON), 0);
	assert_int_equal(course_step(&c, NULL, &active, NOON), TODO_UNDRAIN);
	course_is_undrained(&c);
	assert_int_equal(c.phase, PHASE_IDLE);
	/* A notice that nobody waits for is over when it is gone. */
	assert_int_equal(course_step(&n, &unsaid, &active, NOON), TODO_UNDRAIN);
	/* Wanted again before the drain was taken back: it goes on. */
	assert_int_equal(course_step(&n, &leave, &active, NOON), TODO_EXTEND);
	assert_int_equal(n.phase, PHASE_DRAINING);
	course_free(&c);
	course_free(&n);
}

static void a_notice_has_nobody_to_tell_until_the_group_waits_too(void **state UNUSED)
{
	struct course c = begun(&notice);

	assert_int_equal(course_step(&c, &notice, &empty, NOON), 0);
	assert_int_equal(c.phase, PHASE_RELEASED);
	assert_int_equal(course_step(&c, &leave, &empty, NOON), TODO_EXTEND | TODO_RELEASE);
	course_free(&c);
}

static void a_drain_that_took_place_unnoticed_is_not_set_again(void **state UNUSED)
{
	struct drain_view before = empty, after = empty;
	struct course c;

	before.started_at = NOON - HOUR;
	after.started_at = NOON + SECOND;
	course_init(&c);
	/* An earlier drain of ours says nothing of now. */
	assert_int_equal(course_step(&c, &leave, &before, NOON), TODO_EXTEND | TODO_DRAIN);
	assert_int_equal(course_step(&c, &leave, &after, NOON + 2 * SECOND), TODO_EXTEND | TODO_RELEASE);
	course_free(&c);
}

static void the_earlier_of_two_deadlines_counts(void **state UNUSED)
{
	struct course c;

	course_init(&c);
	c.longest = HOUR;
	course_step(&c, &leave, &none, NOON);
	assert_int_equal(course_deadline(&c), NOON + HOUR);
	course_step(&c, &notice, &none, NOON + MINUTE);
	assert_int_equal(course_deadline(&c), NOON + 2 * MINUTE);
	c.longest = MINUTE;
	assert_int_equal(course_deadline(&c), NOON + MINUTE);
	course_free(&c);
}

static void another_machine_or_node_begins_anew(void **state UNUSED)
{
	struct course c = begun(&leave);

	c.longest = MINUTE;
	assert_false(course_is_of(&c, "i-1", "node-1"));
	assert_false(course_is_of(&c, "i-1", NULL));
	assert_false(course_is_of(&c, NULL, "node-1"));
	assert_int_equal(c.phase, PHASE_DRAINING);
	assert_true(course_is_of(&c, "i-2", NULL));
	assert_int_equal(c.phase, PHASE_IDLE);
	assert_int_equal(c.longest, MINUTE);
	assert_string_equal(c.node, "");
	course_free(&c);
}

static void retries_are_ever_rarer_and_spread_but_not_without_end(void **state UNUSED)
{
	struct pace p = {0};
	int64_t delays[10];

	assert_true(pace_is_due(&p, 0));
	for (size_t i = 0; i < ARRAY_LEN(delays); i++) {
		pace_failed(&p, NOON, PACE_MOST, 0.999);
		delays[i] = p.next - NOON;
		assert_false(pace_is_due(&p, NOON));
	}
	assert_in_range(delays[0], 990 * MILLI, SECOND);
	assert_in_range(delays[3], 7900 * MILLI, 8 * SECOND);
	assert_in_range(delays[9], 59 * SECOND, MINUTE);
	pace_failed(&p, NOON, PACE_MOST, 0);
	assert_int_equal(p.next, NOON + 30 * SECOND);
	pace_failed(&p, NOON, SECOND, 0.999);
	assert_in_range(p.next - NOON, 0, SECOND);
	pace_succeeded(&p, NOON, 5 * SECOND);
	pace_failed(&p, NOON, PACE_MOST, 0.999);
	assert_in_range(p.next - NOON, 0, SECOND);
}

/* ---- the state file ---- */

static const char *state_path(void)
{
	static char path[64];
	char folder[] = "/tmp/scale-in-XXXXXX";

	assert_non_null(mkdtemp(folder));
	snprintf(path, sizeof(path), "%s/state.json", folder);
	return path;
}

static void remove_state(const char *path)
{
	cleanup_free char *folder = xstrndup(path, strlen(path) - strlen("/state.json"));

	assert_int_equal(dir_remove(folder, NULL), 0);
}

static void a_course_reads_back_as_it_was_written_and_is_its_owners_alone(void **state UNUSED)
{
	const char *path = state_path();
	struct course c = begun(&leave), back;
	cleanup_buf struct buf text = BUF_INIT, again = BUF_INIT;
	struct stat st;

	course_is_of(&c, "i-0a1b", "2e015db1-1111-2222-3333-444444444444");
	course_step(&c, &notice, &active, NOON + 123456789);
	course_is_extended(&c);
	free(c.reason);
	c.reason = xstrdup("\"quoted\" \\ \n and é");
	state_file_put(&text, &c);
	assert_int_equal(state_file_write(path, &text, NULL), 0);
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	course_init(&back);
	back.longest = MINUTE;
	assert_int_equal(state_file_read(path, &back, NULL), 0);
	state_file_put(&again, &back);
	assert_string_equal(again.data, text.data);
	assert_string_equal(back.reason, c.reason);
	assert_int_equal(back.deadline, NOON + 2 * MINUTE);
	assert_int_equal(back.longest, MINUTE);
	assert_true(back.confirmed && back.hooked);
	course_free(&c);
	course_free(&back);
	remove_state(path);
}

static void a_state_file_that_is_none_is_refused_with_a_sentence_and_changes_nothing(void **state UNUSED)
{
	static const struct {
		const char *text, *sentence;
	} cases[] = {
	    {"", "line 1"},
	    {"{\"version\": 1, \"phase\": \"dra", "line 1"},
	    {"[]", "\"version\": expected 1"},
	    {"{\"version\": 2, \"phase\": \"idle\"}", "\"version\": expected 1"},
	    {"{\"version\": 1, \"phase\": \"gone\"}", "\"phase\": expected the name of a phase"},
	    {"{\"version\": 1, \"phase\": \"idle\", \"machine\": 7}", "\"machine\": expected a string"},
	    {"{\"version\": 1, \"phase\": \"idle\", \"machine\": \"\", \"node\": \"\", \"reason\": \"\", \"since\": \"noon\"}",
		"\"since\": expected a time"},
	    {"{\"version\": 1, \"phase\": \"idle\", \"machine\": \"\", \"node\": \"\", \"reason\": \"\", \"since\": \"0001-01-01T00:00:00Z\","
	     " \"deadline\": \"0001-01-01T00:00:00Z\", \"hooked\": \"yes\"}",
		"\"hooked\": expected a boolean"},
	};
	const char *path = state_path();
	struct course c = begun(&leave);
	cleanup_err struct err e = ERR_INIT;

	assert_int_equal(state_file_read(path, &c, &e), -ENOENT);
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(file_write_atomic(path, cases[i].text, strlen(cases[i].text), 0600, false, NULL), 0);
		assert_int_equal(state_file_read(path, &c, &e), -EINVAL);
		assert_non_null(strstr(err_str(&e), cases[i].sentence));
		assert_non_null(strstr(err_str(&e), path));
		assert_int_equal(c.phase, PHASE_DRAINING);
	}
	course_free(&c);
	remove_state(path);
}

/* ---- what others say ---- */

static void hooks_say_it_in_one_word_a_time_and_a_reason(void **state UNUSED)
{
	static const struct {
		const char *text;
		enum wish_word word;
		int64_t deadline;
		const char *reason;
	} good[] = {
	    {"stay\n", WISH_STAY, 0, "stay"},
	    {"  unknown nobody answers\r\nmore", WISH_UNSAID, 0, "nobody answers"},
	    {"leave", WISH_LEAVE, 0, "leave"},
	    {"leave - rack 4 is moved\n", WISH_LEAVE, 0, "rack 4 is moved"},
	    {"leave 2026-11-25T12:00:00Z\n", WISH_LEAVE, INT64_C(1795608000) * SECOND, "leave"},
	    {"leave\t2026-11-25T12:00:00Z  the lease ends", WISH_LEAVE, INT64_C(1795608000) * SECOND, "the lease ends"},
	};
	static const char *const bad[] = {"", "\n", "Leave", "leaves", "leave tomorrow", "leave rack 4", "{\"state\": \"leave\"}"};
	cleanup_err struct err e = ERR_INIT;
	struct wish w;

	for (size_t i = 0; i < ARRAY_LEN(good); i++) {
		assert_int_equal(wish_parse(good[i].text, &w, &e), 0);
		assert_int_equal(w.word, good[i].word);
		assert_int_equal(w.deadline, good[i].deadline);
		assert_int_equal(w.hooked, w.word == WISH_LEAVE);
		assert_string_equal(w.reason, good[i].reason);
		wish_free(&w);
	}
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		assert_int_equal(wish_parse(bad[i], &w, &e), -EINVAL);
}

static void the_metadata_of_an_instance_is_read_as_one_wish(void **state UNUSED)
{
	static const char spot[] = "{\"action\": \"terminate\", \"time\": \"2026-11-25T12:00:00Z\"}";
	static const struct {
		struct aws_notices notices;
		const char *rebalance;
		enum wish_word word;
		bool hooked;
		int64_t deadline;
	} cases[] = {
	    {{NULL, NULL, NULL}, "drain", WISH_UNSAID, false, 0},
	    {{"InService", NULL, NULL}, "drain", WISH_STAY, false, 0},
	    {{"Standby", NULL, NULL}, "drain", WISH_UNSAID, false, 0},
	    {{"Terminated", NULL, NULL}, "ignore", WISH_LEAVE, true, 0},
	    {{"Warmed:Stopped", NULL, NULL}, "ignore", WISH_LEAVE, true, 0},
	    {{"InService", spot, NULL}, "ignore", WISH_LEAVE, false, INT64_C(1795608000) * SECOND - 10 * SECOND},
	    {{"Terminated", spot, "{}"}, "drain", WISH_LEAVE, true, INT64_C(1795608000) * SECOND - 10 * SECOND},
	    {{"InService", NULL, "{}"}, "ignore", WISH_STAY, false, 0},
	    {{"InService", NULL, "{}"}, "drain", WISH_LEAVE, false, 0},
	};
	struct settings *s = settings_new();
	cleanup_err struct err e = ERR_INIT;
	struct wish w;

	s->aws.hook = "drover-drain";
	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		s->aws.rebalance = cases[i].rebalance;
		assert_int_equal(aws_wish(s, &cases[i].notices, &w, &e), 0);
		assert_int_equal(w.word, cases[i].word);
		assert_int_equal(w.hooked, cases[i].hooked);
		assert_int_equal(w.deadline, cases[i].deadline);
		wish_free(&w);
	}
	s->aws.hook = NULL;
	assert_int_equal(aws_wish(s, &cases[3].notices, &w, &e), 0);
	assert_false(w.hooked);
	wish_free(&w);
	for (const char *const *p = (const char *const[]){"", "{}", "{\"action\": \"stop\"}", "{\"action\": \"stop\", \"time\": \"soon\"}", NULL}; *p; p++)
		assert_int_equal(aws_wish(s, &(struct aws_notices){"Terminated", *p, NULL}, &w, &e), -EINVAL);
	settings_free(s);
}

#define ANSWER(code, message) "<ErrorResponse><Error><Type>Sender</Type><Code>" code "</Code><Message>" message "</Message></Error></ErrorResponse>"
static void errors_of_the_api_tell_what_to_do(void **state UNUSED)
{
	static const struct {
		int status;
		const char *body;
		int code;
		bool stale;
	} cases[] = {
	    {400, ANSWER("ValidationError", "No active Lifecycle Action found with instance ID i-1"), -ENOENT, false},
	    {400, ANSWER("ValidationError", "Lifecycle hook not found"), -EINVAL, false},
	    {400, ANSWER("Throttling", "Rate exceeded"), -EAGAIN, false},
	    {403, ANSWER("ExpiredToken", "The security token is expired"), -EACCES, true},
	    {403, ANSWER("AccessDenied", "User is not authorized"), -EACCES, false},
	    {503, "", -EAGAIN, false},
	    {500, "<html>", -EAGAIN, false},
	    {429, "<Code>", -EAGAIN, false},
	    {404, "<Code></Code><Message>", -EINVAL, false},
	};
	cleanup_err struct err e = ERR_INIT;
	bool stale;

	for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
		assert_int_equal(aws_error(cases[i].status, cases[i].body, &stale, &e), cases[i].code);
		assert_int_equal(stale, cases[i].stale);
	}
	aws_error(400, cases[0].body, &stale, &e);
	assert_string_equal(err_str(&e),
	    "auto scaling answers with status 400, ValidationError: No active Lifecycle Action found with instance ID i-1");
}

static void credentials_of_a_role_are_whole_or_refused(void **state UNUSED)
{
	static const char *const bad[] = {"", "[]", "{\"Code\": \"AssumeRoleUnauthorizedAccess\"}",
	    "{\"Code\": \"Success\", \"AccessKeyId\": \"A\", \"SecretAccessKey\": \"S\", \"Token\": \"T\"}",
	    "{\"Code\": \"Success\", \"AccessKeyId\": \"A\", \"SecretAccessKey\": \"S\", \"Token\": \"T\", \"Expiration\": \"later\"}",
	    "{\"Code\": \"Failed\", \"AccessKeyId\": \"A\", \"SecretAccessKey\": \"S\", \"Token\": \"T\", \"Expiration\": \"2026-11-25T12:00:00Z\"}"};
	cleanup_err struct err e = ERR_INIT;
	struct credentials c = {0};

	assert_int_equal(credentials_parse("{\"Code\": \"Success\", \"AccessKeyId\": \"A\", \"SecretAccessKey\": \"hidden\", \"Token\": \"T\","
					   " \"Expiration\": \"2026-11-25T12:00:00Z\"}",
			     &c, &e),
	    0);
	assert_int_equal(c.until, INT64_C(1795608000) * SECOND);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
		assert_int_equal(credentials_parse(bad[i], &c, &e), -EINVAL);
		assert_null(strstr(err_str(&e), "\"S\""));
		assert_string_equal(c.secret, "hidden");
	}
	credentials_clear(&c);
	assert_null(c.secret);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(a_machine_that_nobody_wants_does_nothing),
	    cmocka_unit_test(it_is_held_while_work_runs_and_released_once_when_it_is_empty),
	    cmocka_unit_test(without_a_look_at_the_node_no_drain_is_set_over_that_of_somebody_else),
	    cmocka_unit_test(a_drain_that_is_cancelled_holds_the_machine_until_somebody_drains_again),
	    cmocka_unit_test(a_new_deadline_drains_what_was_held),
	    cmocka_unit_test(a_node_that_is_down_is_not_empty),
	    cmocka_unit_test(what_holds_a_machine_ends_by_its_own_word_alone),
	    cmocka_unit_test(a_notice_has_nobody_to_tell_until_the_group_waits_too),
	    cmocka_unit_test(a_drain_that_took_place_unnoticed_is_not_set_again),
	    cmocka_unit_test(the_earlier_of_two_deadlines_counts),
	    cmocka_unit_test(another_machine_or_node_begins_anew),
	    cmocka_unit_test(retries_are_ever_rarer_and_spread_but_not_without_end),
	    cmocka_unit_test(a_course_reads_back_as_it_was_written_and_is_its_owners_alone),
	    cmocka_unit_test(a_state_file_that_is_none_is_refused_with_a_sentence_and_changes_nothing),
	    cmocka_unit_test(hooks_say_it_in_one_word_a_time_and_a_reason),
	    cmocka_unit_test(the_metadata_of_an_instance_is_read_as_one_wish),
	    cmocka_unit_test(errors_of_the_api_tell_what_to_do),
	    cmocka_unit_test(credentials_of_a_role_are_whole_or_refused),
	};

	return RUN_TESTS(tests);
}
