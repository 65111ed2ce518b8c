# SPDX-License-Identifier: Apache-2.0
# tcptrail: one file, no recursion, no configure. `make help` lists what it does.
# V=1 shows the commands; SAN=1 builds with ASan and UBSan into build-san/.

MAKEFLAGS += --no-builtin-rules
.DELETE_ON_ERROR:
.SUFFIXES:

VERSION  := 0.1.0
PREFIX   ?= /usr/local
DESTDIR  ?=
CC       := gcc
CLANG    ?= clang
BPFTOOL  ?= $(or $(shell PATH=$$PATH:/usr/sbin:/sbin command -v bpftool 2>/dev/null),bpftool)
BUILD    ?= build$(if $(SAN),-san)
Q        := $(if $(V),,@)
say       = $(if $(V),,@printf '  %-7s %s\n' $(1) $(2);)

ARCH     := $(shell uname -m | sed 's/x86_64/x86/; s/aarch64/arm64/; s/ppc64le/powerpc/; s/riscv64/riscv/')
MULTIARCH:= $(shell $(CC) -print-multiarch)

WARN     := -Wall -Wextra -Wno-unused-parameter -Wshadow -Wstrict-prototypes -Wmissing-prototypes \
            -Wformat=2 -Wvla $(if $(WERROR),-Werror)
HARDEN   := -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE
CFLAGS   ?= -O2 -g
comma    := ,
SANFLAGS := $(if $(SAN),-fsanitize=address$(comma)undefined -fno-omit-frame-pointer -fno-sanitize-recover=undefined -U_FORTIFY_SOURCE)
ALL_CFLAGS := -std=gnu11 $(CPPFLAGS) $(CFLAGS) $(WARN) $(HARDEN) $(SANFLAGS) -D_GNU_SOURCE \
              -DTCPTRAIL_VERSION='"$(VERSION)"' -Iinclude -Iuser -Iuser/core -I$(BUILD)
LDFLAGS_ALL := -pie -Wl,-z,relro,-z,now $(SANFLAGS) $(LDFLAGS)
LIBS     := -lncursesw -lmicrohttpd -lpcap -lbpf -lelf -lz -lzstd -lcap-ng -lseccomp -lmd
BPFFLAGS := -target bpf -D__bpf__ -D__TARGET_ARCH_$(ARCH) -g -O2 -mcpu=v3 -Wall -Wextra -Wno-unused-parameter \
            $(if $(WERROR),-Werror) -ffile-prefix-map=$(CURDIR)=. -Iinclude -Ibpf -idirafter /usr/include/$(MULTIARCH)

CORE_SRC := $(wildcard user/core/*/*.c)
APP_SRC  := $(wildcard user/*.c user/source/*.c user/output/*.c user/serve/*.c user/top/*.c)
BPF_SRC  := $(wildcard bpf/*.bpf.c)
UNIT_SRC := $(wildcard tests/unit/test_*.c)

CORE_OBJ := $(CORE_SRC:%.c=$(BUILD)/%.o)
APP_OBJ  := $(APP_SRC:%.c=$(BUILD)/%.o)
BPF_OBJ  := $(BPF_SRC:%.c=$(BUILD)/%.o)
UNIT_BIN := $(UNIT_SRC:tests/unit/%.c=$(BUILD)/tests/%)
SKEL     := $(BUILD)/tracer.skel.h

.PHONY: all
all: $(BUILD)/tcptrail ## build build/tcptrail

$(BUILD)/tcptrail: $(APP_OBJ) $(BUILD)/core.a
	$(call say,LINK,$@)
	$(Q)$(CC) $(LDFLAGS_ALL) -o $@ $(APP_OBJ) $(BUILD)/core.a $(LIBS)

$(BUILD)/core.a: $(CORE_OBJ)
	$(call say,AR,$@)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/user/%.o: user/%.c Makefile
	$(call say,CC,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# The page lies in the program.
$(BUILD)/user/serve/page.o: $(wildcard user/serve/page/*)

# Only what includes the skeleton waits for it.
$(patsubst %.c,$(BUILD)/%.o,$(shell grep -l 'tracer.skel.h' user/*.c user/*/*.c 2>/dev/null)): $(SKEL)

