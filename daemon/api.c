/* api: ids, prefixes, paging and common items of the API handlers. Holds no state. */
#include "daemon/api.h"


#include "sched/admit.h"
#include "sched/uuid_table.h"

#include <ctype.h>
#include <errno.h>

#define DEFAULT_MAX_PRIORITY 100
#define DEFAULT_PRIORITY     50
#define DEFAULT_MAX_COUNT    50000

void api_answer_mode(struct call *c, const struct type *t, const void *obj, enum codec_mode mode)
{
	codec_to_json(call_out(c), t, obj, mode, call_indent(c), 0);
	call_json(c, 200);
}

void api_answer(struct call *c, const struct type *t, const void *obj)
{
	api_answer_mode(c, t, obj, CODEC_API);
}

void api_refuse(struct call *c, const struct err *e)
{
	if (e->code == -EPERM || e->code == -EAGAIN || e->code == -ENOSPC)
		call_fail(c, e);
	else
		call_error(c, 500, "%s", err_str(e));
}

void api_answer_eval(struct call *c, const struct core_eval_reply *r, bool leader_known)
{
	char id[UUID_STR];
	struct eval_answer a = {
	    .has = UINT64_MAX >> (64 - type_eval_answer.n),
	    .eval_id = uuid_format(r->eval, id),
	    .eval_create_index = (int64_t)r->eval_create_index,
	    .job_modify_index = (int64_t)r->job_modify_index,
	    .index = (int64_t)r->index,
	    .warnings = r->warnings ? r->warnings : "",
	    .known_leader = leader_known,
	};

	call_set_index(c, r->index);
	api_answer(c, &type_eval_answer, &a);
}

void api_answer_index(struct call *c, uint64_t index)
{
	bool first = true;

	call_set_index(c, index);
	buf_putc(call_out(c), '{');
	json_put_key(call_out(c), "Index", &first, call_indent(c), 1);
	json_put_int(call_out(c), (int64_t)index);
	json_put_end(call_out(c), '}', false, call_indent(c), 0);
	call_json(c, 200);
}

/* What is wrong with a text that should be (the beginning of) an id, NULL when nothing is. */
static const char *id_problem(const char *s, bool whole, struct buf *b)
{
	size_t digits = 0;

	if (whole && strlen(s) != 36)
		return "UUID must be 36 characters";
	for (const char *p = s; *p; p++)
		digits += *p != '-';
	if (!whole && digits % 2)
		return "Input (without hyphens) must be even length";
	for (const char *p = s; *p; p++) {
		if (*p == '-' || isxdigit((unsigned char)*p))
			continue;
		buf_printf(b, "Invalid UUID: encoding/hex: invalid byte: U+%04X '%c'",
		    (unsigned char)*p, isprint((unsigned char)*p) ? *p : '?');
		return b->data;
	}
	return NULL;
}

static int refuse_id(struct call *c, const char *what, const char *problem)
{
	call_error(c, 500, "%s%sindex error: %s", what, *what ? " lookup failed: " : "", problem);
	return -EINVAL;
}

int api_id(struct call *c, const char *param, const char *what, struct uuid *out)
{
	const char *s = call_param(c, param), *problem;
	cleanup_buf struct buf b = BUF_INIT;
	cleanup_free char *lower = xstrdup(s ? s : "");

	problem = id_problem(lower, true, &b);
	if (problem)
		return refuse_id(c, what, problem);
	for (char *p = lower; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	if (uuid_parse(lower, out) < 0)
		return refuse_id(c, what, "the hyphens of the UUID are at the wrong places");
	return 0;
}

int api_prefix(struct call *c, const char *what, const char **out)
{
	const char *s = call_query(c, "prefix"), *problem;
	cleanup_buf struct buf b = BUF_INIT;
	struct uuid first, last;
	char *lower;

	*out = NULL;
	if (str_empty(s))
		return 0;
	lower = arena_strdup(call_arena(c), s);
	for (char *p = lower; *p; p++)
		*p = (char)tolower((unsigned char)*p);
	problem = id_problem(lower, false, &b);
	if (!problem && uuid_prefix(lower, &first, &last) < 0)
		problem = "the prefix is longer than a UUID, or its hyphens are at the wrong places";
	if (problem)
		return refuse_id(c, what, problem);
	*out = lower;
	return 0;
}

int api_bool(struct call *c, const char *name, bool *out)
{
	static const struct {
		const char *word;
		bool value;
	} words[] = {{"1", true}, {"t", true}, {"T", true}, {"true", true}, {"TRUE", true},
	    {"True", true}, {"0", false}, {"f", false}, {"F", false}, {"false", false},
	    {"FALSE", false}, {"False", false}};
	const char *s = call_query(c, name);

	*out = false;
	if (str_empty(s))
		return 0;
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		if (strcmp(words[i].word, s) == 0) {
			*out = words[i].value;
			return 0;
		}
	}
	call_error(c, 500,
	    "Failed to parse value of \"%s\" (%s) as a bool: strconv.ParseBool: parsing \"%s\": invalid "
	    "syntax",
	    name, s, s);
	return -EINVAL;
}

