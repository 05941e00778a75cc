// Images.cs: the state leaves the process, and comes back; where two states differ.
//
// What lies outside has a name in an image: a function of the host that of SetFunction, one of C
// that of NameFunction, a pointer that of NamePointer. Who loads it says what the names stand for.
// What the binding itself keeps in a VM, the handler and the table of anonymous functions, is made
// in the same steps in each, and so has the same references in all.
//
// Not here: objects of the host, and clones (Objects.cs).

using System;
using System.Collections.Generic;
using System.IO;
using System.Runtime.CompilerServices;
using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;

namespace Rlua
{
    public sealed partial class Config
    {
        /// <summary>32 bytes, a secret of those who exchange images, or null. Images that the Lua
        /// saves carry a hash that only who has the key can make.</summary>
        public byte[] ImageKey { get; set; }

        internal Config Copy() { return (Config)MemberwiseClone(); }

        internal byte[] CheckedKey()
        {
            const int length = 32;
            if (ImageKey != null && ImageKey.Length != length)
                throw new ArgumentException("an ImageKey has 32 bytes, and this one has "
                                            + ImageKey.Length);
            return ImageKey;
        }
    }

    /// <summary>One place where two states differ.</summary>
    public sealed class Difference
    {
        internal Difference(DiffKind kind, string path, string a, string b)
        {
            Kind = kind;
            Path = path;
            A = a;
            B = b;
        }

        /// <summary>What kind of difference it is.</summary>
        public DiffKind Kind { get; private set; }
        /// <summary>The way to it, as Lua would write it.</summary>
        public string Path { get; private set; }
        /// <summary>What the first state has there.</summary>
        public string A { get; private set; }
        /// <summary>What the second one has.</summary>
        public string B { get; private set; }
        /// <summary>All of it on a line.</summary>
        public override string ToString() { return Path + ": " + A + " -> " + B; }
    }

    public sealed unsafe partial class Lua
    {
        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        private delegate int WriteEntry(IntPtr ud, IntPtr bytes, UIntPtr length);
        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        private delegate UIntPtr ReadEntry(IntPtr ud, IntPtr bytes, UIntPtr length);

        private static readonly WriteEntry OnWrite = WriteImage;
        private static readonly ReadEntry OnRead = ReadImage;
        private static readonly IntPtr WritePointer =
            Marshal.GetFunctionPointerForDelegate(OnWrite);
        private static readonly IntPtr ReadPointer = Marshal.GetFunctionPointerForDelegate(OnRead);

        /// <summary>The stream of the save or load that this thread is in.</summary>
        private sealed class Transfer
        {
            [ThreadStatic] internal static Transfer Current;

            internal readonly Stream Stream;
            internal readonly byte[] Buffer = new byte[65536];
            internal Exception Failure;

            internal Transfer(Stream stream) { Stream = stream; }

            /// <summary>What the stream threw is worth more than what the library makes of it.
            /// </summary>
            internal void Throw()
            {
                if (Failure != null)
                    ExceptionDispatchInfo.Capture(Failure).Throw();
            }
        }

        // Saving

        /// <summary>The whole state, for this process or another: Load.</summary>
        /// <exception cref="RluaException">Unsavable: something has no name, or is an anonymous
        /// function, or a resource whose type has no `save`; the sentence says what and where.
        /// Stream: a `save` failed, by the InnerException.</exception>
        public byte[] Save()
        {
            using (var stream = new MemoryStream())
            {
                Save(stream);
                return stream.ToArray();
            }
        }

        /// <summary>Writes the whole state. What the stream throws comes out.</summary>
        public void Save(Stream target)
        {
            Write("Save", target, (lua, L) =>
            {
                ForgetSlots(L);
                return Native.rlua_save(L, WritePointer, IntPtr.Zero);
            });
        }

        /// <summary>How many bytes Save would write now, for who needs a size ahead.</summary>
        /// <exception cref="RluaException">As Save.</exception>
        public long SaveBound()
        {
            UIntPtr length;
            IntPtr L = EnterIdle("SaveBound");
            try
            {
                ForgetSlots(L);
                Blame(L, Native.rlua_save_bound(L, &length));
            }
            finally { Leave(); }
            return (long)length;
        }

