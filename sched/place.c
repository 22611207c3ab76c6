/* place: candidates, their scores, and the heaps that keep the best on top. */
#include "sched/place.h"

#include <math.h>

#include "sched/spreading.h"

#define PARTS     5 /* of a score, and so a candidate has 1 to 5 of them */
#define TOP_NODES 5 /* in the metric */
#define FEW       16 /* placements, for which not every node becomes a candidate */

struct candidate {
	struct node_entry *node;
	uint64_t tie;
	double sum;            /* of the parts but the boost of the zone */
	float affinity;
	uint32_t zone, here;   /* allocations of the group on the node */
	uint32_t pos;          /* in its heap, 1-based; 0 = in none: no room */
	uint8_t parts;         /* in sum */
	bool avoid, ruled_out; /* ruled_out: in no heap because of distinct_* */
};

struct bucket { /* a heap: the best first */
	uint32_t *items; /* [1..n] */
	uint32_t n, cap;
};

struct affinity_test {
	struct answer *answer;
	double weight;
};

struct property_count { /* of a distinct_property */
	struct map values;
};

struct shrunk {
	int64_t total;
	double by; /* 0 = nothing is known yet */
};

struct place {
	struct place_request r;
	struct feasible feasible;
	const struct task_group *group;
	const struct group_ask *ask;
	bool spread_algorithm;
	struct shrunk cpu, memory;
	struct affinity_test *affinities;
	uint32_t n_affinities;
	double affinity_weights;
	struct spreading *spreading;
	struct candidate *candidates;
	uint32_t n, limit; /* limit: no more than so many candidates are kept, the best; 0 = all */
	uint32_t worst;    /* of them, when there are as many */
	uint32_t *of_slot;      /* candidate + 1 */
	struct bucket *buckets; /* zone * PARTS + parts - 1 */
	uint32_t n_buckets;
	double *boosts;         /* by zone */
	uint32_t n_zones;
	uint32_t *on_job;       /* by slot, with distinct_hosts of the job */
	uint32_t *on_group;     /* by slot */
	struct property_count *properties;
	uint32_t *available;    /* nodes by number of datacenter */
	uint32_t placed;
	struct alloc_metric *metric;
};

/* ---- scores ---- */

static uint64_t mix(uint64_t x)
{
	x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
	return x ^ (x >> 31);
}

static double free_fraction(int64_t total, int64_t used)
{
	return total > 0 ? 1 - (double)used / (double)total : 0;
}

/* 10^-(ask / total), worked out once for each size of nodes in a row. */
static double shrink(struct shrunk *s, int64_t total, int64_t ask)
{
	if (s->total != total || s->by == 0)
		*s = (struct shrunk){total, total > 0 ? exp10(-(double)ask / (double)total) : 1};
	return s->by;
}

/* 10^cpu + 10^memory: the product of what the node has open and what the ask leaves of it. */
static double open_sum(struct place *p, struct node_entry *n)
{
	const struct amount *x = &p->r.proposed->extra[n->slot], *ask = &p->ask->amount;
	if (x->allocs)
		return exp10(free_fraction(n->total.cpu, n->used.cpu + x->cpu + ask->cpu)) +
		    exp10(free_fraction(n->total.memory, n->used.memory + x->memory + ask->memory));
	if (n->open_cpu == 0) {
		n->open_cpu = exp10(free_fraction(n->total.cpu, n->used.cpu));
		n->open_memory = exp10(free_fraction(n->total.memory, n->used.memory));
	}
	return n->open_cpu * shrink(&p->cpu, n->total.cpu, ask->cpu) +
	    n->open_memory * shrink(&p->memory, n->total.memory, ask->memory);
}

static double fit_score(struct place *p, struct node_entry *n)
{
	double sum = open_sum(p, n), score = p->spread_algorithm ? sum - 2 : 20 - sum;
	return MIN(MAX(score, 0), 18) / 18;
}

static void score(struct place *p, struct candidate *c)
{
	c->sum = fit_score(p, c->node);
	c->parts = 1;
	if (c->here) {
		c->sum -= (c->here + 1.0) / (double)MAX(p->group->count, 1);
		c->parts++;
	}
	if (c->avoid) {
		c->sum -= 1;
		c->parts++;
	}
	if (c->affinity != 0) {
		c->sum += c->affinity;
		c->parts++;
	}
}