int api_uint(struct call *c, const char *name, uint64_t unset, uint64_t max, uint64_t *out)
{
	const char *s = call_query(c, name);
	char *end;

	*out = unset;
	if (str_empty(s))
		return 0;
	errno = 0;
	*out = strtoull(s, &end, 10);
	if (isdigit((unsigned char)*s) && !*end && !errno && *out <= max)
		return 0;
	call_error(c, 400, "%s: expected a whole number of at most %llu, got \"%s\"", name, (unsigned long long)max, s);
	return -EINVAL;
}

int api_decode_optional(struct call *c, const struct type *t, void *obj)
{
	size_t n;

	call_body(c, &n);
	return n ? call_decode(c, t, obj) : 0;
}

bool api_in_namespace(const struct call *c, const char *ns)
{
	const char *asked = call_namespace(c);

	return strcmp(asked, "*") == 0 || str_eq(asked, ns);
}

void api_limits(const struct call *c, struct admit_limits *out)
{
	const struct config *conf = call_daemon(c)->config;

	*out = (struct admit_limits){
	    .max_priority = conf->server.job_max_priority,
	    .default_priority = conf->server.job_default_priority,
	    .max_count = conf->server.job_max_count,
	    .region = conf->region ? conf->region : "global",
	};
	if (!out->max_priority)
		out->max_priority = DEFAULT_MAX_PRIORITY;
	if (!out->default_priority)
		out->default_priority = DEFAULT_PRIORITY;
	if (!out->max_count)
		out->max_count = DEFAULT_MAX_COUNT;
}

/* ---- common items ---- */

static void alloc_key(const void *alloc, struct page_key *out)
{
	const struct alloc *a = alloc;

	*out = (struct page_key){.index = a->create_index, .id = a->id};
}

static const void *find_alloc(const struct state *s, const struct page_key *k)
{
	return state_alloc(s, k->id);
}

static void eval_key(const void *eval_entry, struct page_key *out)
{
	const struct eval_entry *e = eval_entry;

	*out = (struct page_key){.index = e->create_index, .id = e->id};
}

static const void *find_eval(const struct state *s, const struct page_key *k)
{
	return state_eval(s, k->id);
}

static void deployment_key(const void *deployment_entry, struct page_key *out)
{
	const struct deployment_entry *d = deployment_entry;

	*out = (struct page_key){.index = d->create_index, .id = d->id};
}

static const void *find_deployment(const struct state *s, const struct page_key *k)
{
	return state_deployment(s, k->id);
}

/* Copies a field of the same name and kind, its bit included. */
#define TAKE(to, from, field)                                                                      \
	do {                                                                                       \
		(to)->field = (from)->field;                                                       \
		if (MODEL_HAS(allocation, from, field))                                            \
			(to)->has |= MODEL_BIT(alloc_stub, field);                                 \
	} while (0)

static void put_alloc_stub(struct call *c, struct buf *b, const void *alloc, int indent, int depth)
{
	const struct alloc *a = alloc;
	const char *states = call_query(c, "task_states");
	cleanup_arena struct arena *arena = arena_new();
	struct allocation *v = alloc_view(arena, a, false);
	struct alloc_stub s = {0};

	TAKE(&s, v, id);
	TAKE(&s, v, eval_id);
	TAKE(&s, v, name);
	TAKE(&s, v, namespace);
	TAKE(&s, v, node_id);
	TAKE(&s, v, node_name);
	TAKE(&s, v, job_id);
	TAKE(&s, v, task_group);
	TAKE(&s, v, desired_status);
	TAKE(&s, v, desired_description);
	TAKE(&s, v, client_status);
	TAKE(&s, v, client_description);
	TAKE(&s, v, desired_transition);
	TAKE(&s, v, deployment_status);
	TAKE(&s, v, followup_eval_id);
	TAKE(&s, v, next_allocation);
	TAKE(&s, v, reschedule_tracker);
	TAKE(&s, v, preempted_allocations);
	TAKE(&s, v, preempted_by_allocation);
	TAKE(&s, v, create_index);
	TAKE(&s, v, modify_index);
	TAKE(&s, v, create_time);
	TAKE(&s, v, modify_time);
	if (!s.desired_transition)
		s.desired_transition = MODEL_NEW(arena, desired_transition);
	MODEL_SET(alloc_stub, &s, job_type, a->version->spec->type);
	MODEL_SET(alloc_stub, &s, job_version, a->version->version);
	if (!states || strcmp(states, "false") != 0)
		TAKE(&s, v, task_states);
	if (call_query_bool(c, "resources")) {
		api_legacy_allocation(arena, v);
		TAKE(&s, v, allocated_resources);
	}
	codec_to_json(b, &type_alloc_stub, &s, CODEC_API, indent, depth);
}

