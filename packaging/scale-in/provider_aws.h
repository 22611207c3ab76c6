/* provider_aws: what can be tested of the provider "aws-asg" without AWS. */
#ifndef PACKAGING_SCALE_IN_PROVIDER_AWS_H
#define PACKAGING_SCALE_IN_PROVIDER_AWS_H

#include "packaging/scale-in/provider.h"

struct aws_notices {           /* as the metadata has them; NULL: no such item */
	const char *lifecycle; /* autoscaling/target-lifecycle-state */
	const char *spot;      /* spot/instance-action: {"action": "terminate", "time": "2026-11-25T12:00:00Z"} */
	const char *rebalance; /* events/recommendations/rebalance */
};
int aws_wish(const struct settings *s, const struct aws_notices *n, struct wish *out, struct err *e);
/* What an error answer of the API means; sets *stale when other credentials may help. Returns the code. */
int aws_error(int status, const char *body, bool *stale, struct err *e);

#endif
