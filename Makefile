# drover. `make` builds, `make check` tests everything, `make demo` shows it, `make help` lists the rest.
# Paths are relative throughout, so a checkout may lie below a folder with spaces in its name.

VERSION  := 0.1.0
BUILD    ?= build
VARIANT  ?= release
CC       ?= cc
KEEPER_CC ?= musl-gcc
PREFIX   ?= /usr/local
DESTDIR  ?=
SECONDS_ ?= $(or $(SECONDS),60)

WARN := -Wall -Wextra -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wvla -Wimplicit-fallthrough \
	-Wformat=2 -Wpointer-arith -Wundef -Wwrite-strings -Wno-format-nonliteral
OPT_release := -O2 -g -fno-plt -D_FORTIFY_SOURCE=2
OPT_asan    := -O1 -g1 -fno-omit-frame-pointer -fsanitize=address,undefined -fno-sanitize-recover=undefined
OPT_debug   := -O0 -g
OPT_fuzz    := -w -O1 -gline-tables-only -fno-omit-frame-pointer -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined
LD_release  := -Wl,--as-needed -Wl,-z,relro,-z,now -pie
LD_asan     := -fsanitize=address,undefined
LD_debug    :=
LD_fuzz     := -fsanitize=fuzzer,address,undefined
ifeq ($(VARIANT),fuzz)
CC          := clang
endif
WERROR   ?=
CFLAGS_  := -std=gnu11 -I. -D_GNU_SOURCE -DDROVER_VERSION='"$(VERSION)"' $(WARN) $(WERROR) -fstack-protector-strong \
	-fPIE $(OPT_$(VARIANT)) $(CFLAGS)
LDLIBS_  := -levent -levent_pthreads -ljansson -lconfuse -lcares -lpcre2-8 -lmpfr -lgmp -lutf8proc -lyaml -lcrypt -lz -lzstd \
	-lm -lpthread -ldl

