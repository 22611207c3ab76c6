/* consul_types: the tables of discovery/consul.def and the operations of discovery/consul_ops.def. */
#include "discovery/consul.h"

#define MODEL_DEF "discovery/consul.def"
#include "base/model_tables.h"

#define YES       true
#define NO        false
#define type_none (*(const struct type *)NULL) /* &type_none is NULL */
#define OP(name_, method_, path_, absence_, request_, answer_, words_)                                                  \
	const struct consul_op consul_##name_ = {                                                                           \
	    .name = #name_,                                                                                                 \
	    .method = #method_,                                                                                             \
	    .path = (path_),                                                                                                \
	    .words = (words_),                                                                                              \
	    .absence = (absence_),                                                                                          \
	    .request = &type_##request_,                                                                                    \
	    .answer = &type_##answer_,                                                                                      \
	};
#include "discovery/consul_ops.def"
