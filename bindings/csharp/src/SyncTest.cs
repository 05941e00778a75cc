// SyncTest.cs: runs frames again after rollbacks, and finds the first that comes out otherwise.
//
// The library takes snapshots and restores them by itself. A participant of the binding's own
// follows meanwhile, so that `held` (History.cs) is right in each frame.

using System;
using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;

namespace Rlua
{
    /// <summary>A frame of Lua.SyncTest that was run again came to another state: it depends on
    /// something that does not roll back. The message says where.</summary>
    public sealed unsafe class DesyncException : RluaException
    {
        /// <summary>The first frame after which the states differ.</summary>
        public int Frame { get; private set; }

        /// <summary>Whether they differed already at once after the rollback to before it:
        /// something runs in the Lua when it is rolled back, as a participant does.</summary>
        public bool RolledBack { get; private set; }

        /// <summary>The first value that differs: A after the first run, B after the other. Null
        /// where no script could see one, or where the state has what Save refuses, so that nothing
        /// could be kept to compare with.</summary>
        public Difference Difference { get; private set; }

        /// <summary>The checksum after the first run, as Lua.Checksum writes it.</summary>
        public string First { get; private set; }

        /// <summary>The checksum after the other run.</summary>
        public string Second { get; private set; }

        internal DesyncException(string message, ref RawSyncReport report, Exception inner)
            : base(Status.Desync, message, inner)
        {
            Frame = (int)report.Frame;
            RolledBack = report.RolledBack != 0;
            fixed (byte* path = report.Path, a = report.A, b = report.B)
                if (report.Kind != 0)
                    Difference = new Difference((DiffKind)report.Kind, Text.FromC(path),
                                                Text.FromC(a), Text.FromC(b));
            First = Lua.Digits(ref report.First);
            Second = Lua.Digits(ref report.Second);
        }
    }

    public sealed unsafe partial class Lua
    {
        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        private delegate int FrameEntry(IntPtr L, IntPtr ud, uint frame, int again);

        private static readonly FrameEntry OnFrame = RunFrame;
        private static readonly CaptureEntry OnSyncCapture = SyncCapture;
        private static readonly TokenEntry OnSyncRestore = SyncRestore;
        private static readonly IntPtr FramePointer =
            Marshal.GetFunctionPointerForDelegate(OnFrame);
        private static readonly RawParticipant SyncEntries = new RawParticipant {
            Size = (UIntPtr)sizeof(RawParticipant),
            Capture = Marshal.GetFunctionPointerForDelegate(OnSyncCapture),
            Restore = Marshal.GetFunctionPointerForDelegate(OnSyncRestore),
        };

        private Action<int, bool> syncFrame;
        private Exception syncFailure;      // of the frame

        /// <summary>Runs frames, and after each one rolls back some and runs them again. The
        /// snapshots of the Lua are used: it has to keep more than checkDistance.</summary>
        /// <param name="frame">Runs the frame with a number, from 0 on: sets its inputs, the same
        /// for the same number, and calls the script. It may do what a host function may, so no
        /// snaps, rollbacks and images. What it throws comes out. True: it runs again.</param>
        /// <param name="checkDistance">Frames that are run again each time: as many as the game
        /// predicts.</param>
        /// <param name="frames">Frames to run.</param>
        /// <exception cref="DesyncException">A frame came to another state.</exception>
        public void SyncTest(Action<int, bool> frame, int checkDistance = 8, int frames = 600)
        {
            Required(frame, "frame");
            if (checkDistance < 1)
                throw new ArgumentOutOfRangeException("checkDistance", checkDistance,
                                                      "checkDistance is below 1");
            if (frames < 0)
                throw new ArgumentOutOfRangeException("frames", frames, "frames is negative");
            IntPtr L = EnterIdle("SyncTest"), ud = (IntPtr)cell.Index;
            var report = new RawSyncReport { Size = (UIntPtr)sizeof(RawSyncReport) };
            RawParticipant entries = SyncEntries;
            try
            {
                Plain(L, Native.rlua_add_participant(L, &entries, ud));
                syncFrame = frame;
                Status status = Native.rlua_synctest(L, FramePointer, ud, (uint)checkDistance,
                                                     (uint)frames, &report);
                Native.rlua_remove_participant(L, &entries, ud);
                Tested(L, status, ref report);
            }
            finally
            {
                syncFrame = null;
                syncFailure = failure = null;
                Leave();
            }
        }

        private void Tested(IntPtr L, Status status, ref RawSyncReport report)
        {
            FollowHistory(L, false);
            if (syncFailure != null)
                ExceptionDispatchInfo.Capture(syncFailure).Throw();
            if (status == Status.Desync)
                throw new DesyncException(Failure(L, status).Message, ref report, failure);
            Done(L, status, false);
            ThrowFailure();
        }

        private static Lua OfSyncTest(IntPtr ud) { return cells[(int)ud].Active; }

        [MonoPInvokeCallback(typeof(FrameEntry))]
        private static int RunFrame(IntPtr L, IntPtr ud, uint number, int again)
        {
            Lua lua = OfSyncTest(ud);
            try
            {
                lua.Done(L, Status.Ok, false);
                lua.ThrowFailure();         // of a participant's Restore
                lua.syncFrame((int)number, again != 0);
                return 0;
            }
            catch (Exception e)
            {
                lua.syncFailure = e;
                return (int)Status.ErrRun;
            }
        }

        [MonoPInvokeCallback(typeof(CaptureEntry))]
        private static int SyncCapture(IntPtr ud, long frame, IntPtr* token)
        {
            Lua lua = OfSyncTest(ud);
            try
            {
                lua.held.Add(new Held { Frame = frame, Serial = ++lua.clock });
                *token = (IntPtr)lua.clock;
                return 0;
            }
            catch (Exception e)
            {
                lua.failure = e;
                return 1;
            }
        }

        [MonoPInvokeCallback(typeof(TokenEntry))]
        private static void SyncRestore(IntPtr ud, IntPtr token)
        {
            Lua lua = OfSyncTest(ud);
            while (lua.held[lua.held.Count - 1].Serial > (long)token)
                lua.held.RemoveAt(lua.held.Count - 1);
            lua.ReleaseAgain(lua.main);
        }
    }
}
