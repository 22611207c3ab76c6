#include "agent/driver.h"

const struct driver_ops *const drivers[] = {&driver_raw_exec, NULL};

const struct driver_ops *driver_find(const char *name)
{
	for (size_t i = 0; drivers[i]; i++)
		if (str_eq(drivers[i]->name, name))
			return drivers[i];
	return NULL;
}