O        := $(BUILD)/$(VARIANT)
LAYERS   := base discovery sched agent daemon
# The other executable is made of these; main.c has main().
KEEPER_SRC := agent/keeper_main.c agent/keeper_output.c
SRC      := $(filter-out $(KEEPER_SRC) daemon/main.c,$(foreach l,$(LAYERS),$(sort $(wildcard $(l)/*.c))))
OBJ      := $(SRC:%.c=$(O)/%.o)
# Listed from the top layer down, so that a call that goes up the layers fails at link time.
LIBS     := $(O)/libdaemon.a $(O)/libagent.a $(O)/libsched.a $(O)/libdiscovery.a $(O)/libbase.a
# Beside the agent, not part of it: knows discovery and base alone.
SCALE_IN := $(sort $(wildcard packaging/scale-in/*.c))
TESTLIB  := $(patsubst %.c,$(O)/%.o,$(sort $(wildcard tests/lib/*.c)))
UNIT     := $(patsubst tests/unit/%.c,$(O)/tests/unit/%,$(sort $(wildcard tests/unit/*_test.c)))

.PHONY: all help check demo unit sim mutants bench fuzz fuzzers format docs install uninstall deb rpm clean deps
.DELETE_ON_ERROR:

# build/drover is the release build; other variants stay in their folders.
PRODUCT := $(if $(filter release,$(VARIANT)),$(BUILD),$(O))
# What is made is named; `make V=1` shows the commands, `make -s` nothing.
SAY := $(if $(V)$(findstring s,$(firstword -$(MAKEFLAGS))),@:,@printf '%s\n')
Q   := $(if $(V),,@)

all: $(PRODUCT)/drover $(PRODUCT)/drover-keeper $(PRODUCT)/drover-scale-in ## build the executables into build/

help: ## list the targets
	@sed -n 's/^\([a-z ]*\):.*## \(.*\)/\1\t\2/p' Makefile | expand -t 12

$(BUILD)/drover: $(O)/drover
	@cp -f $< $@
$(BUILD)/drover-keeper: $(O)/drover-keeper
	@cp -f $< $@
$(BUILD)/drover-scale-in: $(O)/drover-scale-in
	@cp -f $< $@

$(O)/drover: $(O)/daemon/main.o $(LIBS)
	$(SAY) "$@"
	$(Q)$(CC) $(LD_$(VARIANT)) $(LDFLAGS) -o $@ $^ $(LDLIBS_)

$(O)/libscale-in.a: $(patsubst %.c,$(O)/%.o,$(filter-out %/main.c,$(SCALE_IN)))
	@mkdir -p $(@D) && rm -f $@ && ar rcs $@ $^
$(O)/drover-scale-in: $(O)/packaging/scale-in/main.o $(O)/libscale-in.a $(O)/libdiscovery.a $(O)/libbase.a
	$(SAY) "$@"
	$(Q)$(CC) $(LD_$(VARIANT)) $(LDFLAGS) -o $@ $^ $(LDLIBS_)

# The keeper is paid for once for each running task: static, small, against libc alone. Sanitizers need the usual libc.
KEEPER_release := $(KEEPER_CC) -Os -g -static
KEEPER_debug   := $(KEEPER_CC) -O0 -g -static
KEEPER_asan    := $(CC) $(OPT_asan) -DKEEPER_SANITIZED -pthread
$(O)/drover-keeper: $(KEEPER_SRC) agent/keeper_proto.h agent/keeper_output.h
	@mkdir -p $(@D)
	$(SAY) "$@"
	$(Q)$(KEEPER_$(VARIANT)) -std=gnu11 -I. -D_GNU_SOURCE $(WARN) $(WERROR) -o $@ $(KEEPER_SRC)

define layer
$(O)/lib$(1).a: $(patsubst %.c,$(O)/%.o,$(filter $(1)/%,$(SRC)))
	@mkdir -p $$(@D) && rm -f $$@ && ar rcs $$@ $$^
endef
$(foreach l,$(LAYERS),$(eval $(call layer,$(l))))

$(O)/%.o: %.c
	@mkdir -p $(@D)
	$(SAY) "$@"
	$(Q)$(CC) $(CFLAGS_) -MMD -MP -c -o $@ $<

$(O)/tests/unit/%: $(O)/tests/unit/%.o $(TESTLIB) $(LIBS)
	$(SAY) "$@"
	$(Q)$(CC) $(LD_$(VARIANT)) $(LDFLAGS) -o $@ $^ -lcmocka $(LDLIBS_)

$(O)/tests/unit/scale_in_%: $(O)/tests/unit/scale_in_%.o $(TESTLIB) $(O)/libscale-in.a $(LIBS)
	$(SAY) "$@"
	$(Q)$(CC) $(LD_$(VARIANT)) $(LDFLAGS) -o $@ $^ -lcmocka $(LDLIBS_)

unit: $(UNIT) $(O)/drover $(O)/drover-keeper ## build and run the unit tests (VARIANT=asan for the sanitizers)
	@scripts/run-unit "$(O)" $(UNIT)

$(O)/sim: $(patsubst %.c,$(O)/%.o,$(sort $(wildcard tests/sim/*.c))) $(LIBS)
	$(SAY) "$@"
	$(Q)$(CC) $(LD_$(VARIANT)) $(LDFLAGS) -o $@ $^ $(LDLIBS_)

sim: $(O)/sim ## the simulated cluster: make sim SECONDS=60 SEED=1
	$(O)/sim --seconds $(SECONDS_) $(if $(SEED),--seed $(SEED))

BENCHLIB := $(patsubst %,$(O)/tests/lib/%.o,play http_load figure)
$(O)/bench-%: $(O)/tests/bench/%.o $(BENCHLIB) $(LIBS)
	$(SAY) "$@"
	$(Q)$(CC) $(LD_$(VARIANT)) $(LDFLAGS) -o $@ $^ $(LDLIBS_)

# Static like the keeper: the task whose own start costs nothing.
$(O)/bench-task: tests/bench/task/task.c
	@mkdir -p $(@D)
	$(SAY) "$@"
	$(Q)$(KEEPER_CC) -std=gnu11 -O2 -static $(WARN) $(WERROR) -o $@ $<

bench: all $(O)/bench-task $(patsubst tests/bench/%.c,$(O)/bench-%,$(sort $(wildcard tests/bench/*.c))) ## print the table of figures
	@BUILD="$(BUILD)" O="$(O)" tests/bench/run

$(O)/libtest.a: $(TESTLIB)
	@rm -f $@ && ar rcs $@ $^
$(O)/fuzz-%: $(O)/tests/fuzz/%_fuzz.o $(O)/libtest.a $(LIBS)
	$(SAY) "$@"
	$(Q)$(CC) $(LD_$(VARIANT)) $(LDFLAGS) -o $@ $^ $(LDLIBS_)
fuzzers: $(patsubst tests/fuzz/%_fuzz.c,$(O)/fuzz-%,$(sort $(wildcard tests/fuzz/*_fuzz.c)))

mutants: ## faults put into the core on purpose, and who notices them: make mutants SECONDS=60
	@BUILD="$(BUILD)" scripts/mutants $(SECONDS_)

fuzz: ## libFuzzer on everything strangers can send: make fuzz SECONDS=60
	@BUILD="$(BUILD)" scripts/fuzz $(SECONDS_)

check: ## install what tests need, build with sanitizers, run everything
	@BUILD="$(BUILD)" scripts/check

demo: ## install what is missing, build, run the example job on a one-machine cluster
	@BUILD="$(BUILD)" scripts/demo

deps: ## install the packages that building needs
	@scripts/install-deps build

format: ## bring the lines that were changed since the last commit into form (SINCE=main: since that one)
	@command -v git-clang-format >/dev/null || { echo "make format: git-clang-format is missing (package clang-format)" >&2; exit 1; }
	git clang-format --force --extensions c,h $(or $(SINCE),HEAD)

docs: $(BUILD)/drover ## bring docs/ and etc/drover.conf up to date with the tables of commands, options and routes
	@mkdir -p docs
	@for page in $$($(BUILD)/drover docs | grep '\.md$$'); do $(BUILD)/drover docs $$page >docs/$$page || exit 1; done
	@$(BUILD)/drover docs drover.conf >etc/drover.conf

install: all ## install below DESTDIR and PREFIX
	@BUILD="$(BUILD)" DESTDIR="$(DESTDIR)" PREFIX="$(PREFIX)" scripts/install install

uninstall: ## remove what install installed; configuration and data stay
	@BUILD="$(BUILD)" DESTDIR="$(DESTDIR)" PREFIX="$(PREFIX)" scripts/install uninstall

deb rpm: all ## make a package of the distribution's kind in build/
	@BUILD="$(BUILD)" VERSION="$(VERSION)" packaging/package $@

clean: ## remove build/
	rm -rf $(BUILD)

-include $(shell find $(O) -name '*.d' 2>/dev/null)