        /// <summary>Writes the state of a snapshot that is held.</summary>
        /// <exception cref="RluaException">As Save; NoSnapshot.</exception>
        public void SaveSnapshot(long frame, Stream target)
        {
            Write("SaveSnapshot", target, (lua, L) =>
                Native.rlua_save_snapshot(L, frame, WritePointer, IntPtr.Zero));
        }

        /// <summary>Writes what leads from one held snapshot to another: who has the first, by
        /// Load of its SaveSnapshot, gets the second by ApplyDelta.</summary>
        /// <exception cref="RluaException">As Save; NoSnapshot.</exception>
        public void SaveDelta(long fromFrame, long toFrame, Stream target)
        {
            Write("SaveDelta", target, (lua, L) =>
                Native.rlua_save_delta(L, fromFrame, toFrame, WritePointer, IntPtr.Zero));
        }

        private void Write(string what, Stream target, Func<Lua, IntPtr, Status> save)
        {
            Required(target, "target");
            IntPtr L = EnterIdle(what);
            Transfer outer = Transfer.Current, transfer = new Transfer(target);
            Transfer.Current = transfer;
            try
            {
                Status status = save(this, L);
                transfer.Throw();
                Blame(L, status);
            }
            finally
            {
                Transfer.Current = outer;
                Leave();
            }
        }

        /// <summary>What calls of the host left above the top of the main stack is in an image:
        /// Luas that are the same else would differ by it.</summary>
        private static void ForgetSlots(IntPtr L)
        {
            const int used = 30;        // a stack has room for them without growing
            Reserve(L, used);
            for (int i = 0; i < used; i++)
                Native.lua_pushnil(L);
            Native.lua_settop(L, Bottom);
        }

        [MonoPInvokeCallback(typeof(WriteEntry))]
        private static int WriteImage(IntPtr ud, IntPtr bytes, UIntPtr length)
        {
            Transfer transfer = Transfer.Current;
            try
            {
                for (long left = (long)length, at = 0; left > 0;)
                {
                    int part = (int)Math.Min(left, transfer.Buffer.Length);
                    Marshal.Copy((IntPtr)((byte*)bytes + at), transfer.Buffer, 0, part);
                    transfer.Stream.Write(transfer.Buffer, 0, part);
                    at += part;
                    left -= part;
                }
                return 0;
            }
            catch (Exception e)
            {
                transfer.Failure = e;
                return 1;
            }
        }

        /// <summary>128 bits that stand for the state, as 32 hexadecimal digits: the same for the
        /// same state on every machine, whatever was rolled back before.</summary>
        public string Checksum()
        {
            RawChecksum sum;
            IntPtr L = EnterIdle("Checksum");
            try
            {
                ForgetSlots(L);
                Plain(L, Native.rlua_checksum(L, &sum));
            }
            finally { Leave(); }
            return Digits(ref sum);
        }

        internal static string Digits(ref RawChecksum sum)
        {
            var digits = new char[2 * sizeof(RawChecksum)];
            fixed (byte* bytes = sum.Bytes)
                for (int i = 0; i < digits.Length; i++)
                    digits[i] = "0123456789abcdef"[bytes[i / 2] >> (i % 2 == 0 ? 4 : 0) & 15];
            return new string(digits);
        }

        // Differences

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        private delegate int DifferenceEntry(IntPtr ud, RawDifference* difference);

        private static readonly DifferenceEntry OnDifference = NoteDifference;
        private static readonly IntPtr DifferencePointer =
            Marshal.GetFunctionPointerForDelegate(OnDifference);
        [ThreadStatic] private static List<Difference> differences;

        /// <summary>Where this state and another's differ, by the shortest way to each place.
        /// Nothing changes in either.</summary>
        /// <param name="other">Another Lua of this thread.</param>
        /// <param name="most">How many are looked for; 0 for 1000.</param>
        public IList<Difference> Diff(Lua other, int most = 0)
        {
            if (ReferenceEquals(Required(other, "other"), this))
                throw new ArgumentException("both are one Lua");
            if (most < 0)
                throw new ArgumentOutOfRangeException("most");
            var found = new List<Difference>();
            IntPtr L = EnterIdle("Diff");
            try
            {
                IntPtr otherL = other.EnterIdle("Diff");
                try
                {
                    differences = found;
                    Plain(L, Native.rlua_diff_vms(L, otherL, (UIntPtr)(uint)most,
                                                  DifferencePointer, IntPtr.Zero));
                }
                finally
                {
                    differences = null;
                    other.Leave();
                }
            }
            finally { Leave(); }
            return found;
        }