static double final_score(const struct place *p, const struct candidate *c)
{
	double boost = p->boosts ? p->boosts[c->zone] : 0;
	return (c->sum + boost) / (c->parts + (boost != 0));
}

static float affinity_of(const struct place *p, const struct node_entry *n)
{
	double sum = 0;
	for (uint32_t i = 0; i < p->n_affinities; i++)
		if (answer_holds(p->affinities[i].answer, n))
			sum += p->affinities[i].weight;
	return p->affinity_weights > 0 ? (float)(sum / p->affinity_weights) : 0;
}

static void add_affinities(struct place *p, const struct objs *list)
{
	OBJS_EACH (list, struct affinity, f) {
		struct affinity_test *t = &p->affinities[p->n_affinities++];
		t->answer = answers_of(p->r.proposed->state->answers, f->ltarget, f->operand, f->rtarget);
		t->weight = (double)f->weight;
		p->affinity_weights += fabs(t->weight);
	}
}

static void init_affinities(struct place *p)
{
	const struct job *j = p->r.version->spec;
	uint32_t n = j->affinities.n + p->group->affinities.n;
	OBJS_EACH (&p->group->tasks, struct task, t)
		n += t->affinities.n;
	p->affinities = arena_alloc(p->r.arena, (n + 1) * sizeof(*p->affinities));
	add_affinities(p, &j->affinities);
	add_affinities(p, &p->group->affinities);
	OBJS_EACH (&p->group->tasks, struct task, task)
		add_affinities(p, &task->affinities);
}

/* ---- heaps ---- */

static bool better(const struct candidate *a, const struct candidate *b)
{
	return a->sum != b->sum ? a->sum > b->sum : a->tie < b->tie;
}

static struct bucket *bucket_of(struct place *p, const struct candidate *c)
{
	return &p->buckets[c->zone * PARTS + c->parts - 1];
}

static void put_at(struct place *p, struct bucket *b, uint32_t pos, uint32_t item)
{
	b->items[pos] = item;
	p->candidates[item].pos = pos;
}

/* Brings an item, whose place is free, to where it belongs. */
static void settle(struct place *p, struct bucket *b, uint32_t pos, uint32_t item)
{
	const struct candidate *c = &p->candidates[item];
	while (pos > 1 && better(c, &p->candidates[b->items[pos / 2]])) {
		put_at(p, b, pos, b->items[pos / 2]);
		pos /= 2;
	}
	for (uint32_t child; (child = pos * 2) <= b->n; pos = child) {
		if (child < b->n && better(&p->candidates[b->items[child + 1]], &p->candidates[b->items[child]]))
			child++;
		if (!better(&p->candidates[b->items[child]], c))
			break;
		put_at(p, b, pos, b->items[child]);
	}
	put_at(p, b, pos, item);
}

static void bucket_grow(struct bucket *b)
{
	if (b->n + 2 <= b->cap)
		return;
	b->cap = b->cap ? b->cap * 2 : 16;
	b->items = xrealloc(b->items, b->cap, sizeof(*b->items));
}

static void insert(struct place *p, struct candidate *c)
{
	struct bucket *b = bucket_of(p, c);
	bucket_grow(b);
	settle(p, b, ++b->n, (uint32_t)(c - p->candidates));
}

static void drop(struct place *p, struct candidate *c)
{
	struct bucket *b = bucket_of(p, c);
	uint32_t pos = c->pos, last = b->items[b->n--];
	c->pos = 0;
	if (pos <= b->n)
		settle(p, b, pos, last);
}

static void rescore(struct place *p, struct candidate *c)
{
	drop(p, c);
	score(p, c);
	insert(p, c);
}

static struct candidate *best(struct place *p)
{
	struct candidate *found = NULL;
	double found_score = 0;
	for (uint32_t i = 0; i < p->n_buckets; i++) {
		if (!p->buckets[i].n)
			continue;
		struct candidate *c = &p->candidates[p->buckets[i].items[1]];
		double s = final_score(p, c);
		if (!found || s > found_score || (s == found_score && c->tie < found->tie)) {
			found = c;
			found_score = s;
		}
	}
	return found;
}

/* ---- distinct_* ---- */

