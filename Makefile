# Builds and installs librlua as other C libraries are:
#
#   make                     build
#   make install             put it under PREFIX (/usr/local), below DESTDIR if that is given
#   make install-strip       the same without the tables that a debugger reads
#   make uninstall           take away what make install put there
#   make tool                build the program rlua (docs/TOOL.md): target/tool/release/rlua
#   make install-tool        put it into PREFIX/bin; uninstall-tool takes it away
#   make dist                a release archive with its checksum, in target/dist (packaging/dist.py)
#   make dist wheel          the same, and a package for Python with the archive's library
#   make nuget               a package for C# with the libraries of all archives that were made
#   make check               every test (make -C c-tests)
#   make site                the documents as a site, in target/site/html (mdbook, built once)
#   make playground          a game for two in this terminal (playground/README.md)
#
# LIBDIR and INCLUDEDIR are relative to PREFIX: `make install PREFIX=/usr LIBDIR=lib64`. What is
# installed may be moved. TARGET=aarch64-unknown-linux-gnu or x86_64-pc-windows-gnu makes what is
# for another platform (docs/INSTALL.md). Where cargo is not on the path (sudo), make install takes
# what was built.
#
# Not here: how the library is compiled (build.rs), where each file goes (packaging/install.py).

PREFIX := /usr/local
DESTDIR :=
LIBDIR := lib
INCLUDEDIR := include
CARGO ?= cargo
PYTHON ?= python3
STRIP ?= strip

TREE = --prefix '$(PREFIX)' --destdir '$(DESTDIR)' --libdir '$(LIBDIR)' --includedir '$(INCLUDEDIR)'
INSTALL = $(PYTHON) packaging/install.py

TOOL = target/tool/release/rlua
PLACE_OF_TOOL = '$(DESTDIR)$(PREFIX)/bin/rlua'

.PHONY: all install install-strip uninstall tool install-tool uninstall-tool dist \
  wheel nuget check site playground clean

all:
	@$(MAKE) --no-print-directory -C c-tests library
	@$(PYTHON) packaging/licences.py target/licences

BUILT := $(if $(shell command -v $(CARGO)),all)

install: $(BUILT)
	$(INSTALL) install $(TREE)

install-strip: $(BUILT)
	$(INSTALL) install $(TREE) --strip '$(STRIP)'

uninstall:
	$(INSTALL) uninstall $(TREE)

tool:
	$(CARGO) build --release --manifest-path tools/rlua/Cargo.toml --target-dir target/tool

install-tool: $(if $(shell command -v $(CARGO)),tool)
	install -D -m 755 $(TOOL) $(PLACE_OF_TOOL)

uninstall-tool:
	rm -f $(PLACE_OF_TOOL)

dist:
	$(PYTHON) packaging/dist.py target/dist $(TARGET)

wheel:
	$(PYTHON) packaging/packages.py wheel target/dist $(TARGET) $(TARGET_PYTHON)

nuget:
	$(PYTHON) packaging/packages.py nuget target/dist

check:
	$(MAKE) -C c-tests

site:
	@$(PYTHON) tools/site/site.py target/site

playground:
	@$(MAKE) --no-print-directory -C playground play

clean:
	$(CARGO) clean
	$(MAKE) -C c-tests clean
