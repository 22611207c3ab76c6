/* kvlog_types: the tables of discovery/kvlog.def. */
#include "discovery/kvlog_format.h"

#define MODEL_DEF "discovery/kvlog.def"
#include "base/model_tables.h"
