# zig's C and C++ compiler, which brings what other platforms have of headers and libraries: a
# package of Python's, put into target/zig. For Makefile and macos/Makefile, which set TARGET.
ZIG := $(abspath $(TARGET))/zig/ziglang
export ZIG_GLOBAL_CACHE_DIR := $(abspath $(TARGET))/zig-cache
export ZIG_LOCAL_CACHE_DIR := $(ZIG_GLOBAL_CACHE_DIR)

$(ZIG)/zig:
	$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-deps --upgrade \
		--target $(TARGET)/zig ziglang==0.13.0

.PHONY: zig
zig: $(ZIG)/zig
