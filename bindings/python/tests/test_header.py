"""header: the package has what rlua.h declares, each public function or a reason, and a README
whose programs run.

Method: bindings/header.py reads the header's names and lets a C compiler tell their values;
the package's enumerations, dataclasses and the extension's layouts must be the same.
"""

import dataclasses
import re
import sys
import unittest
from pathlib import Path

import meters
import rlua
from rlua import _core, _declarations

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[2]
sys.path.insert(0, str(HERE.parents[1]))
from header import facts_of_header  # noqa: E402 pylint: disable=wrong-import-position

LEFT_OUT = {
    "rlua_new_rollback": "rlua_open does the same with every option",
    "rlua_snapshot_count": "rlua_info tells", "rlua_newest_frame": "rlua_info tells",
    "rlua_dostring": "State.execute loads and calls", "rlua_dofile": "State.load_file, and a call",
    "rlua_getglobal": "State.globals is a table", "rlua_setglobal": "State.globals is a table",
    "rlua_geti": "Table[key]: rlua_gettable", "rlua_seti": "Table[key] = value: rlua_settable",
    "rlua_pushinteger": "what lua.h has raises nothing", "rlua_pushnumber": "the same",
    "rlua_pushboolean": "the same", "rlua_pushnil": "the same", "rlua_pushvalue": "the same",
    "rlua_recover": "nothing unwinds through Lua's frames while the interpreter lives",
    "rlua_newuserdata": "Python's objects are resources",
    "rlua_concat": "a script's work", "rlua_compare": "lua_rawequal tells of one object",
    "rlua_arith": "a script's work", "rlua_getsubtable": "Table[key]",
    "rlua_newmetatable": "Table.metatable", "rlua_getmetatable": "Table.metatable",
    "rlua_setmetatable": "Table.metatable", "rlua_testudata": "Userdata is opaque",
    "rlua_settop": "nothing on the stack is to be closed", "rlua_toclose": "the same",
    "rlua_closeslot": "the same",
    "rlua_alloc": "Python has no use for raw memory",
    "rlua_touch": "it goes with rlua_alloc", "rlua_realloc": "the same",
    "rlua_free": "the same",
    "rlua_save_buffer": "rlua_save",
    "rlua_load": "rlua_load_buffer",
    "rlua_clone": "its threads would lead to the State that was cloned; State.clone loads a save",
}


class Readme(unittest.TestCase):
    def test_blocks_run_and_print_what_they_say(self):
        class Texture:
            def __init__(self, path):
                self.path = path

            def width(self):
                return 64

        text = (HERE.parent / "README.md").read_text(encoding="utf-8")
        blocks = re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
        self.assertGreaterEqual(len(blocks), 4)
        for block in blocks:
            printed = []
            with rlua.State(memory=1 << 20, snapshots=4) as lua:
                names = {"rlua": rlua, "lua": lua, "Texture": Texture, "print": printed.append,
                         "close_texture": lambda texture: None, "library": meters.METER}
                exec(block, names)      # pylint: disable=exec-used
                lua.close()
            self.assertEqual([str(each) for each in printed],
                             re.findall(r"print\(.*\) +# (\S+)", block))
            self.assertTrue(printed)


class Package(unittest.TestCase):
    def test_versions_agree(self):
        self.assertEqual(_declarations.HEADER_VERSION, rlua.__version__)

    def test_every_failure_has_a_class_and_every_class_a_failure(self):
        from rlua._errors import FAILURES
        self.assertEqual(set(rlua.Status) - set(FAILURES), {rlua.Status.OK, rlua.Status.YIELD})
        for status, kind in FAILURES.items():
            self.assertTrue(issubclass(kind, rlua.Error))
            self.assertTrue(_core.strerror(status))


@unittest.skipIf(sys.platform == "win32", "no C compiler of Windows is at hand")
class Header(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.facts = facts_of_header()
        cls.text = (ROOT / "include/rlua.h").read_text(encoding="utf-8")

    def test_enumerations_are_the_header_s(self):
        found = {}
        for prefix, kind in (("", rlua.Status), ("TRACKER_", rlua.Tracker),
                             ("GUARD_", rlua.Guard), ("PROFILE_", rlua.Profile),
                             ("TRUST_", rlua.Trust), ("DIFF_KIND_", rlua.DiffKind),
                             ("LIB_", rlua.Libs)):
            found.update({f"RLUA_{prefix}{name}": str(int(value))
                          for name, value in kind.__members__.items()})
        others = {"RLUA_RAISE", "RLUA_ERRBUDGET", "RLUA_NO_BUDGET", "RLUA_TRACEBACK",
                  "RLUA_VERSION_MAJOR", "RLUA_VERSION_MINOR", "RLUA_VERSION_PATCH",
                  "RLUA_SYNC_PATH", "RLUA_SYNC_VALUE"}
        expected = {name: value for name, value in self.facts.items()
                    if re.fullmatch(r"RLUA_\w+", name) and name not in others}
        self.assertEqual(found, expected)
        self.assertEqual(_declarations.NO_BUDGET % 2**64, int(self.facts["RLUA_NO_BUDGET"]) % 2**64)

    def test_layouts_are_the_header_s(self):
        found = {}
        for name, value in _core.layout.items():
            found[name if "." in name else f"sizeof({name})"] = \
                "+".join(map(str, value)) if isinstance(value, tuple) else str(value)
        expected = {name: value for name, value in self.facts.items()
                    if "." in name or name.startswith("sizeof")}
        self.assertEqual(found, expected)

    def test_dataclasses_have_every_field(self):
        for kind in (rlua.Config, rlua.Info):
            fields = [field.name for field in dataclasses.fields(kind)]
            expected = [name.split(".")[1] for name in self.facts
                        if name.startswith(f"rlua_{kind.__name__}.")]
            self.assertEqual(fields, [name for name in expected
                                      if name not in ("size", "reserved", "names", "types")])

    def test_every_public_function_is_used_or_left_out_with_a_reason(self):
        public = {name[:-2] for name in self.facts if name.endswith("()")}
        files = (HERE.parent / "src").iterdir()
        source = "".join(path.read_text(encoding="utf-8") for path in files)
        used = set(re.findall(r"\brlua_[a-z0-9_]+(?=\()|(?<=\()rlua_version\b", source))
        reasons = {name for name, reason in LEFT_OUT.items() if reason}
        self.assertEqual(used & reasons, set())
        self.assertEqual((public - used) ^ reasons, set())

    def test_only_functions_that_cannot_raise_are_called(self):
        objects_h = (ROOT / "src/lua/objects.h").read_text(encoding="utf-8")
        listed = set(re.findall(r"\blua_[a-z]+\b", objects_h.split("*/")[0]))
        listed -= {"lua_tolstring"}
        # The manual's entries of these say `-`; lua_error is the one raise; a string
        # is read, not converted, by lua_tolstring; lua_close is the end.
        listed |= {"lua_pushnil", "lua_pushboolean", "lua_pushinteger", "lua_pushnumber",
                   "lua_pushvalue", "lua_pushcfunction", "lua_settop", "lua_getstack",
                   "lua_getextraspace", "lua_upvalueindex", "lua_close", "lua_error",
                   "lua_tolstring"}
        for path in (HERE.parent / "src").iterdir():
            for name in re.findall(r"\b(luaL?_[a-z]+)\(", path.read_text(encoding="utf-8")):
                with self.subTest(f"{path.name}: {name}"):
                    self.assertTrue(name in listed or re.match("lua_(is|to)", name))


if __name__ == "__main__":
    unittest.main()