        /// <summary>Where the states of two images differ. No code in them is run.</summary>
        /// <param name="a">What Save has written.</param>
        /// <param name="b">The same.</param>
        /// <param name="config">Its ImageKey counts, where the images have one; its MemorySize,
        /// where they may be hostile.</param>
        /// <param name="functions">The names of SetFunction and of NameFunction in them.</param>
        /// <param name="pointers">The names of NamePointer in them.</param>
        /// <param name="most">How many are looked for; 0 for 1000.</param>
        /// <param name="types">The types whose handles are in them; nothing is loaded.</param>
        /// <exception cref="RluaException">BadImage; Unsavable: a name is missing.</exception>
        public static IList<Difference> Diff(byte[] a, byte[] b, Config config = null,
                                             IEnumerable<string> functions = null,
                                             IEnumerable<string> pointers = null, int most = 0,
                                             IEnumerable<ObjectType> types = null)
        {
            Required(a, "a");
            Required(b, "b");
            if (most < 0)
                throw new ArgumentOutOfRangeException("most");
            Library.Load();
            var all = new List<string>(functions ?? new string[0]);
            foreach (ObjectType type in types ?? new ObjectType[0])
                all.AddRange(Required(type, "types").MethodNames());
            return DiffLoaded(a, b, config ?? new Config(), all, pointers ?? new string[0], most);
        }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private static IList<Difference> DiffLoaded(byte[] a, byte[] b, Config config,
                                                    IEnumerable<string> functions,
                                                    IEnumerable<string> pointers, int most)
        {
            long each = 1L << 32;           // pointers that are told apart, and never used
            var empty = new byte[1];        // `fixed` makes a null of an array without bytes
            var names = new NameList();
            var found = new List<Difference>();
            try
            {
                names.Add(CellName, IntPtr.Zero, (IntPtr)each++);
                names.Add(HandlerName, HandlerPointer, IntPtr.Zero);
                foreach (string name in functions)
                {
                    names.Add(name, CallPointer, (IntPtr)each++);
                    names.AddFunction(name, (IntPtr)each++);
                }
                foreach (string name in pointers)
                    names.Add(name, IntPtr.Zero, (IntPtr)each++);
                RawConfig raw = config.Raw();
                differences = found;
                fixed (RawName* list = names.Terminated())
                fixed (byte* key = config.CheckedKey(), first = a.Length > 0 ? a : empty,
                       second = b.Length > 0 ? b : empty)
                {
                    raw.ImageKey = key;
                    raw.Names = list;
                    Plain(IntPtr.Zero, Native.rlua_diff(
                        &raw, (IntPtr)first, (UIntPtr)(uint)a.Length, (IntPtr)second,
                        (UIntPtr)(uint)b.Length, (UIntPtr)(uint)most, DifferencePointer,
                        IntPtr.Zero));
                }
            }
            finally
            {
                differences = null;
                names.Free();
            }
            return found;
        }

        [MonoPInvokeCallback(typeof(DifferenceEntry))]
        private static int NoteDifference(IntPtr ud, RawDifference* difference)
        {
            differences.Add(new Difference((DiffKind)difference->Kind, Text.FromC(difference->Path),
                                           Text.FromC(difference->A), Text.FromC(difference->B)));
            return 0;
        }

        // Loading

        /// <summary>Makes a Lua from an image.</summary>
        /// <param name="image">What Save has written.</param>
        /// <param name="config">MemorySize bounds the image's own limit; MaxSnapshots, Tracker,
        /// Trust and ImageKey count, the rest is the image's. By default only images with a key
        /// are taken: Trust says whose else.</param>
        /// <param name="functions">What the names of SetFunction stand for.</param>
        /// <param name="pointers">What the names of NamePointer stand for.</param>
        /// <param name="types">The types whose objects may be in it.</param>
        /// <param name="cFunctions">What the names of NameFunction stand for.</param>
        /// <exception cref="RluaException">BadImage, Untrusted, Unsavable: a name or a type is
        /// missing; Stream: a type's `load` failed, by the InnerException.</exception>
        public static Lua Load(byte[] image, Config config = null,
                               IDictionary<string, Delegate> functions = null,
                               IDictionary<string, IntPtr> pointers = null,
                               IEnumerable<ObjectType> types = null,
                               IDictionary<string, IntPtr> cFunctions = null)
        {
            using (var stream = new MemoryStream(Required(image, "image"), false))
                return Load(stream, config, functions, pointers, types, cFunctions);
        }