static void count_property(struct place *p, uint32_t i, const struct node_entry *n, const char *group, int by)
{
	const struct distinct_property *d = &p->feasible.properties[i];
	const char *value = constraint_resolve(n->spec, d->target);
	if (!value || (!d->of_job && !str_eq(group, p->group->name)))
		return;
	/* One is added, because nothing is what a map cannot hold. */
	uintptr_t count = (uintptr_t)map_get(&p->properties[i].values, value);
	map_set(&p->properties[i].values, value, (void *)(MAX(count, 1u) + (uintptr_t)(intptr_t)by));
}

static int64_t property_count(const struct place *p, uint32_t i, const char *value)
{
	uintptr_t count = (uintptr_t)map_get(&p->properties[i].values, value);
	return count ? (int64_t)count - 1 : 0;
}

struct filter place_distinct(struct place *p, const struct node_entry *n)
{
	if ((p->on_job && p->on_job[n->slot]) || (p->feasible.distinct_hosts_group && p->on_group[n->slot]))
		return (struct filter){.kind = FILTER_DISTINCT_HOSTS, .text = "distinct_hosts"};
	for (uint32_t i = 0; i < p->feasible.n_properties; i++) {
		const struct distinct_property *d = &p->feasible.properties[i];
		const char *value = constraint_resolve(n->spec, d->target);
		if (!value || property_count(p, i, value) >= d->allowed)
			return (struct filter){.kind = FILTER_DISTINCT_PROPERTY,
			    .text = arena_printf(p->r.arena, "distinct_property: %s", d->target)};
	}
	return (struct filter){.kind = FILTER_NONE};
}

static bool has_distinct(const struct place *p)
{
	return p->feasible.distinct_hosts_job || p->feasible.distinct_hosts_group || p->feasible.n_properties;
}

static void count_item(struct place *p, const struct node_entry *n, const char *group, int by)
{
	if (str_eq(group, p->group->name))
		p->on_group[n->slot] += (uint32_t)by;
	if (p->on_job)
		p->on_job[n->slot] += (uint32_t)by;
	for (uint32_t i = 0; i < p->feasible.n_properties; i++)
		count_property(p, i, n, group, by);
}

static void count_items(struct place *p)
{
	struct proposed *q = p->r.proposed;
	p->on_group = arena_alloc(p->r.arena, (q->n_slots + 1) * sizeof(*p->on_group));
	if (p->feasible.distinct_hosts_job)
		p->on_job = arena_alloc(p->r.arena, (q->n_slots + 1) * sizeof(*p->on_job));
	p->properties = arena_alloc(p->r.arena, (p->feasible.n_properties + 1) * sizeof(*p->properties));
	for (uint32_t i = 0; i < q->n_items; i++)
		if (!q->items[i].gone)
			count_item(p, q->items[i].node, q->items[i].group, 1);
}

/* ---- the scan ---- */

static void count_for(struct arena *a, struct intmap *m, const char *key)
{
	intmap_set(a, m, key, intmap_get(m, key) + 1);
}

static void count_filtered(struct place *p, const struct node_entry *n, const char *text)
{
	struct alloc_metric *m = p->metric;
	m->nodes_filtered++;
	if (!str_empty(n->spec->node_class))
		count_for(p->r.arena, &m->class_filtered, n->spec->node_class);
	count_for(p->r.arena, &m->constraint_filtered, text);
}

static void count_exhausted(struct place *p, const struct node_entry *n, const struct fit_result *f)
{
	struct alloc_metric *m = p->metric;
	m->nodes_exhausted++;
	if (!str_empty(n->spec->node_class))
		count_for(p->r.arena, &m->class_exhausted, n->spec->node_class);
	count_for(p->r.arena, &m->dimension_exhausted, fit_text(p->r.arena, f));
}

static bool beats(const struct place *p, const struct candidate *a, const struct candidate *b)
{
	double x = final_score(p, a), y = final_score(p, b);
	return x != y ? x > y : a->tie < b->tie;
}

static void find_worst(struct place *p)
{
	p->worst = 0;
	for (uint32_t i = 1; i < p->n; i++)
		if (beats(p, &p->candidates[p->worst], &p->candidates[i]))
			p->worst = i;
}

