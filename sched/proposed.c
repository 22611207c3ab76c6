/* proposed: bookkeeping of one plan, by slots of nodes. */
#include "sched/proposed.h"

#include <assert.h>

/* Zeroing an amount for every node costs more than most plans write: what a plan wrote to is zeroed when it gives them back. */
static struct amount *borrow(struct scratch *s, uint32_t n)
{
	assert(!s->taken);
	if (s->n < n) {
		free(s->amounts);
		s->amounts = xcalloc(n, sizeof(*s->amounts));
		s->n = n;
	}
	s->taken = true;
	return s->amounts;
}

void proposed_init(struct proposed *p, const struct state *s, struct arena *a)
{
	uint32_t n = s->cap_nodes;
	*p = (struct proposed){.state = s, .arena = a, .n_slots = n};
	p->extra = borrow(s->scratch, n + 1);
	p->freed = port_set_new();
}

/* Only nodes of items have been written to. */
static void give_back(struct proposed *p)
{
	for (uint32_t i = 0; i < p->n_items; i++)
		p->extra[p->items[i].node->slot] = (struct amount){0};
	if (p->everywhere)
		memset(p->extra, 0, p->n_slots * sizeof(*p->extra));
	p->state->scratch->taken = false;
	p->extra = NULL;
}

void proposed_release(struct proposed *p)
{
	for (uint32_t i = 0; p->ports && i < p->n_slots; i++)
		port_set_free(p->ports[i]);
	port_set_free(p->freed);
	give_back(p);
	free(p->items);
	p->ports = NULL;
	p->freed = NULL;
	p->items = NULL;
}

static void add_item(struct proposed *p, struct node_entry *n, const char *group)
{
	if (p->n_items == p->cap_items) {
		p->cap_items = p->cap_items ? p->cap_items * 2 : 64;
		p->items = xrealloc(p->items, p->cap_items, sizeof(*p->items));
	}
	p->items[p->n_items++] = (struct proposed_item){.node = n, .group = group};
}

void proposed_keep(struct proposed *p, const struct alloc *a)
{
	add_item(p, a->node, alloc_group(a)->name);
}

void proposed_count(struct proposed *p, struct node_entry *n, const char *group)
{
	add_item(p, n, group);
}

void proposed_turn(struct proposed *p)
{
	p->n_items = 0;
	p->everywhere = true;
}

void proposed_free_ports(struct proposed *p, const struct alloc *a)
{
	for (uint32_t i = 0; a->ports && i < a->version->asks[a->group].n_ports; i++)
		port_set_add(p->freed, a->ports[i].value);
}

void proposed_take(struct proposed *p, struct node_entry *n, const char *group, const struct group_ask *ask,
    const struct port_grant *grants)
{
	amount_add(&p->extra[n->slot], &ask->amount);
	add_item(p, n, group);
	if (!ask->n_ports)
		return;
	if (!p->ports)
		p->ports = arena_alloc(p->arena, (p->n_slots + 1) * sizeof(*p->ports));
	if (!p->ports[n->slot])
		p->ports[n->slot] = port_set_new();
	for (uint32_t i = 0; i < ask->n_ports; i++)
		port_set_add(p->ports[n->slot], grants[i].value);
}

void proposed_give(struct proposed *p, struct node_entry *n, const struct group_ask *ask, const struct port_grant *grants)
{
	amount_take(&p->extra[n->slot], &ask->amount);
	for (uint32_t i = 0; i < ask->n_ports; i++)
		port_set_remove(p->ports[n->slot], grants[i].value);
}

struct fit_result proposed_fit(const struct proposed *p, const struct node_entry *n, const struct group_ask *ask,
    uint64_t pick, struct port_grant *grants)
{
	return fit_check(n, ask, p->extra[n->slot], p->ports ? p->ports[n->slot] : NULL, p->freed, pick, grants);
}
