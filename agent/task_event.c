#include "agent/task_event.h"

#include "base/clock.h"

/* Where the text and the duration of a kind go, and how a person reads it. In `display`, %T is the text, %D the
 * duration; `bare` is used when there is no text. */
struct kind {
	const char *type;
	const char *display, *bare;
	const char *text_detail, *duration_detail;
	size_t text_offset, duration_offset; /* field of task_event, 0 = none (the first member is `has`) */
	bool fails_task;
};

#define AT(field) offsetof(struct task_event, field)

static const struct kind kinds[] = {
	[EVENT_RECEIVED] = { .type = "Received", .bare = "Task received by client" },
	[EVENT_SETUP] = { .type = "Task Setup", .display = "%T", .text_detail = "message", .text_offset = AT(message) },
	[EVENT_SETUP_FAILURE] = { .type = "Setup Failure", .display = "%T", .bare = "Task setup failed",
	    .text_detail = "setup_error", .text_offset = AT(setup_error), .fails_task = true },
	[EVENT_VALIDATION] = { .type = "Failed Validation", .display = "%T", .bare = "Validation of task failed",
	    .text_detail = "validation_error", .text_offset = AT(validation_error) },
	[EVENT_DRIVER_FAILURE] = { .type = "Driver Failure", .display = "%T", .bare = "Failed to start task",
	    .text_detail = "driver_error", .text_offset = AT(driver_error) },
	[EVENT_STARTED] = { .type = "Started", .bare = "Task started by client" },
	[EVENT_TERMINATED] = { .type = "Terminated" },
	[EVENT_RESTARTING] = { .type = "Restarting", .display = "%T - Task restarting in %D",
	    .bare = "Task restarting in %D", .text_detail = "restart_reason", .duration_detail = "start_delay",
	    .text_offset = AT(restart_reason), .duration_offset = AT(start_delay) },
	[EVENT_NOT_RESTARTING] = { .type = "Not Restarting", .display = "%T", .bare = "Task exceeded restart policy",
	    .text_detail = "restart_reason", .text_offset = AT(restart_reason), .fails_task = true },
	[EVENT_KILLING] = { .type = "Killing", .bare = "Sent interrupt. Waiting %D before force killing",
	    .duration_detail = "kill_timeout", .duration_offset = AT(kill_timeout) },
	[EVENT_STUCK] = { .type = "Killing", .display = "%T", .bare = "Task does not end" },
	[EVENT_KILLED] = { .type = "Killed", .display = "%T", .bare = "Task successfully killed",
	    .text_detail = "kill_error", .text_offset = AT(kill_error) },
	[EVENT_SIGNALING] = { .type = "Signaling", .display = "Task being sent a signal",
	    .bare = "Task being sent a signal", .text_detail = "task_signal", .text_offset = AT(task_signal) },
	[EVENT_RESTART_SIGNALED] = { .type = "Restart Signaled", .display = "%T", .bare = "Task signaled to restart",
	    .text_detail = "restart_reason", .text_offset = AT(restart_reason) },
	[EVENT_SIBLING_FAILED] = { .type = "Sibling Task Failed", .display = "Task's sibling \"%T\" failed",
	    .bare = "Task's sibling failed", .text_detail = "failed_sibling", .text_offset = AT(failed_sibling) },
	[EVENT_LEADER_DEAD] = { .type = "Leader Task Dead", .bare = "Leader Task in Group dead" },
	[EVENT_MAIN_DEAD] = { .type = "Main Tasks Dead", .bare = "Main tasks in the group died" },
	[EVENT_ALLOC_UNHEALTHY] = { .type = "Alloc Unhealthy", .display = "%T", .bare = "Allocation is unhealthy",
	    .text_detail = "message", .text_offset = AT(message) },
	[EVENT_DISCONNECTED] = { .type = "Disconnected", .display = "%T", .bare = "No server has answered for too long",
	    .text_detail = "message", .text_offset = AT(message) },
	[EVENT_RECONNECTED] = { .type = "Reconnected", .bare = "Client reconnected" },
	[EVENT_NOT_REGISTERED] = { .type = "Service Not Registered", .display = "%T", .bare = "A service is not registered",
	    .text_detail = "message", .text_offset = AT(message) },
};