static void add_candidate(struct place *p, const struct candidate *c)
{
	if (!p->limit || p->n < p->limit) {
		p->candidates[p->n++] = *c;
		p->of_slot[c->node->slot] = p->n;
		if (p->n == p->limit)
			find_worst(p);
	} else if (beats(p, c, &p->candidates[p->worst])) {
		p->of_slot[p->candidates[p->worst].node->slot] = 0;
		p->candidates[p->worst] = *c;
		p->of_slot[c->node->slot] = p->worst + 1;
		find_worst(p);
	}
}

static struct candidate new_candidate(struct place *p, struct node_entry *n, bool ruled_out)
{
	struct candidate c = {.node = n, .here = p->on_group[n->slot], .tie = mix(p->r.seed ^ mix(n->id.lo ^ n->id.hi)),
	    .ruled_out = ruled_out};
	c.affinity = p->n_affinities ? affinity_of(p, n) : 0;
	c.zone = spreading_zone(p->spreading, n->spec);
	score(p, &c);
	return c;
}

static void consider(struct place *p, struct node_entry *n)
{
	if (feasible_node(&p->feasible, n) != FILTER_NONE)
		return;
	p->metric->nodes_evaluated++;
	p->available[n->dc_id]++;
	struct filter f = feasible_check(&p->feasible, n), distinct = {.kind = FILTER_NONE};
	if (f.kind == FILTER_NONE && has_distinct(p))
		distinct = place_distinct(p, n);
	if (f.kind != FILTER_NONE || distinct.kind != FILTER_NONE)
		count_filtered(p, n, f.kind != FILTER_NONE ? f.text : distinct.text);
	if (f.kind != FILTER_NONE)
		return;
	struct fit_result fit = proposed_fit(p->r.proposed, n, p->ask, 0, NULL);
	if (fit.dimension != FIT_OK) {
		if (distinct.kind == FILTER_NONE)
			count_exhausted(p, n, &fit);
		return;
	}
	struct candidate c = new_candidate(p, n, distinct.kind != FILTER_NONE);
	add_candidate(p, &c);
}

/* How many nodes are there for the job, by datacenter. One that was asked for by its name counts also when nothing is there. */
static void say_available(struct place *p)
{
	const struct state *s = p->r.proposed->state;
	const struct job *job = p->feasible.job;
	const char *word;
	void *number;
	for (uint32_t i = 0; i < job->datacenters.n; i++)
		if (!strchr(job->datacenters.v[i], '*'))
			intmap_set(p->r.arena, &p->metric->nodes_available, job->datacenters.v[i], 0);
	for (uint32_t i = 0; map_next(&s->datacenters, &i, &word, &number);)
		if (p->available[(uintptr_t)number - 1])
			intmap_set(p->r.arena, &p->metric->nodes_available, word, p->available[(uintptr_t)number - 1]);
	MODEL_SET(alloc_metric, p->metric, nodes_in_pool, p->metric->nodes_evaluated);
}

static void refresh_boosts(struct place *p)
{
	for (uint32_t z = 0; p->boosts && z < p->n_zones; z++)
		p->boosts[z] = spreading_boost(p->spreading, z);
}

static void build_heaps(struct place *p)
{
	p->n_zones = p->spreading ? 0 : 1;
	for (uint32_t i = 0; i < p->n; i++)
		p->n_zones = MAX(p->n_zones, p->candidates[i].zone + 1);
	p->n_buckets = p->n_zones * PARTS;
	p->buckets = xcalloc(p->n_buckets, sizeof(*p->buckets));
	p->boosts = p->spreading ? arena_alloc(p->r.arena, p->n_zones * sizeof(*p->boosts)) : NULL;
	refresh_boosts(p);
	for (uint32_t i = 0; i < p->n; i++)
		if (!p->candidates[i].ruled_out)
			insert(p, &p->candidates[i]);
}