        /// <summary>Makes a Lua from an image in a stream, and reads no further.</summary>
        public static Lua Load(Stream image, Config config = null,
                               IDictionary<string, Delegate> functions = null,
                               IDictionary<string, IntPtr> pointers = null,
                               IEnumerable<ObjectType> types = null,
                               IDictionary<string, IntPtr> cFunctions = null)
        {
            Required(image, "image");
            var all = new List<ObjectType>(types ?? new ObjectType[0]);
            all.ForEach(each => Required(each, "types"));
            Library.Load();
            CloseForgotten();
            return new Lua().Loaded(image, config ?? new Config(),
                                    new Meanings(functions, pointers, cFunctions), all);
        }

        private Lua() { cell = TakeCell(); }

        [MethodImpl(MethodImplOptions.NoInlining)]
        private Lua Loaded(Stream image, Config config, Meanings meanings, List<ObjectType> types)
        {
            IntPtr L = IntPtr.Zero;
            cell.Active = this;     // for functions of types, and the release of what they made
            this.config = config.Copy();
            try
            {
                types.ForEach(each => Declare(IntPtr.Zero, each));
                Status status = Read(image, meanings, names => WithTypes(list =>
                {
                    RawConfig raw = config.Raw();
                    fixed (byte* key = config.CheckedKey())
                    {
                        IntPtr made;
                        raw.ImageKey = key;
                        raw.Names = (RawName*)names;
                        raw.Types = (RawObjectType**)list;
                        Status answer = Native.rlua_load(&raw, ReadPointer, IntPtr.Zero, &made);
                        L = made;
                        return answer;
                    }
                }));
                Blame(IntPtr.Zero, status);
            }
            finally
            {
                cell.Active = null;
                if (L == IntPtr.Zero)
                    GiveCell();
            }
            Begin(L);
            try { Recognize(L); }
            catch
            {
                *(IntPtr*)((byte*)L - IntPtr.Size) = cell.Place;    // it may lead anywhere
                Close();
                throw;
            }
            return this;
        }

        /// <summary>Makes the state what a delta of SaveDelta leads to. It has to be the one that
        /// the delta leads from: the snapshot's image loaded, the deltas before applied, and what
        /// was asked since rolled back. After an exception nothing has changed.</summary>
        /// <param name="delta">What SaveDelta has written.</param>
        /// <param name="functions">What names stand for that the state does not have yet.</param>
        /// <param name="pointers">The same for pointers.</param>
        /// <param name="cFunctions">The same for C functions.</param>
        /// <exception cref="RluaException">As Load; BadImage where it leads from another state.
        /// </exception>
        public void ApplyDelta(Stream delta, IDictionary<string, Delegate> functions = null,
                               IDictionary<string, IntPtr> pointers = null,
                               IDictionary<string, IntPtr> cFunctions = null)
        {
            Required(delta, "delta");
            IntPtr L = EnterIdle("ApplyDelta");
            try
            {
                Func<IntPtr, Status> apply = names =>
                    Native.rlua_apply_delta(L, (RawName*)names, ReadPointer, IntPtr.Zero);
                Blame(L, Read(delta, new Meanings(functions, pointers, cFunctions), apply));
            }
            finally { Leave(); }
        }