/* Sets a field by its offset, with the bit that its place in the table has. */
static void set_bit(struct task_event *e, size_t offset)
{
	for (uint16_t i = 0; i < type_task_event.n; i++)
		if (type_task_event.fields[i].offset == offset)
			e->has |= UINT64_C(1) << i;
}

static void set_text(struct task_event *e, size_t offset, const char *text)
{
	if (!offset)
		return;
	memcpy((char *)e + offset, &text, sizeof(text));
	set_bit(e, offset);
}

static void set_duration(struct task_event *e, size_t offset, int64_t duration)
{
	if (!offset)
		return;
	memcpy((char *)e + offset, &duration, sizeof(duration));
	set_bit(e, offset);
}

static char *render(struct arena *a, const char *format, const char *text, const char *duration)
{
	struct buf b cleanup_buf = BUF_INIT;

	for (const char *p = format; p && *p; p++) {
		if (p[0] == '%' && p[1] == 'T')
			buf_puts(&b, text);
		else if (p[0] == '%' && p[1] == 'D')
			buf_puts(&b, duration);
		else {
			buf_putc(&b, *p);
			continue;
		}
		p++;
	}
	return arena_strdup(a, b.data ? b.data : "");
}

static struct task_event *append(struct arena *a, struct task_state *state, enum task_event_kind kind, int64_t now)
{
	struct task_event *e = MODEL_NEW(a, task_event);

	MODEL_SET(task_event, e, type, kinds[kind].type);
	MODEL_SET(task_event, e, time, now);
	e->has |= MODEL_BIT(task_event, details);
	if (kinds[kind].fails_task)
		MODEL_SET(task_event, e, fails_task, true);
	if (state->events.n >= TASK_EVENTS_MAX) {
		uint32_t drop = state->events.n - TASK_EVENTS_MAX + 1;

		memmove(state->events.v, state->events.v + drop, (state->events.n - drop) * sizeof(*state->events.v));
		state->events.n -= drop;
	}
	objs_push(a, &state->events, e);
	state->has |= MODEL_BIT(task_state, events);
	return e;
}

struct task_event *task_event_add(struct arena *a, struct task_state *state, enum task_event_kind kind, int64_t now,
    const char *text, int64_t duration)
{
	const struct kind *k = &kinds[kind];
	struct task_event *e = append(a, state, kind, now);
	char span[DURATION_STR];

	duration_format(duration, span);
	if (!str_empty(text)) {
		const char *copy = arena_strdup(a, text);

		set_text(e, k->text_offset, copy);
		if (k->text_detail)
			strmap_set(a, &e->details, k->text_detail, copy);
	}
	if (k->duration_offset) {
		set_duration(e, k->duration_offset, duration);
		strmap_set(a, &e->details, k->duration_detail, arena_strdup(a, span));
	}
	/* "within policy" is the normal case, which nobody needs to read. */
	bool plain = str_empty(text) || !k->display || (kind == EVENT_RESTARTING && str_eq(text, "Restart within policy"));

	MODEL_SET(task_event, e, display_message, render(a, plain ? k->bare : k->display, text, span));
	return e;
}

struct task_event *task_event_add_exit(struct arena *a, struct task_state *state, int64_t now,
    const struct task_event_exit *exit)
{
	struct task_event *e = append(a, state, EVENT_TERMINATED, now);
	const char *message = exit->oom ? "OOM Killed" : exit->message;
	struct buf b cleanup_buf = BUF_INIT;

	MODEL_SET(task_event, e, exit_code, exit->code);
	MODEL_SET(task_event, e, signal, exit->signal);
	if (exit->unknown)
		buf_puts(&b, "Exit Code: unknown");
	else
		buf_printf(&b, "Exit Code: %d", exit->code);
	if (exit->signal)
		buf_printf(&b, ", Signal: %d", exit->signal);
	if (message) {
		buf_printf(&b, ", Exit Message: \"%s\"", message);
		MODEL_SET(task_event, e, message, arena_strdup(a, message));
		strmap_set(a, &e->details, "exit_message", e->message);
	}
	MODEL_SET(task_event, e, display_message, arena_strdup(a, b.data));
	strmap_set(a, &e->details, "exit_code",
	    exit->unknown ? "unknown" : arena_printf(a, "%d", exit->code));
	strmap_set(a, &e->details, "signal", arena_printf(a, "%d", exit->signal));
	strmap_set(a, &e->details, "oom_killed", exit->oom ? "true" : "false");
	return e;
}