static void add_score(struct place *p, struct candidate *c)
{
	struct score_meta *m = MODEL_NEW(p->r.arena, score_meta);
	char id[UUID_STR];
	MODEL_SET(score_meta, m, node_id, arena_strdup(p->r.arena, uuid_format(c->node->id, id)));
	const struct {
		const char *name;
		double value;
	} parts[] = {
	    {"binpack", fit_score(p, c->node)},
	    {"job-anti-affinity", c->here ? -(c->here + 1.0) / (double)MAX(p->group->count, 1) : 0},
	    {"node-affinity", (double)c->affinity},
	    {"node-reschedule-penalty", c->avoid ? -1 : 0},
	};
	for (size_t i = 0; i < ARRAY_LEN(parts); i++)
		dblmap_set(p->r.arena, &m->scores, parts[i].name, parts[i].value);
	if (p->boosts)
		dblmap_set(p->r.arena, &m->scores, "allocation-spread", p->boosts[c->zone]);
	MODEL_SET(score_meta, m, norm_score, final_score(p, c));
	objs_push(p->r.arena, &p->metric->score_meta_data, m);
}

static void add_top_scores(struct place *p)
{
	struct candidate *top[TOP_NODES];
	uint32_t n = 0;
	for (uint32_t i = 0; i < p->n; i++) {
		struct candidate *c = &p->candidates[i];
		if (c->ruled_out)
			continue;
		uint32_t at = n;
		while (at && beats(p, c, top[at - 1]))
			at--;
		if (at == TOP_NODES)
			continue;
		n = MIN(n + 1, (uint32_t)TOP_NODES);
		memmove(&top[at + 1], &top[at], (n - 1 - at) * sizeof(*top));
		top[at] = c;
	}
	for (uint32_t i = 0; i < n; i++)
		add_score(p, top[i]);
}

struct place *place_begin(const struct place_request *r)
{
	struct place *p = xcalloc(1, sizeof(*p));
	const struct state *s = r->proposed->state;
	p->r = *r;
	p->group = r->version->spec->task_groups.v[r->group];
	p->ask = &r->version->asks[r->group];
	p->spread_algorithm = s->config && str_eq(s->config->scheduler_algorithm, "spread");
	feasible_init(&p->feasible, s, r->version, r->group, r->arena);
	count_items(p);
	p->of_slot = xcalloc(s->cap_nodes + 1, sizeof(*p->of_slot));
	if (r->look)
		return p;
	init_affinities(p);
	p->spreading = spreading_new(r->version, r->group, r->proposed);
	p->metric = MODEL_NEW(r->arena, alloc_metric);
	p->available = arena_alloc(r->arena, (s->datacenters.n + 1) * sizeof(*p->available));
	if (r->plain && r->plain <= FEW && !p->spreading && !has_distinct(p))
		p->limit = r->plain + TOP_NODES;
	p->candidates = xcalloc(p->limit ? p->limit : s->n_nodes + 1, sizeof(*p->candidates));
	for (uint32_t i = 0; i < s->cap_nodes; i++)
		if (s->nodes[i])
			consider(p, s->nodes[i]);
	struct alloc_metric *m = p->metric;
	MODEL_SET(alloc_metric, m, nodes_evaluated, m->nodes_evaluated);
	MODEL_SET(alloc_metric, m, nodes_filtered, m->nodes_filtered);
	MODEL_SET(alloc_metric, m, nodes_exhausted, m->nodes_exhausted);
	say_available(p);
	build_heaps(p);
	add_top_scores(p);
	return p;
}

void place_end(struct place *p)
{
	for (uint32_t i = 0; i < p->feasible.n_properties; i++)
		map_free(&p->properties[i].values);
	for (uint32_t i = 0; i < p->n_buckets; i++)
		free(p->buckets[i].items);
	spreading_free(p->spreading);
	free(p->buckets);
	free(p->candidates);
	free(p->of_slot);
	free(p);
}

/* ---- placements ---- */

/* The candidate takes one more; it leaves when there is no room for the one after. */
static bool take(struct place *p, struct candidate *c, struct placement *out)
{
	struct port_grant *ports = NULL;
	if (p->ask->n_ports) {
		ports = arena_alloc(p->r.arena, p->ask->n_ports * sizeof(*ports));
		uint64_t pick = mix(p->r.seed + p->placed) ^ c->tie;
		if (proposed_fit(p->r.proposed, c->node, p->ask, pick, ports).dimension != FIT_OK)
			return false;
	}
	out->node = c->node;
	out->ports = ports;
	out->group = (uint16_t)p->r.group;
	out->score = (float)final_score(p, c);
	proposed_take(p->r.proposed, c->node, p->group->name, p->ask, ports);
	count_item(p, c->node, p->group->name, 1);
	p->placed++;
	c->here++;
	if (p->spreading) {
		spreading_count(p->spreading, c->zone, 1);
		refresh_boosts(p);
	}
	if (proposed_fit(p->r.proposed, c->node, p->ask, 0, NULL).dimension != FIT_OK)
		drop(p, c);
	else
		rescore(p, c);
	return true;
}