static const void *view_alloc(struct arena *a, const void *alloc)
{
	struct allocation *v = alloc_view(a, alloc, true);

	api_legacy_allocation(a, v);
	return v;
}

static void put_alloc(struct call *c, struct buf *b, const void *alloc, int indent, int depth)
{
	cleanup_arena struct arena *a = arena_new();

	(void)c;
	codec_to_json(b, &type_allocation, view_alloc(a, alloc), CODEC_API, indent, depth);
}

/* What an evaluation waits with: until it was tried itself, that is kept with the one that it came from. */
static const struct objmap *unplaced(const struct eval_entry *e)
{
	struct uuid id;

	if (e->spec->failed_tg_allocs.n || (e->status != EVAL_BLOCKED && e->status != EVAL_CANCELED) ||
	    str_empty(e->spec->previous_eval) || uuid_parse(e->spec->previous_eval, &id) < 0)
		return &e->spec->failed_tg_allocs;
	for (LINK_EACH(&e->job->evals, struct eval_entry, by_job, before))
		if (uuid_eq(before->id, id))
			return &before->spec->failed_tg_allocs;
	return &e->spec->failed_tg_allocs;
}

static const void *view_eval(struct arena *a, const void *eval_entry)
{
	const struct eval_entry *e = eval_entry;
	struct eval *v = arena_copy(a, e->spec, sizeof(*v));

	v->failed_tg_allocs = *unplaced(e);

	MODEL_SET(eval, v, create_index, (int64_t)e->create_index);
	MODEL_SET(eval, v, modify_index, (int64_t)e->modify_index);
	MODEL_SET(eval, v, status, eval_status_names[e->status]);
	return v;
}

void api_put_eval(struct call *c, struct buf *b, const void *eval_entry, int indent, int depth)
{
	cleanup_arena struct arena *a = arena_new();
	const struct eval_entry *e = eval_entry, *before;
	struct eval v = *(const struct eval *)view_eval(a, e);
	struct uuid id;

	/* What a blocked one waits for is known to the one that left it behind. */
	if (e->status == EVAL_BLOCKED && !v.failed_tg_allocs.n && !str_empty(v.previous_eval) &&
	    uuid_parse(v.previous_eval, &id) == 0 && (before = state_eval(call_state(c), id)))
		v.failed_tg_allocs = before->spec->failed_tg_allocs;
	codec_to_json(b, &type_eval, &v, CODEC_API, indent, depth);
}

static const void *view_deployment(struct arena *a, const void *deployment_entry)
{
	const struct deployment_entry *d = deployment_entry;
	struct deployment *v = arena_copy(a, d->spec, sizeof(*v));

	MODEL_SET(deployment, v, create_index, (int64_t)d->create_index);
	MODEL_SET(deployment, v, modify_index, (int64_t)d->modify_index);
	return v;
}

void api_put_deployment(struct call *c, struct buf *b, const void *deployment_entry, int indent, int depth)
{
	cleanup_arena struct arena *a = arena_new();

	(void)c;
	codec_to_json(b, &type_deployment, view_deployment(a, deployment_entry), CODEC_API, indent, depth);
}

const struct page_kind page_allocs = {put_alloc_stub, alloc_key, find_alloc, &type_allocation, view_alloc};
const struct page_kind page_whole_allocs = {put_alloc, alloc_key, find_alloc, &type_allocation, view_alloc};
const struct page_kind page_evals = {api_put_eval, eval_key, find_eval, &type_eval, view_eval};
const struct page_kind page_deployments = {api_put_deployment, deployment_key, find_deployment, &type_deployment,
    view_deployment};

static int newest_first(const void *a, const void *b)
{
	const struct deployment_entry *x = *(void *const *)a, *y = *(void *const *)b;

	if (x->create_index != y->create_index)
		return x->create_index < y->create_index ? 1 : -1;
	return uuid_cmp(x->id, y->id);
}

void api_offer_deployments(struct page *p, const struct state *s, const char *ns, const char *job_id,
    const char *prefix)
{
	struct deployment_entry *d;
	char id[UUID_STR];

	for (uint32_t i = 0; (d = uuid_table_next(s->deployments, &i));) {
		if (job_id ? !str_eq(d->spec->job_id, job_id) || !str_eq(d->spec->namespace, ns)
			   : !api_in_namespace(p->call, d->spec->namespace))
			continue;
		if (!prefix || str_starts(uuid_format(d->id, id), prefix))
			page_offer(p, d);
	}
	if (p->n > 1)
		qsort(p->items, p->n, sizeof(*p->items), newest_first);
}
