/*
 * lifecycle: the order in which the tasks of one allocation start and stop, as a pure function of what each of them is
 * and where it stands: prestart, then main, then poststart; leader, main, sidecars when stopping; poststop at the end.
 */
#ifndef AGENT_LIFECYCLE_H
#define AGENT_LIFECYCLE_H

#include "base/model.h"

enum lifecycle_role {
	ROLE_PRESTART,          /* must succeed before main tasks start */
	ROLE_PRESTART_SIDECAR,  /* starts first, lives as long as the main tasks */
	ROLE_MAIN,
	ROLE_POSTSTART,         /* starts once all main tasks run */
	ROLE_POSTSTART_SIDECAR,
	ROLE_POSTSTOP,          /* starts once all others are dead */
};

enum lifecycle_stage { STAGE_WAITING, STAGE_ACTIVE, STAGE_DEAD };

struct lifecycle_task { /* what the rules need to know of one task */
	enum lifecycle_role role;
	enum lifecycle_stage stage; /* ACTIVE: from the first start attempt until dead */
	bool leader;
	bool up;      /* its process has been started in this or an earlier attempt and it is not waiting to restart */
	bool failed;  /* dead, and not by its own success */
	bool started; /* its process ran at least once */
};

enum lifecycle_order {
	ORDER_NONE,
	ORDER_START,
	ORDER_STOP, /* stop now; also given again while it is stopping */
	ORDER_SKIP, /* never started and never will be */
};

enum lifecycle_reason { WHY_NONE, WHY_STOPPED, WHY_SIBLING_FAILED, WHY_LEADER_DEAD, WHY_MAIN_DEAD };

struct lifecycle_plan {
	enum lifecycle_reason reason; /* why tasks are being stopped */
	uint32_t culprit;             /* index of the failed sibling, for WHY_SIBLING_FAILED */
};

enum lifecycle_role lifecycle_role(const struct lifecycle *l);
bool lifecycle_is_sidecar(enum lifecycle_role role);
/* Says what each task should do now. stop_wanted: the allocation itself is to stop. orders has n elements. */
void lifecycle_decide(const struct lifecycle_task *tasks, uint32_t n, bool stop_wanted, enum lifecycle_order *orders,
    struct lifecycle_plan *plan);

#endif