static struct candidate *candidate_of(struct place *p, const struct node_entry *n)
{
	uint32_t i = n ? p->of_slot[n->slot] : 0;
	return i ? &p->candidates[i - 1] : NULL;
}

static void set_avoid(struct place *p, const struct uuid *ids, uint32_t n, bool avoid)
{
	for (uint32_t i = 0; i < n; i++) {
		struct candidate *c = candidate_of(p, state_node(p->r.proposed->state, ids[i]));
		if (!c || c->avoid == avoid)
			continue;
		c->avoid = avoid;
		if (c->pos)
			rescore(p, c);
	}
}

/* The few best are used up: every node that still has room is a candidate from now on. */
static void look_again(struct place *p)
{
	const struct state *s = p->r.proposed->state;
	p->limit = p->n = 0;
	p->candidates = xrealloc(p->candidates, s->n_nodes + 1, sizeof(*p->candidates));
	memset(p->of_slot, 0, (s->cap_nodes + 1) * sizeof(*p->of_slot));
	for (uint32_t i = 0; i < s->cap_nodes; i++) {
		struct node_entry *n = s->nodes[i];
		if (!n || feasible_node(&p->feasible, n) != FILTER_NONE || feasible_check(&p->feasible, n).kind != FILTER_NONE ||
		    proposed_fit(p->r.proposed, n, p->ask, 0, NULL).dimension != FIT_OK)
			continue;
		struct candidate c = new_candidate(p, n, false);
		add_candidate(p, &c);
		insert(p, &p->candidates[p->n - 1]);
	}
}

bool place_next(struct place *p, const struct uuid *avoid, uint32_t n_avoid, struct placement *out)
{
	bool done = false;
	if (p->limit && !best(p))
		look_again(p);
	set_avoid(p, avoid, n_avoid, true);
	for (struct candidate *c; !done && (c = best(p));) {
		c->ruled_out = has_distinct(p) && place_distinct(p, c->node).kind != FILTER_NONE;
		if (c->ruled_out || !(done = take(p, c, out)))
			drop(p, c);
		if (!done && p->limit && !best(p))
			look_again(p);
	}
	set_avoid(p, avoid, n_avoid, false);
	return done;
}

/* What distinct_* ruled out is looked at again. */
static void reconsider(struct place *p)
{
	for (uint32_t i = 0; has_distinct(p) && i < p->n; i++) {
		struct candidate *c = &p->candidates[i];
		if (!c->ruled_out || place_distinct(p, c->node).kind != FILTER_NONE)
			continue;
		c->ruled_out = false;
		score(p, c);
		insert(p, c);
	}
}

static void recount(struct place *p, uint32_t item, int by)
{
	struct proposed_item *x = &p->r.proposed->items[item];
	struct candidate *c = candidate_of(p, x->node);
	x->gone = by < 0;
	count_item(p, x->node, x->group, by);
	if (p->spreading) {
		spreading_count(p->spreading, spreading_zone(p->spreading, x->node->spec), by);
		refresh_boosts(p);
	}
	if (c) {
		c->here += (uint32_t)by;
		if (c->pos)
			rescore(p, c);
	}
	reconsider(p);
}

void place_forget(struct place *p, uint32_t item)
{
	recount(p, item, -1);
}

void place_remember(struct place *p, uint32_t item)
{
	recount(p, item, 1);
}

bool place_on(struct place *p, struct node_entry *n, struct placement *out)
{
	struct candidate *c = candidate_of(p, n);
	if (!c || !c->pos || (has_distinct(p) && place_distinct(p, n).kind != FILTER_NONE))
		return false;
	return take(p, c, out);
}

struct alloc_metric *place_metric(struct place *p)
{
	return p->metric;
}

struct feasible *place_feasible(struct place *p)
{
	return &p->feasible;
}
