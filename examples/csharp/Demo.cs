// Demo.cs: an undo history: every command is a snapshot, undo is a rollback.

using System;
using System.Linq;
using Rlua;     // bindings/csharp

internal static class Demo
{
    private static int Main()
    {
        using (var lua = new Lua(memory: 1 << 20, snapshots: 16))
        {
            lua.Execute(@"
                local lines = {}
                function insert(text) lines[#lines + 1] = text end
                function shout() for i, line in ipairs(lines) do lines[i] = line:upper() end end
                function show() return table.concat(lines, ' ') end");
            var show = lua.Get<Func<string>>("show");
            Action<string> tell = what => Console.WriteLine("  {0,-14} [{1}]", what, show());
            var commands = new[] {
                new[] { "insert", "to" }, new[] { "insert", "be" }, new[] { "shout" },
            };
            foreach (string[] command in commands)
            {
                lua.Snap();
                lua.Call(command[0], command.Skip(1).ToArray<object>());
                tell(string.Join(" ", command));
            }
            foreach (long frame in lua.History.Reverse())
            {
                lua.RollbackTo(frame);
                tell("undo");
            }
            return show() == "" ? 0 : 1;
        }
    }
}
