/*
 * Arbitrary bytes as what a journal holds: entries on top of a small world, entries of a snapshot, and whole segment files.
 * Whatever they are, the state takes them or refuses them.
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "base/file.h"
#include "sched/entry.h"
#include "sched/journal_format.h"
#include "sched/snapshot.h"
#include "tests/lib/fixture.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int put(struct state *s, struct buf *b)
{
	return state_apply(s, s->index + 1, b->data, b->len, NULL);
}

/* Two nodes, a job with a port, two allocations, a blocked evaluation. */
static struct state *small_world(void)
{
	cleanup_arena struct arena *a = arena_new();
	cleanup_buf struct buf b = BUF_INIT;
	struct state *s = state_new();
	entry_begin(&b, SECOND);
	entry_genesis(&b, (struct uuid){1, 2}, (struct uuid){3, 4});
	for (unsigned i = 0; i < 2; i++) {
		struct node *n = fixture_node(a, i);
		MODEL_SET(node, n, status, "ready");
		entry_node(&b, n);
	}
	struct job *spec = fixture_job(a, "j", "service", 3, 10, 10);
	fixture_add_port(a, spec, "http");
	entry_job(&b, spec, NULL);
	put(s, &b);
	struct port_grant port = {.value = 20001};
	struct placement places[2] = {{.node = s->nodes[0], .ports = &port}, {.node = s->nodes[1], .ports = &port, .index = 1}};
	struct plan p = {.seed = {9, 9}, .version = state_job(s, "default", "j")->current, .places = places, .n_places = 2};
	places[0].id = uuid_derive(p.seed, 0);
	places[1].id = uuid_derive(p.seed, 1);
	objs_push(a, &p.metrics, MODEL_NEW(a, alloc_metric));
	p.eval = MODEL_NEW(a, eval);
	MODEL_SET(eval, p.eval, id, "00000000-0000-0000-0000-000000000009");
	MODEL_SET(eval, p.eval, namespace, "default");
	MODEL_SET(eval, p.eval, job_id, "j");
	MODEL_SET(eval, p.eval, status, "blocked");
	entry_begin(&b, 2 * SECOND);
	entry_plan(&b, &p);
	put(s, &b);
	return s;
}

/* The bytes as entries with a length of two bytes each; first = 1: of a log, 0: of a snapshot. */
static void entries(struct state *s, const uint8_t *p, size_t n, bool log)
{
	while (n > 2) {
		size_t len = MIN((size_t)(p[0] | p[1] << 8), n - 2);
		if (state_apply(s, log ? s->index + 1 : 0, p + 2, len, NULL))
			break;
		p += 2 + len;
		n -= 2 + len;
	}
}

static int apply_entry(void *arg, uint64_t index, const void *p, size_t n, struct err *e)
{
	return state_apply(arg, index, p, n, e);
}

static void segment(struct state *s, const uint8_t *p, size_t n)
{
	static char dir[64];
	char name[JOURNAL_NAME], path[256];
	struct journal_tail t;
	uint8_t header[JOURNAL_HEADER];
	if (!*dir) {
		strcpy(dir, "/tmp/drover-fuzz-XXXXXX");
		if (!mkdtemp(dir))
			abort();
	}
	journal_segment_name(1, name);
	snprintf(path, sizeof(path), "%s/%s", dir, name);
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	if (fd < 0)
		abort();
	journal_put_header(header, JOURNAL_SEGMENT_MAGIC, (struct uuid){1, 2}, 1);
	file_write_all(fd, header, sizeof(header));
	/* Half of them with sums that are right, so that what is behind the sum is reached as well. */
	struct buf b = BUF_INIT;
	if (n && p[0] & 1)
		journal_put_frame(&b, 1, 0, p + 1, n - 1);
	else
		buf_put(&b, p, n);
	if (b.len)
		file_write_all(fd, b.data, b.len);
	close(fd);
	buf_free(&b);
	journal_read(dir, apply_entry, s, &t, NULL);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size < 2)
		return 0;
	bool on_world = data[0] % 3 == 0;
	struct state *s = on_world ? small_world() : state_new();
	if (on_world) {
		entries(s, data + 1, size - 1, true);
		state_digest(s);
	} else if (data[0] % 3 == 1) {
		entries(s, data + 1, size - 1, false);
	} else {
		segment(s, data + 1, size - 1);
	}
	state_free(s);
	return 0;
}