$(BUILD)/bpf/%.bpf.o: bpf/%.bpf.c Makefile
	$(call say,BPF,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPFFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/tracer.o: $(BPF_OBJ)
	$(call say,BPFLINK,$@)
	$(Q)$(BPFTOOL) gen object $@ $^

$(SKEL): $(BUILD)/tracer.o
	$(call say,SKEL,$@)
	$(Q)$(BPFTOOL) gen skeleton $< name tracer >$@

# ---- tests -------------------------------------------------------------------

$(BUILD)/tests/test_%: tests/unit/test_%.c $(BUILD)/core.a Makefile
	$(call say,UNIT,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -MF $@.d -o $@ $< $(BUILD)/core.a -lcmocka -lmd

.PHONY: unit
unit: $(UNIT_BIN) ## run the unit tests of the core
	$(Q)set -e; for t in $(UNIT_BIN); do $$t; done

# Golden timelines are captured from real runs: the live source with pipeline_feed() wrapped.
$(BUILD)/tests/capture: tests/golden/capture.c $(filter-out $(BUILD)/user/main.o,$(APP_OBJ)) $(BUILD)/core.a Makefile
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) $(LDFLAGS_ALL) -Wl,--wrap=pipeline_feed -MMD -MP -MF $@.d -o $@ $< \
		$(filter-out $(BUILD)/user/main.o,$(APP_OBJ)) $(BUILD)/core.a $(LIBS)

# Test programs carry no dependency and link static, so that they also run in a bare VM.
SCEN_SRC := $(wildcard tests/scenario/*.c)
$(BUILD)/tests/scenario: $(SCEN_SRC) $(wildcard tests/scenario/*.h) Makefile
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 $(CFLAGS) $(WARN) -D_GNU_SOURCE -static -o $@ $(SCEN_SRC)

$(BUILD)/tests/churn: tests/bench/churn.c Makefile
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 $(CFLAGS) $(WARN) -D_GNU_SOURCE -static -pthread -o $@ $<

HUNT_SRC := $(wildcard tests/kernel/hunting/*.c)
$(BUILD)/tests/hunt_flows: $(HUNT_SRC) tests/kernel/hunting/flows.h Makefile
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 $(CFLAGS) $(WARN) -D_GNU_SOURCE -static -o $@ $(HUNT_SRC)

# With frame pointers, as --stack likes programs best; not static, for a library's symbols are asked too.
$(BUILD)/tests/calls: tests/kernel/calls.c Makefile
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -O2 $(WARN) -D_GNU_SOURCE -fno-omit-frame-pointer -pthread -o $@ $<

$(BUILD)/tests/engine: tests/bench/engine.c tests/bench/stream.h $(BUILD)/user/source/zframe.o $(BUILD)/core.a Makefile
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -o $@ $< $(BUILD)/user/source/zframe.o $(BUILD)/core.a -lzstd -lmd

$(BUILD)/bench/empty.bpf.o: tests/bench/empty.bpf.c Makefile
	$(call say,BPF,$<)
	$(Q)mkdir -p $(@D)
	$(Q)$(CLANG) $(BPFFLAGS) -c -o $@ $<

$(BUILD)/bench/empty.skel.h: $(BUILD)/bench/empty.bpf.o
	$(Q)$(BPFTOOL) gen skeleton $< name empty >$@

$(BUILD)/tests/empty: tests/bench/empty.c $(BUILD)/bench/empty.skel.h Makefile
	$(call say,LINK,$@)
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 $(CFLAGS) $(WARN) -D_GNU_SOURCE -I$(BUILD)/bench -o $@ $< -lbpf -lelf -lz

# One static program for every kernel (and every libc).
STATIC_BUILD := build-static
STATIC_GOALS := all $(STATIC_BUILD)/tests/scenario
.PHONY: static
static: ## build build-static/tcptrail, one static program for any host
	$(Q)$(MAKE) --no-print-directory BUILD=$(STATIC_BUILD) HARDEN='-fstack-protector-strong -D_FORTIFY_SOURCE=2 -DTCPTRAIL_NO_TLS' \
		LDFLAGS_ALL='-static -Wl,-z,relro -Wl,-Map=$(STATIC_BUILD)/tcptrail.map' LIBS='-lncursesw -ltinfo -lmicrohttpd -lpthread -lpcap -lbpf -lelf -lz -lzstd -lcap-ng -lseccomp -lmd' $(STATIC_GOALS)

# ---- what people type -----------------------------------------------------------

SUITES = tests/suites.sh

.PHONY: deps
deps: ## install what building and testing need (Debian 12, root)
	$(Q)tests/deps.sh --build --test

.PHONY: run
run: ## install what is missing, build, and watch this host's live connections
	$(Q)tests/deps.sh --build
	$(Q)$(MAKE) --no-print-directory all
	$(Q)exec $(BUILD)/tcptrail $(ARGS)

.PHONY: test
test: ## install what is missing and run every test that this host can run (root)
	$(Q)tests/deps.sh --build --test
	$(Q)$(MAKE) --no-print-directory all tests
	$(Q)$(SUITES) $(BUILD) unit schema cli kernel crosscheck ledger sweep apart stuck stack replay live_replay captures serve top fleet faults security packages soak

.PHONY: tests
tests: $(UNIT_BIN) $(BUILD)/tests/scenario $(BUILD)/tests/churn $(BUILD)/tests/calls

.PHONY: check
check: all $(UNIT_BIN) ## unit tests, golden timelines and lint; needs no root
	$(Q)$(SUITES) $(BUILD) unit schema replay lint

.PHONY: docs
docs: all ## make docs/json.md, the table, the mapping and docs/fleet.md's sizes
	$(Q)PYTHONDONTWRITEBYTECODE=1 python3 tools/schema_docs.py
	$(Q)PYTHONDONTWRITEBYTECODE=1 python3 tools/fleet_size.py --tcptrail $(BUILD)/tcptrail

.PHONY: test-vm
test-vm: static ## run the scenario suite on packaged kernels in QEMU (KERNELS="6.12 7.2", MODE=full)
	$(Q)tests/vm/run.sh $(foreach k,$(or $(KERNELS),6.12),--kernel $(k)) --mode $(or $(MODE),full) $(VM_ARGS)

.PHONY: soak
soak: all tests ## churn for SECONDS (3600) at RATE connections a second (500), in a namespace of its own (root)
	$(Q)unshare -n sh -c 'ip link set lo up && exec "$$0" "$$@"' tests/kernel/soak.py --tcptrail $(BUILD)/tcptrail \
		--churn $(BUILD)/tests/churn --seconds $(or $(SECONDS),3600) --rate $(or $(RATE),500)

.PHONY: hunt
hunt: all $(BUILD)/tests/hunt_flows ## random connections against the wire, their makers and the capture's reader (SEEDS=1-5 COUNT=100; root)
	$(Q)tests/kernel/hunt.py --tcptrail $(BUILD)/tcptrail --flows $(BUILD)/tests/hunt_flows \
		--seeds $(or $(SEEDS),1-5) --count $(or $(COUNT),100)

.PHONY: soak-vm
soak-vm: static ## an hour of bursts in QEMU with virtual time, in minutes (KERNELS=6.12, MODE=full)
	$(Q)tests/vm/soak.sh $(foreach k,$(or $(KERNELS),6.12),--kernel $(k)) --mode $(or $(MODE),full) $(VM_ARGS)

.PHONY: fuzz
fuzz: ## run each libFuzzer target for FUZZ_SECONDS (12)
	$(Q)tests/fuzz/run.sh $(BUILD) $(or $(FUZZ_SECONDS),12)

.PHONY: bench
bench: all $(BUILD)/tests/churn $(BUILD)/tests/empty $(BUILD)/tests/engine ## measure the cost beside other tracers, the engine, and the views beside other tools (root)
	$(Q)tests/deps.sh --build --test
	$(Q)tests/bench/targets.py --build $(BUILD)
	$(Q)tests/bench/bench.py --build $(BUILD)

.PHONY: demo
demo: all $(BUILD)/tests/scenario ## make a handful of real connections and show what tcptrail says of them (root)
	$(Q)tests/demo/demo.sh $(BUILD)

# ---- installing and packaging ------------------------------------------------------

SBINDIR    ?= $(PREFIX)/sbin
DATADIR    ?= $(PREFIX)/share
SYSCONFDIR ?= /etc
UNITDIR    ?= $(PREFIX)/lib/systemd/system
DOCDIR     ?= $(DATADIR)/doc/tcptrail
BASHCOMPDIR?= $(DATADIR)/bash-completion/completions
ZSHCOMPDIR ?= $(DATADIR)/zsh/site-functions
DOCS       ?= README.md CHANGELOG.md LICENSE $(wildcard docs/*.md docs/*.png)

# Mode (conf: 0644, and a changed one stays), source, place, a line each: install puts them
# there, uninstall removes them.
define INSTALLED
0755 $(BUILD)/tcptrail $(SBINDIR)/tcptrail
0644 man/tcptrail.8 $(DATADIR)/man/man8/tcptrail.8
0644 $(BUILD)/completion/tcptrail.bash $(BASHCOMPDIR)/tcptrail
0644 $(BUILD)/completion/_tcptrail $(ZSHCOMPDIR)/_tcptrail
0644 $(BUILD)/tcptrail.service $(UNITDIR)/tcptrail.service
conf packaging/tcptrail.default $(SYSCONFDIR)/default/tcptrail
$(foreach f,$(wildcard schemas/*.json),0644 $(f) $(DATADIR)/tcptrail/$(notdir $(f))
)$(foreach f,$(filter-out %_test.yml,$(wildcard dashboards/*)),0644 $(f) $(DATADIR)/tcptrail/$(f)
)$(foreach f,$(wildcard packaging/fleet/*.*),0644 $(f) $(DATADIR)/tcptrail/fleet/$(notdir $(f))
)$(foreach f,$(DOCS),0644 $(f) $(DOCDIR)/$(f)
)
endef
export INSTALLED

$(BUILD)/completion/tcptrail.bash $(BUILD)/completion/_tcptrail: $(BUILD)/tcptrail $(wildcard packaging/completion* packaging/completion/*)
	$(call say,COMPL,$@)
	$(Q)mkdir -p $(@D)
	$(Q)packaging/completion.sh $< $(if $(filter %.bash,$@),bash,zsh) >$@

# It names the places of this install.
.PHONY: unit-file
unit-file: | $(BUILD)/tcptrail
	$(Q)sed -e 's|/usr/sbin/|$(SBINDIR)/|' -e 's|/etc/default/|$(SYSCONFDIR)/default/|' packaging/tcptrail.service >$(BUILD)/tcptrail.service

.PHONY: install
install: all unit-file $(BUILD)/completion/tcptrail.bash $(BUILD)/completion/_tcptrail ## install to DESTDIR PREFIX (default /usr/local)
	$(Q)packaging/install.sh install '$(DESTDIR)'

.PHONY: uninstall
uninstall: ## remove what install put there (give the same DESTDIR and PREFIX)
	$(Q)packaging/install.sh uninstall '$(DESTDIR)'

.PHONY: deb
deb: ## build the Debian package: build/deb/*.deb
	$(Q)tests/deps.sh --build --package
	$(Q)packaging/deb.sh $(VERSION) $(BUILD)/deb

.PHONY: tarball
tarball: ## build the static tarball: build/tarball/*.tar.gz, the same bytes each time
	$(Q)tests/deps.sh --build --package
	$(Q)packaging/tarball.sh $(VERSION) $(BUILD)/tarball

.PHONY: clean
clean: ## remove what was built
	$(Q)rm -rf build build-san build-static

.PHONY: help
help: ## this list
	@awk -F':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

-include $(CORE_OBJ:.o=.d) $(APP_OBJ:.o=.d) $(BPF_OBJ:.o=.d) $(UNIT_BIN:=.d) $(BUILD)/tests/capture.d
