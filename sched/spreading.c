/*
 * spreading: counts by value for each block. With targets, a block gives ((desired - used) / desired) * weight / weights,
 * where used includes the placement that is scored, what the targets leave over is one more target for all other values,
 * a value outside gives -1, and a target of nothing gives the lowest boost there is (-1 or less). Without targets it pulls
 * to the least used value: see even_boost().
 */
#include "sched/spreading.h"

#include "sched/constraint.h"

struct value_count {
	uint32_t n;      /* allocations of the group there */
	double desired;  /* below 0: outside of the targets */
};

struct block {
	const struct spread *spec;
	struct map ids; /* value -> id + 1; id 0 is for nodes without the attribute */
	struct value_count *values;
	uint32_t n, cap;
	double sum_desired;
};

struct spreading {
	struct block *blocks;
	uint32_t n_blocks;
	double weights, count;
	struct map zone_ids; /* value ids as bytes of text -> zone + 1 */
	uint32_t *zones;     /* n_blocks value ids for each */
	uint32_t n_zones, cap_zones;
};

static const struct spread_target *target_of(const struct spread *s, const char *value)
{
	OBJS_EACH (&s->spread_target, struct spread_target, t)
		if (str_eq(t->value, value))
			return t;
	return NULL;
}

static double desired_of(const struct spreading *s, const struct block *b, const char *value)
{
	const struct spread_target *t = target_of(b->spec, value);
	if (t)
		return (double)t->percent / 100 * s->count;
	return b->sum_desired < s->count ? s->count - b->sum_desired : -1;
}

static uint32_t value_id(const struct spreading *s, struct block *b, const char *value)
{
	uintptr_t known = value ? (uintptr_t)map_get(&b->ids, value) : 1;
	if (known)
		return (uint32_t)(known - 1);
	if (b->n == b->cap) {
		b->cap *= 2;
		b->values = xrealloc(b->values, b->cap, sizeof(*b->values));
	}
	b->values[b->n] = (struct value_count){0, desired_of(s, b, value)};
	map_set(&b->ids, value, (void *)(uintptr_t)(b->n + 1));
	return b->n++;
}

uint32_t spreading_zone(struct spreading *s, const struct node *n)
{
	if (!s)
		return 0;
	cleanup_buf struct buf key = BUF_INIT;
	if (s->n_zones == s->cap_zones) {
		s->cap_zones = s->cap_zones ? s->cap_zones * 2 : 16;
		s->zones = xrealloc(s->zones, s->cap_zones * s->n_blocks, sizeof(*s->zones));
	}
	uint32_t *ids = &s->zones[s->n_zones * s->n_blocks];
	for (uint32_t i = 0; i < s->n_blocks; i++) {
		ids[i] = value_id(s, &s->blocks[i], constraint_resolve(n, s->blocks[i].spec->attribute));
		buf_printf(&key, "%u,", ids[i]);
	}
	uintptr_t known = (uintptr_t)map_get(&s->zone_ids, key.data);
	if (known)
		return (uint32_t)(known - 1);
	map_set(&s->zone_ids, key.data, (void *)(uintptr_t)(s->n_zones + 1));
	return s->n_zones++;
}

static void add_block(struct spreading *s, const struct spread *spec)
{
	struct block *b = &s->blocks[s->n_blocks++];
	*b = (struct block){.spec = spec, .cap = 8};
	b->values = xcalloc(b->cap, sizeof(*b->values));
	b->values[b->n++].desired = -1;
	s->weights += (double)spec->weight;
	OBJS_EACH (&spec->spread_target, struct spread_target, t)
		b->sum_desired += (double)t->percent / 100 * s->count;
}

struct spreading *spreading_new(const struct job_version *v, uint32_t group, const struct proposed *p)
{
	const struct task_group *g = v->spec->task_groups.v[group];
	uint32_t n = v->spec->spreads.n + g->spreads.n;
	if (!n)
		return NULL;
	struct spreading *s = xcalloc(1, sizeof(*s));
	s->blocks = xcalloc(n, sizeof(*s->blocks));
	s->count = (double)g->count;
	OBJS_EACH (&g->spreads, struct spread, gs)
		add_block(s, gs);
	OBJS_EACH (&v->spec->spreads, struct spread, js)
		add_block(s, js);
	for (uint32_t i = 0; i < p->n_items; i++)
		if (!p->items[i].gone && str_eq(p->items[i].group, g->name))
			spreading_count(s, spreading_zone(s, p->items[i].node->spec), 1);
	return s;
}

void spreading_free(struct spreading *s)
{
	if (!s)
		return;
	for (uint32_t i = 0; i < s->n_blocks; i++) {
		map_free(&s->blocks[i].ids);
		free(s->blocks[i].values);
	}
	map_free(&s->zone_ids);
	free(s->blocks);
	free(s->zones);
	free(s);
}

void spreading_count(struct spreading *s, uint32_t zone, int by)
{
	for (uint32_t i = 0; s && i < s->n_blocks; i++)
		s->blocks[i].values[s->zones[zone * s->n_blocks + i]].n += (uint32_t)by;
}

/* The least and the most used of the values in use pull and push: -1 when all are even or one is far ahead of none. */
static double even_boost(const struct block *b, uint32_t id)
{
	uint32_t min = UINT32_MAX, max = 0, now = b->values[id].n;
	for (uint32_t i = 1; i < b->n; i++)
		if (b->values[i].n) {
			min = MIN(min, b->values[i].n);
			max = MAX(max, b->values[i].n);
		}
	if (!max)
		return 0; /* nothing is placed yet */
	if (now != min)
		return ((double)min - now) / min;
	if (min == max)
		return -1;
	return ((double)max - min) / min;
}

static double target_boost(const struct spreading *s, const struct block *b, const struct value_count *v)
{
	return (v->desired - (v->n + 1)) / v->desired * ((double)b->spec->weight / s->weights);
}

static double lowest_boost(const struct spreading *s, const struct block *b)
{
	double lowest = -1;
	for (uint32_t i = 1; i < b->n; i++)
		if (b->values[i].desired > 0)
			lowest = MIN(lowest, target_boost(s, b, &b->values[i]));
	return lowest;
}

double spreading_boost(struct spreading *s, uint32_t zone)
{
	double sum = 0;
	for (uint32_t i = 0; s && i < s->n_blocks; i++) {
		const struct block *b = &s->blocks[i];
		uint32_t id = s->zones[zone * s->n_blocks + i];
		const struct value_count *v = &b->values[id];
		if (!id)
			sum -= 1;
		else if (!b->spec->spread_target.n)
			sum += even_boost(b, id);
		else if (v->desired < 0)
			sum -= 1;
		else if (v->desired == 0)
			sum += lowest_boost(s, b);
		else
			sum += target_boost(s, b, v);
	}
	return sum;
}
