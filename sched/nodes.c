#include "sched/nodes.h"

void nodes_init(struct nodes *n)
{
	link_init(&n->suspects);
	n->seen_at = NEVER;
	n->heard = n->self_asked = INT64_MIN / 2;
}

void nodes_release(struct nodes *n)
{
	heap_free(&n->timers);
}

int64_t nodes_shortest_ttl(const struct core_config *c, uint32_t n_nodes)
{
	return MAX((int64_t)((double)n_nodes / c->max_heartbeats_per_second * (double)SECOND), c->min_heartbeat_ttl);
}

int64_t nodes_ttl(const struct core_config *c, uint32_t n_nodes, struct uuid node, int64_t now)
{
	int64_t base = nodes_shortest_ttl(c, n_nodes);
	return base + (int64_t)(uuid_derive(node, (uint64_t)now).lo % (uint64_t)MAX(base, 1));
}

void nodes_set(struct nodes *n, struct node_entry *node, enum life_phase phase, int64_t at)
{
	struct node_life *l = &node->life;
	n->asked -= l->phase == LIFE_ASKED;
	n->asked += phase == LIFE_ASKED;
	link_remove(&l->queue);
	if (phase == LIFE_SUSPECT)
		link_append(&n->suspects, &l->queue);
	l->phase = (uint8_t)phase;
	if (phase == LIFE_NONE)
		heap_remove(&n->timers, &l->timer);
	else
		heap_set(&n->timers, &l->timer, at);
}

void nodes_forget(struct nodes *n, struct node_entry *node)
{
	nodes_set(n, node, LIFE_NONE, 0);
	node->life.told = node->life.missed = false;
}

void nodes_excuse(struct nodes *n, int64_t time)
{
	n->excused += time;
}

struct node_entry *nodes_due(const struct nodes *n, int64_t now)
{
	struct heap_item *first = heap_first(&n->timers);
	return first && first->key <= nodes_time(n, now) ? CONTAINER_OF(first, struct node_entry, life.timer) : NULL;
}

int64_t nodes_deadline(const struct nodes *n)
{
	struct heap_item *first = heap_first(&n->timers);
	return MIN(first ? first->key + n->excused : NEVER, n->seen_at);
}

static void put_shared(struct buf *b, const struct strmap *m)
{
	for (uint32_t i = 0; i < m->n; i++)
		if (!str_starts(m->v[i].key, "unique."))
			buf_printf(b, "%s=%s\n", m->v[i].key, m->v[i].value);
}

const char *nodes_computed_class(struct arena *a, const struct node *n)
{
	cleanup_buf struct buf b = BUF_INIT;
	buf_printf(&b, "%s\n%s\n%s\n", n->datacenter ? n->datacenter : "", n->node_pool ? n->node_pool : "",
	    n->node_class ? n->node_class : "");
	put_shared(&b, &n->attributes);
	put_shared(&b, &n->meta);
	for (uint32_t i = 0; i < n->drivers.n; i++) {
		const struct driver_info *d = n->drivers.v[i].value;
		buf_printf(&b, "%s %d %d\n", n->drivers.v[i].key, d->detected, d->healthy);
	}
	uint64_t h = UINT64_C(0xcbf29ce484222325); /* FNV-1a, 64 bits: a class for each node of a large fleet, and no two alike */
	for (size_t i = 0; i < b.len; i++)
		h = (h ^ (uint8_t)b.data[i]) * UINT64_C(0x100000001b3);
	return arena_printf(a, "v1:%llu", (unsigned long long)h);
}
