# An overlay port: vcpkg install rlua --overlay-ports=packaging/vcpkg
#
# It builds the sources that it lies in (a port of a registry has vcpkg_from_git here), with the
# cargo that is on the path. cargo fetches crates, unless they were fetched before.
get_filename_component(SOURCE_PATH "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)

# The library is always optimized: one build serves both configurations.
set(VCPKG_BUILD_TYPE release)
set(VCPKG_POLICY_MISMATCHED_NUMBER_OF_BINARIES enabled)

vcpkg_cmake_configure(
    SOURCE_PATH "${SOURCE_PATH}"
    OPTIONS -DRLUA_CMAKEDIR=share/rlua)
vcpkg_cmake_install()
vcpkg_fixup_pkgconfig()
vcpkg_install_copyright(FILE_LIST "${SOURCE_PATH}/LICENSE"
    "${CURRENT_PACKAGES_DIR}/share/doc/rlua/THIRD-PARTY")
file(REMOVE_RECURSE "${CURRENT_PACKAGES_DIR}/share/doc")
