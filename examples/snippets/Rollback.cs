using System;
using Rlua;     // bindings/csharp

internal static class Rollback
{
    private static void Main()
    {
        using (var lua = new Lua(memory: 1 << 20, snapshots: 20))
        {
            lua.SetFunction("show", (int n) => Console.WriteLine(n));
            lua.Execute("n = 1; show(n)");
            lua.Snap();
            lua.Execute("n = 2; show(n)");
            lua.Rollback();
            Console.WriteLine(lua["n"]);    // 1 again
        }
    }
}
