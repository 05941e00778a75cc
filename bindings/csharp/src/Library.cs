// Library.cs: where librlua is: found and loaded before the first P/Invoke.
//
// The P/Invokes name the library by its SONAME. On .NET a resolver answers that name
// (NativeLibrary.SetDllImportResolver); Mono and Unity's Mono have none, but find a library that
// is in the process by its SONAME, so there it is loaded by its path first. The resolver is
// reached by reflection, since netstandard2.0 does not have it. On Windows that is the only way.

using System;
using System.Collections.Generic;
using System.IO;
using System.Reflection;
using System.Runtime.InteropServices;

namespace Rlua
{
    /// <summary>The native library of this process.</summary>
    public static class Library
    {
        private const int Now = 2, Global = 0x100;      // of dlopen, on Linux
        private static readonly object Gate = new object();
        private static string path;
        private static volatile string loaded;
        private static IntPtr handle;

        /// <summary>The file to load. Set it before the first Lua is made; by default the
        /// environment variable RLUA_LIBRARY tells, or the library lies beside this assembly, in
        /// runtimes/RID/native as packages have it, or where the system's loader looks. Later it
        /// is the file that was loaded.</summary>
        public static string Path
        {
            get { lock (Gate) return loaded ?? path; }
            set
            {
                lock (Gate)
                {
                    if (loaded != null)
                        throw new InvalidOperationException(
                            "Library.Path: " + loaded + " is loaded already; set it before the"
                            + " first Lua is made");
                    path = value;
                }
            }
        }

        /// <summary>The library's version, as "MAJOR.MINOR.PATCH (Lua 5.4.9)".</summary>
        public static string Version
        {
            get
            {
                Load();
                return Native.VersionText();
            }
        }

        /// <summary>Makes Lua's own functions visible in the process, for modules in C that scripts
        /// require. Another Lua in the process (a game engine's own) would then be served by
        /// this library too, so it is not done by itself. Linux.</summary>
        public static void EnableCModules()
        {
            Load();
            if (Open(loaded, Now | Global) == IntPtr.Zero)
                throw new DllNotFoundException("EnableCModules: " + loaded
                                               + " cannot be opened a second time");
        }

        /// <summary>Loads the library, once. Before any method that has P/Invokes in it is
        /// compiled: Mono looks them up then.</summary>
        internal static void Load()
        {
            if (loaded != null)
                return;
            lock (Gate)
            {
                if (loaded != null)
                    return;
                Type modern = typeof(object).Assembly.GetType(
                    "System.Runtime.InteropServices.NativeLibrary");
                var candidates = new List<string>(new HashSet<string>(Candidates()));
                foreach (string candidate in candidates)
                {
                    bool there = !System.IO.Path.IsPathRooted(candidate) || File.Exists(candidate);
                    if (there && (modern == null ? TryOpen(candidate)
                                                 : TryLoad(modern, candidate)))
                    {
                        if (modern != null)
                            SetResolver(modern);
                        loaded = candidate;
                        return;
                    }
                }
                throw new DllNotFoundException(
                    "librlua was not found, or cannot be loaded; tried "
                    + string.Join(", ", candidates) + ". Set Library.Path or the environment"
                    + " variable RLUA_LIBRARY to its path, or install it where the system's loader"
                    + " looks (ldconfig, LD_LIBRARY_PATH; on Windows PATH).");
            }
        }

        private static IEnumerable<string> Candidates()
        {
            string told = path ?? Environment.GetEnvironmentVariable("RLUA_LIBRARY");
            if (!string.IsNullOrEmpty(told))
            {
                yield return System.IO.Path.GetFullPath(told);
                yield break;
            }
            string[] names = Windows ? new[] { "rlua.dll" } : new[] { "librlua.so", Native.Name };
            string[] rids = Windows ? new[] { "win-x64" } : new[] { "linux-x64", "linux-arm64" };
            foreach (string folder in Folders())
            {
                // One for another machine cannot be loaded, so the next is tried.
                foreach (string rid in rids)
                    yield return System.IO.Path.Combine(folder, "runtimes", rid, "native",
                                                        names[0]);
                foreach (string name in names)
                    yield return System.IO.Path.Combine(folder, name);
            }
            foreach (string name in names)
                yield return name;
        }

        private static bool Windows
        {
            get { return Environment.OSVersion.Platform == PlatformID.Win32NT; }
        }

        private static IEnumerable<string> Folders()
        {
            string own = typeof(Library).Assembly.Location;
            if (!string.IsNullOrEmpty(own))     // a single-file program has none
            {
                string folder = System.IO.Path.GetDirectoryName(own);
                yield return folder;
                yield return System.IO.Path.GetFullPath(System.IO.Path.Combine(folder, "../.."));
            }
            yield return AppDomain.CurrentDomain.BaseDirectory;
        }

        // .NET

        private static bool TryLoad(Type modern, string candidate)
        {
            var arguments = new object[] { candidate, typeof(Library).Assembly, null, null };
            MethodInfo load = modern.GetMethod("TryLoad", new[] {
                typeof(string), typeof(Assembly), typeof(DllImportSearchPath?),
                typeof(IntPtr).MakeByRefType() });
            bool done = (bool)load.Invoke(null, arguments);
            if (done)
                handle = (IntPtr)arguments[3];
            return done;
        }

        private static void SetResolver(Type modern)
        {
            MethodInfo set = modern.GetMethod("SetDllImportResolver");
            MethodInfo resolve = typeof(Library).GetMethod(
                "Resolve", BindingFlags.NonPublic | BindingFlags.Static);
            Type kind = set.GetParameters()[1].ParameterType;
            set.Invoke(null, new object[] { typeof(Library).Assembly,
                                            Delegate.CreateDelegate(kind, resolve) });
        }

        private static IntPtr Resolve(string name, Assembly assembly, DllImportSearchPath? folders)
        {
            return name == Native.Name ? handle : IntPtr.Zero;
        }

        // Mono

        private static bool TryOpen(string file) { return Open(file, Now) != IntPtr.Zero; }

        private static IntPtr Open(string file, int flags)
        {
            byte[] name = Text.Terminated(file);
            try { return dlopen_libdl(name, flags); }
            catch (Exception e) when (e is DllNotFoundException || e is EntryPointNotFoundException)
            {
                return dlopen_libc(name, flags);
            }
        }

        [DllImport("libdl.so.2", EntryPoint = "dlopen")]
        private static extern IntPtr dlopen_libdl(byte[] path, int flags);
        [DllImport("libc.so.6", EntryPoint = "dlopen")]
        private static extern IntPtr dlopen_libc(byte[] path, int flags);
    }
}