        /// <summary>Reads a stream, with the names that are given and those of the binding.
        /// </summary>
        private Status Read(Stream image, Meanings meanings, Func<IntPtr, Status> load)
        {
            var names = new NameList();
            Transfer outer = Transfer.Current, transfer = new Transfer(image);
            Transfer.Current = transfer;
            try
            {
                names.Add(CellName, IntPtr.Zero, cell.Place);
                names.Add(HandlerName, HandlerPointer, IntPtr.Zero);
                foreach (ResourceType type in types)
                    for (int i = 0; i < MethodsOf(type).Length; i++)
                        names.Add(type.MethodNames()[i], CallPointer, MethodsOf(type)[i]);
                foreach (KeyValuePair<string, Delegate> each in meanings.Functions)
                    names.Add(each.Key, CallPointer,
                              Named(each.Key, Shapes.Make(Required(each.Value, "functions"))));
                foreach (KeyValuePair<string, IntPtr> each in meanings.Pointers)
                {
                    names.Add(each.Key, IntPtr.Zero, each.Value);
                    pointers[each.Key] = each.Value;
                }
                foreach (KeyValuePair<string, IntPtr> each in meanings.CFunctions)
                {
                    names.AddFunction(each.Key, Address(each.Value, "cFunctions"));
                    cFunctions[each.Key] = each.Value;
                }
                Status status;
                fixed (RawName* list = names.Terminated())
                    status = load((IntPtr)list);
                transfer.Throw();
                return status;
            }
            finally
            {
                Transfer.Current = outer;
                names.Free();
            }
        }

        /// <summary>Takes over what Prepare made, and changes nothing: deltas may follow. That the
        /// extra space leads here tells that the image is of a Lua of this binding.</summary>
        private void Recognize(IntPtr L)
        {
            if (*(IntPtr*)((byte*)L - IntPtr.Size) != cell.Place
                || Native.lua_gettop(L) != Bottom
                || Native.lua_type(L, Bottom) != Native.Function)
                throw new RluaException(Status.BadImage,
                                        "the image is not of a Lua of this binding");
            using (var model = new Lua(new Config(), Libs.None))
            {
                keepers = model.keepers;
                handler = model.handler;
            }
        }

        [MonoPInvokeCallback(typeof(ReadEntry))]
        private static UIntPtr ReadImage(IntPtr ud, IntPtr bytes, UIntPtr length)
        {
            Transfer transfer = Transfer.Current;
            long read = 0;
            try
            {
                while (read < (long)length)
                {
                    int part = (int)Math.Min((long)length - read, transfer.Buffer.Length);
                    part = transfer.Stream.Read(transfer.Buffer, 0, part);
                    if (part <= 0)
                        break;
                    Marshal.Copy(transfer.Buffer, 0, (IntPtr)((byte*)bytes + read), part);
                    read += part;
                }
                return (UIntPtr)(ulong)read;
            }
            catch (Exception e)
            {
                transfer.Failure = e;
                return UIntPtr.Zero;
            }
        }

        /// <summary>What the names in an image stand for.</summary>
        private sealed class Meanings
        {
            internal readonly IDictionary<string, Delegate> Functions;
            internal readonly IDictionary<string, IntPtr> Pointers, CFunctions;

            internal Meanings(IDictionary<string, Delegate> functions,
                           IDictionary<string, IntPtr> pointers,
                           IDictionary<string, IntPtr> cFunctions)
            {
                Functions = functions ?? new Dictionary<string, Delegate>();
                Pointers = pointers ?? new Dictionary<string, IntPtr>();
                CFunctions = cFunctions ?? new Dictionary<string, IntPtr>();
            }
        }

        /// <summary>A list of rlua_Name, whose texts C borrows.</summary>
        private sealed class NameList
        {
            private readonly List<RawName> names = new List<RawName>();

            internal void Add(string name, IntPtr host, IntPtr pointer)
            {
                names.Add(new RawName { Name = Copied(name), Host = host, Pointer = pointer });
            }

            internal void AddFunction(string name, IntPtr function)
            {
                names.Add(new RawName { Name = Copied(name), Function = function });
            }

            private static byte* Copied(string name)
            {
                byte[] text = Text.Terminated(name);
                IntPtr copy = Marshal.AllocHGlobal(text.Length);
                Marshal.Copy(text, 0, copy, text.Length);
                return (byte*)copy;
            }

            internal RawName[] Terminated()
            {
                RawName[] list = names.ToArray();
                Array.Resize(ref list, list.Length + 1);
                return list;
            }

            internal void Free()
            {
                foreach (RawName each in names)
                    Marshal.FreeHGlobal((IntPtr)each.Name);
            }
        }
    }
}
