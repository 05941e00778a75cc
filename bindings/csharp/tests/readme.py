#!/usr/bin/env python3
"""Makes a program of the C# in a document, which runs each block and compares what it prints.

    readme.py DOCUMENT PROGRAM      writes PROGRAM, to be compiled with Rlua.dll

Each block is fenced with ```csharp. It is the body of a method that has a Lua of its own, `lua`,
and a class Texture; a block with a class in it stands beside the others, and is compiled alone. A
line that ends in `// text` after a Console.WriteLine says what that prints. The program ends with
`N passed, N failed`.
"""

import re
import sys
from pathlib import Path

HEAD = """using System;
using System.Collections.Generic;
using System.IO;
using System.Linq;
using System.Text;
using Rlua;

internal sealed class Texture
{
    internal int Width = 64;
    internal string Path;
    internal static readonly List<Texture> Freed = new List<Texture>();
    internal static Texture Load(string path) { return new Texture { Path = path }; }
    internal void Free() { Freed.Add(this); }
}
"""

MAIN = """
internal static class Document
{{
    private static int passed, failed;

    private static void Run(string name, Action<Lua> block, params string[] expected)
    {{
        TextWriter console = Console.Out;
        var printed = new StringWriter();
        string error = null;
        Console.SetOut(printed);
        try
        {{
            using (var lua = new Lua(memory: 1 << 20, snapshots: 20))
                block(lua);
        }}
        catch (Exception e) {{ error = e.ToString(); }}
        finally {{ Console.SetOut(console); }}
        string[] found = printed.ToString().Split(new[] {{ Environment.NewLine }},
                                                  StringSplitOptions.RemoveEmptyEntries);
        if (error == null && found.SequenceEqual(expected))
        {{
            passed++;
            return;
        }}
        failed++;
        Console.WriteLine("{{0}} printed {{1}}, not {{2}} {{3}}", name, string.Join("|", found),
                          string.Join("|", expected), error);
    }}

    private static int Main()
    {{
{runs}
        Console.WriteLine("{{0}} passed, {{1}} failed", passed, failed);
        return failed == 0 && passed > 0 ? 0 : 1;
    }}
{methods}
}}
"""


def quoted(text):
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def main(document, program):
    text = Path(document).read_text(encoding="utf-8")
    blocks = re.findall(r"^```csharp\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    if len(blocks) < 4:
        sys.exit(f"{document} has {len(blocks)} blocks of C#")
    beside, runs, methods = [], [], []
    for number, block in enumerate(blocks, 1):
        block = re.sub(r"^using [\w.]+;\n", "", block, flags=re.MULTILINE).strip("\n")
        if re.search(r"^(internal |public )?(sealed |static )*class ", block, re.MULTILINE):
            beside.append(block)
            continue
        expected = re.findall(r"Console\.WriteLine\(.*\);? +// (.*)$", block, re.MULTILINE)
        runs.append(f"        Run({quoted(f'block {number}')}, Block{number}"
                    + "".join(f", {quoted(each.strip())}" for each in expected) + ");")
        methods.append(f"\n    private static void Block{number}(Lua lua)\n    {{\n{block}\n    }}")
    code = HEAD + "\n".join(beside) + MAIN.format(runs="\n".join(runs), methods="\n".join(methods))
    Path(program).write_text(code, encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    main(*sys.argv[1:])
