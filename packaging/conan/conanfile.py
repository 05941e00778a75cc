"""librlua for conan 2: `conan create packaging/conan`, with cargo, make and Python on the path.

It builds the sources that it lies in. The package has the shared library or, without the option
`shared`, the static one; conan makes the target rlua::rlua of it.
"""

import os
import re

from conan import ConanFile
from conan.errors import ConanInvalidConfiguration
from conan.tools.files import copy, rm, rmdir


class Rlua(ConanFile):
    name = "rlua"
    license = "MIT"
    description = "Lua 5.4 whose whole state can go back in time"
    settings = "os", "arch"
    package_type = "library"
    options = {"shared": [True, False]}
    default_options = {"shared": True}

    def _root(self):
        return os.path.dirname(os.path.dirname(self.recipe_folder))

    def set_version(self):
        with open(os.path.join(self._root(), "Cargo.toml"), encoding="utf-8") as file:
            self.version = re.search(r'^version = "(.*)"', file.read(), re.MULTILINE).group(1)

    def export_sources(self):
        for pattern in ["Cargo.*", "Makefile", "LICENSE", "build.rs", "tools/build/*", "src/*",
                        "vendor/*", "include/rlua.*", "include/rlua/*",
                        "include/lua.hpp", "packaging/*", "c-tests/Makefile", "c-tests/library.py",
                        "benches/*.rs", "tests/*.rs"]:
            copy(self, pattern, self._root(), self.export_sources_folder)

    def validate(self):
        if self.settings.os != "Linux":
            raise ConanInvalidConfiguration("librlua is for Linux, so far")

    def build(self):
        self.run("make", cwd=self.export_sources_folder)

    def package(self):
        self.run(f"make install-strip PREFIX='{self.package_folder}'",
                 cwd=self.export_sources_folder)
        copy(self, "*", os.path.join(self.package_folder, "share/doc/rlua"),
             os.path.join(self.package_folder, "licenses"))
        library = os.path.join(self.package_folder, "lib")
        rm(self, "librlua.a" if self.options.shared else "librlua.so*", library)
        # Conan writes its own of these, and each option's differ.
        for folder in ["share", "lib/cmake", "lib/pkgconfig"]:
            rmdir(self, os.path.join(self.package_folder, folder))

    def package_info(self):
        self.cpp_info.includedirs = ["include/rlua"]
        self.cpp_info.set_property("cmake_file_name", "rlua")
        self.cpp_info.set_property("cmake_target_name", "rlua::rlua")
        self.cpp_info.set_property("pkg_config_name", "rlua")
        self.cpp_info.libs = ["rlua"]
        if not self.options.shared:
            self.cpp_info.system_libs = ["util", "rt", "pthread", "m", "dl"]
