#include "agent/servers.h"

#include "base/clock.h"
#include "base/map.h"

enum { TIER_FIRST, TIER_USUAL, TIER_ILL };

struct servers {
	uint64_t seed, random;
	struct server *list; /* by address */
	uint32_t n;
	char *present; /* "" before the first */
	int64_t home;  /* when servers_home may name one again, monotonic */
};

/* splitmix64 */
static uint64_t mix(uint64_t x)
{
	x += UINT64_C(0x9e3779b97f4a7c15);
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

/* d times a random number between the two. */
static int64_t about(struct servers *s, int64_t d, double least, double most)
{
	s->random = mix(s->random);
	return (int64_t)((double)d * (least + (most - least) * ((double)(s->random >> 11) / 9007199254740992.0)));
}

/* Rendezvous hashing: the server with the lowest rank is this client's own first. */
static uint64_t rank_of(const struct servers *s, const char *address)
{
	return mix(s->seed ^ hash_bytes(address, strlen(address)));
}

static struct server *find(const struct servers *s, const char *address)
{
	for (uint32_t i = 0; i < s->n; i++)
		if (str_eq(s->list[i].address, address))
			return &s->list[i];
	return NULL;
}

/* ---- the list ---- */

static void drop(struct server *x)
{
	free((char *)x->address);
	free((char *)x->error);
}

struct merge {
	struct server v[SERVERS_MAX];
	uint32_t n;
};

static void add(struct merge *m, const struct servers *s, const char *address, int tier)
{
	for (uint32_t i = 0; i < m->n; i++) {
		if (str_eq(m->v[i].address, address)) {
			m->v[i].tier = MIN(m->v[i].tier, tier);
			return;
		}
	}
	if (m->n < SERVERS_MAX)
		m->v[m->n++] = (struct server){.address = xstrdup(address), .tier = tier, .rank = rank_of(s, address)};
}

static bool is_ill(const struct sources *from, const char *address)
{
	for (uint32_t i = 0; i < sources_count(from); i++) {
		const struct source *x = sources_at(from, i);

		for (uint32_t k = 0; k < x->n; k++)
			if (x->heard[k].ill && str_eq(x->heard[k].address, address))
				return true;
	}
	return false;
}

static void gather(struct merge *m, const struct servers *s, const struct sources *from)
{
	for (uint32_t i = 0; i < sources_count(from); i++) {
		const struct source *x = sources_at(from, i);
		int tier = x->kind == SOURCE_OWN || x->kind == SOURCE_HAND ? TIER_FIRST : TIER_USUAL;

		for (uint32_t k = 0; k < x->n; k++)
			add(m, s, x->heard[k].address, tier);
	}
	if (*s->present)
		add(m, s, s->present, TIER_USUAL);
	/* Consul's word goes before that of a source that knows nothing of health, not before that of a person. */
	for (uint32_t i = 0; i < m->n; i++)
		if (m->v[i].tier == TIER_USUAL && is_ill(from, m->v[i].address))
			m->v[i].tier = TIER_ILL;
}

static int by_address(const void *a, const void *b)
{
	return strcmp(((const struct server *)a)->address, ((const struct server *)b)->address);
}

/* What is known of it goes over into the new list. Returns whether it should be asked at once. */
static bool carry_over(struct server *to, struct server *from)
{
	bool better = to->tier < from->tier;
	int tier = to->tier;
	const char *address = to->address;

	*to = *from;
	to->tier = tier;
	free((char *)from->address);
	to->address = address;
	from->address = from->error = NULL;
	if (better)
		to->again = 0;
	return better;
}

bool servers_take(struct servers *s, const struct sources *from, int64_t now)
{
	struct merge m = {.n = 0};
	const struct server *present, *best = NULL;
	bool news = false;

	gather(&m, s, from);
	qsort(m.v, m.n, sizeof(*m.v), by_address);
	for (uint32_t i = 0; i < m.n; i++) {
		struct server *before = find(s, m.v[i].address);

		news |= before ? carry_over(&m.v[i], before) : true;
	}
	for (uint32_t i = 0; i < s->n; i++)
		if (s->list[i].address)
			drop(&s->list[i]);
	s->list = xrealloc(s->list, MAX(m.n, 1u), sizeof(*s->list));
	memcpy(s->list, m.v, m.n * sizeof(*s->list));
	s->n = m.n;

	present = servers_present(s);
	for (uint32_t i = 0; i < s->n; i++)
		if (!best || s->list[i].tier < best->tier)
			best = &s->list[i];
	if (!present)
		return news;
	if (best->tier >= present->tier)
		return false;
	s->home = now;
	return true;
}

/* ---- choice ---- */

static bool goes_before(const struct server *a, const struct server *b)
{
	return a->tier != b->tier ? a->tier < b->tier : a->rank < b->rank;
}

static const struct server *first_due(const struct servers *s, const struct strs *except, int64_t now)
{
	const struct server *best = NULL;

	for (uint32_t i = 0; i < s->n; i++) {
		const struct server *x = &s->list[i];

		if (x->again <= now && !(except && strs_has(except, x->address)) && (!best || goes_before(x, best)))
			best = x;
	}
	return best;
}

const struct server *servers_pick(struct servers *s, const struct strs *except, bool any, int64_t now)
{
	const struct server *x = servers_present(s);

	if (x && !(except && strs_has(except, x->address)))
		return x;
	x = first_due(s, except, now);
	for (uint32_t i = 0; any && i < s->n; i++)
		if (!(except && strs_has(except, s->list[i].address)) && (!x || (x->again > now && s->list[i].again < x->again)))
			x = &s->list[i];
	return x;
}

const struct server *servers_home(struct servers *s, int64_t now)
{
	const struct server *present = servers_present(s), *best = first_due(s, NULL, now);

	if (!s->home) /* not all clients at once after all servers were started */
		s->home = now + about(s, SERVERS_HOME, 0.5, 1.5);
	if (!present || !best || now < s->home || !goes_before(best, present))
		return NULL;
	s->home = now + about(s, SERVERS_HOME, 0.5, 1.5);
	return best;
}

/* ---- what came of it ---- */

static void set_error(struct server *x, const char *why)
{
	char *copy = why ? xstrdup(why) : NULL;

	free((char *)x->error);
	x->error = copy;
}

bool servers_answered(struct servers *s, const char *address)
{
	struct server *x = find(s, address);
	bool is_another = !str_eq(s->present, address);

	if (!x)
		return false; /* no source names it any more, and another one is asked */
	x->failures = 0;
	x->again = 0;
	x->answered = clock_now();
	set_error(x, NULL);
	if (is_another) {
		free(s->present);
		s->present = xstrdup(address);
	}
	return is_another;
}

bool servers_failed(struct servers *s, const char *address, bool lives, const char *why, int64_t now)
{
	struct server *x = find(s, address);
	bool was_well = x && x == servers_present(s);
	int64_t pause;

	if (!x)
		return false;
	set_error(x, why);
	x->failed = clock_now();
	if (x->failures && now < x->again)
		return false; /* several calls fail for one cause */
	pause = SERVERS_AGAIN_FIRST << MIN(x->failures, 10u);
	x->again = now + about(s, MIN(pause, lives ? SERVERS_AGAIN_LIVES : SERVERS_AGAIN_MAX), 0.75, 1.25);
	x->failures++;
	return was_well;
}

const struct server *servers_present(const struct servers *s)
{
	const struct server *x = *s->present ? find(s, s->present) : NULL;

	return x && !x->failures ? x : NULL;
}

uint32_t servers_count(const struct servers *s)
{
	return s->n;
}

const struct server *servers_at(const struct servers *s, uint32_t i)
{
	return &s->list[i];
}

/* ---- for people ---- */

static void explain_sources(const struct sources *from, struct buf *out)
{
	const char *sep = "";

	for (uint32_t i = 0; i < sources_count(from); i++) {
		const struct source *x = sources_at(from, i);

		if (x->kind == SOURCE_HAND || x->kind == SOURCE_PUSHED)
			continue;
		buf_printf(out, "%s%s: ", sep, x->name);
		buf_puts(out, x->off ? x->off : x->error ? x->error : x->at ? "names none" : "no answer yet");
		sep = "; ";
	}
}

#define EXPLAINED 4

void servers_explain(const struct servers *s, const struct sources *from, struct buf *out)
{
	if (!s->n) {
		buf_puts(out, "no server is known yet (");
		explain_sources(from, out);
		buf_puts(out, ")");
		return;
	}
	buf_printf(out, "none of %u known server%s answers", s->n, s->n == 1 ? "" : "s");
	for (uint32_t i = 0; i < s->n && i < EXPLAINED; i++)
		buf_printf(out, "%s%s: %s", i ? "; " : ": ", s->list[i].address,
		    s->list[i].error ? s->list[i].error : "not asked yet");
	if (s->n > EXPLAINED)
		buf_printf(out, "; and %u more", s->n - EXPLAINED);
}

/* ---- life ---- */

struct servers *servers_new(uint64_t seed)
{
	struct servers *s = xcalloc(1, sizeof(*s));

	s->seed = mix(seed);
	s->random = mix(s->seed);
	s->present = xstrdup("");
	return s;
}

void servers_free(struct servers *s)
{
	if (!s)
		return;
	for (uint32_t i = 0; i < s->n; i++)
		drop(&s->list[i]);
	free(s->list);
	free(s->present);
	free(s);
}
