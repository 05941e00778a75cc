// History.cs: snapshots, and what of the host follows them.
//
// `held` is what the library holds: which labels, in the order in which they were taken. With it a
// reference that was released is known to be in a held snapshot or not (Proxy.cs).

using System;
using System.Collections;
using System.Collections.Generic;
using System.Runtime.ExceptionServices;
using System.Runtime.InteropServices;

namespace Rlua
{
    /// <summary>State of the host that follows the snapshots of a Lua.</summary>
    public interface IParticipant
    {
        /// <summary>Keeps the state as it is now; returns what finds it again. An exception fails
        /// the snap, with nothing changed.</summary>
        object Capture(long frame);

        /// <summary>Goes back to a token; a token may be restored again. An exception comes out of
        /// the rollback, when all else has gone back.</summary>
        void Restore(object token);

        /// <summary>The token's snapshot is gone.</summary>
        void Discard(object token);
    }

    /// <summary>The snapshots of a Lua, each labelled with a frame number, oldest first. All that
    /// changes it is a BusyException while a call on the Lua is under way.</summary>
    public sealed class History : IReadOnlyList<long>
    {
        private readonly Lua lua;

        internal History(Lua lua) { this.lua = lua; }

        /// <summary>Captures the whole state, labelled one above the newest. Returns the label. The
        /// oldest snapshot goes where the history is full.</summary>
        public long Snap() { return lua.Snap(null); }

        /// <summary>Captures the whole state as `frame`. The newest label again replaces its
        /// snapshot; a lower one is refused.</summary>
        public long Snap(long frame) { return lua.Snap((long?)frame); }

        /// <summary>Goes back to the n-th newest snapshot, drops newer ones and keeps it.</summary>
        /// <exception cref="NoSnapshotException">There is none.</exception>
        public void Rollback(int n = 1) { lua.Rollback(n); }

        /// <summary>Goes back to the snapshot of a frame, drops newer ones and keeps it.</summary>
        /// <exception cref="NoSnapshotException">There is none.</exception>
        public void RollbackTo(long frame) { lua.RollbackTo(frame); }

        /// <summary>Drops the snapshots below a frame that is confirmed.</summary>
        public void DiscardBefore(long frame) { lua.DiscardBefore(frame); }

        /// <summary>The oldest frame, null where none is held.</summary>
        public long? Oldest { get { return Count == 0 ? (long?)null : this[0]; } }

        /// <summary>The newest frame, null where none is held.</summary>
        public long? Newest { get { return Count == 0 ? (long?)null : this[Count - 1]; } }

        /// <summary>The highest frame that was ever captured, null before the first: one up to it
        /// is simulated again.</summary>
        public long? Highest
        {
            get
            {
                long frame = lua.Info.HighestFrame;
                return frame == long.MinValue ? (long?)null : frame;
            }
        }

        /// <summary>How many snapshots are kept. Where more are held than a new limit, the oldest
        /// go; 0 turns them off.</summary>
        public long Limit
        {
            get { return lua.Info.MaxSnapshots; }
            set { lua.SetLimit(value); }
        }

        /// <summary>How many snapshots are held.</summary>
        public int Count { get { return lua.HeldCount; } }

        /// <summary>The frame of the index-th snapshot, 0 for the oldest.</summary>
        public long this[int index] { get { return lua.HeldFrame(index); } }

        /// <summary>The frames, oldest first.</summary>
        public IEnumerator<long> GetEnumerator()
        {
            for (int i = 0; i < Count; i++)
                yield return this[i];
        }

        IEnumerator IEnumerable.GetEnumerator() { return GetEnumerator(); }

        /// <summary>Makes state of the host follow the snapshots from the next on. A snapshot that
        /// is held already leaves it as it is.</summary>
        public void Follow(IParticipant participant) { lua.Follow(participant); }

        /// <summary>The same with a value that take() reads and put() writes.</summary>
        public void Follow<T>(Func<T> take, Action<T> put)
        {
            lua.Follow(new Followed<T>(take, put));
        }

        /// <summary>Ends that; its tokens are discarded.</summary>
        /// <returns>Whether it did follow.</returns>
        public bool Unfollow(IParticipant participant) { return lua.Unfollow(participant); }

        private sealed class Followed<T> : IParticipant
        {
            private readonly Func<T> take;
            private readonly Action<T> put;

            internal Followed(Func<T> take, Action<T> put)
            {
                this.take = take ?? throw new ArgumentNullException("take");
                this.put = put ?? throw new ArgumentNullException("put");
            }

            public object Capture(long frame) { return take(); }
            public void Restore(object token) { put((T)token); }
            public void Discard(object token) { }
        }
    }

    public sealed unsafe partial class Lua
    {
        private struct Held
        {
            internal long Frame, Serial;
        }

        private readonly List<Held> held = new List<Held>();
        private long clock;                 // serial of the newest snapshot ever taken
        private Exception failure;          // of a participant or a type, until the call is done

        internal long Clock { get { return clock; } }
        internal int HeldCount { get { return held.Count; } }
        internal long HeldFrame(int index) { return held[index].Frame; }

        /// <summary>The snapshots.</summary>
        public History History { get { return new History(this); } }

        /// <summary>As History.Snap().</summary>
        public long Snap() { return Snap(null); }

        /// <summary>As History.Snap(frame).</summary>
        public long Snap(long frame) { return Snap((long?)frame); }

        internal long Snap(long? frame)
        {
            IntPtr L = EnterIdle("Snap");
            try
            {
                Done(L, frame == null ? Native.rlua_snap(L)
                                      : Native.rlua_snap_frame(L, frame.Value), true);
                return held[held.Count - 1].Frame;
            }
            finally { Leave(); }
        }

        /// <summary>As History.Rollback(n).</summary>
        public void Rollback(int n = 1)
        {
            IntPtr L = EnterIdle("Rollback");
            try
            {
                Done(L, Native.rlua_rollback(L, (UIntPtr)(uint)Math.Max(n, 0)), false);
                ReleaseAgain(L);
                ThrowFailure();
            }
            finally { Leave(); }
        }

        /// <summary>As History.RollbackTo(frame).</summary>
        public void RollbackTo(long frame)
        {
            IntPtr L = EnterIdle("RollbackTo");
            try
            {
                Done(L, Native.rlua_rollback_to(L, frame), false);
                ReleaseAgain(L);
                ThrowFailure();
            }
            finally { Leave(); }
        }

        /// <summary>As History.DiscardBefore(frame).</summary>
        public void DiscardBefore(long frame)
        {
            IntPtr L = EnterIdle("DiscardBefore");
            try { Done(L, Native.rlua_discard_before(L, frame), false); }
            finally { Leave(); }
        }

        internal void SetLimit(long count)
        {
            UIntPtr limit = Native.Size(count, "Limit");
            IntPtr L = EnterIdle("Limit");
            try { Done(L, Native.rlua_set_max_snapshots(L, limit), false); }
            finally { Leave(); }
        }

        private void Done(IntPtr L, Status status, bool snapped)
        {
            Blame(L, status);
            FollowHistory(L, snapped);
            int gone = 0;
            while (gone < graves.Count && (held.Count == 0 || graves[gone].At < held[0].Serial))
                gone++;
            graves.RemoveRange(0, gone);
        }

        /// <summary>Throws what a status says, with what a function of the host threw in the call.
        /// </summary>
        private void Blame(IntPtr L, Status status)
        {
            if (status == Status.Ok)
                return;
            RluaException error = Failure(L, status);
            Exception cause = failure;
            failure = null;
            throw cause == null ? error : new RluaException(status, error.Message, cause);
        }

        /// <summary>Makes `held` what the library holds.</summary>
        private void FollowHistory(IntPtr L, bool snapped)
        {
            var info = new RawInfo { Size = (UIntPtr)sizeof(RawInfo) };
            Plain(L, Native.rlua_info(L, &info));
            if (snapped)
            {
                clock++;
                if (held.Count > 0 && held[held.Count - 1].Frame == info.NewestFrame)
                    held.RemoveAt(held.Count - 1);
                held.Add(new Held { Frame = info.NewestFrame, Serial = clock });
            }
            int count = (int)info.SnapshotCount;
            while (held.Count > 0 && count > 0 && held[held.Count - 1].Frame > info.NewestFrame)
                held.RemoveAt(held.Count - 1);
            if (held.Count > count)
                held.RemoveRange(0, held.Count - count);
        }

        /// <summary>After a rollback: what the snapshot has and nobody holds is released again.
        /// </summary>
        private void ReleaseAgain(IntPtr L)
        {
            long target = held[held.Count - 1].Serial;
            int kept = 0;
            for (int i = 0; i < graves.Count; i++)
            {
                if (graves[i].Born >= target)
                    continue;       // no held snapshot has it
                Native.rlua_unref(L, graves[i].Reference);
                graves[kept++] = graves[i];
            }
            graves.RemoveRange(kept, graves.Count - kept);
        }

        private void ThrowFailure()
        {
            Exception thrown = failure;
            failure = null;
            if (thrown != null)
                ExceptionDispatchInfo.Capture(thrown).Throw();
        }

        // Participants

        /// <summary>One participant; `ud` is its Lua's cell and its own number.</summary>
        private sealed class Follower
        {
            internal IParticipant Participant;
            internal readonly Dictionary<long, object> Tokens = new Dictionary<long, object>();
            internal long NextToken;
        }

        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        private delegate int CaptureEntry(IntPtr ud, long frame, IntPtr* token);
        [UnmanagedFunctionPointer(CallingConvention.Cdecl)]
        private delegate void TokenEntry(IntPtr ud, IntPtr token);

        private static readonly CaptureEntry OnCapture = CaptureParticipant;
        private static readonly TokenEntry OnRestore = RestoreParticipant;
        private static readonly TokenEntry OnDiscard = DiscardParticipant;

        private static readonly RawParticipant Entries = new RawParticipant {
            Size = (UIntPtr)sizeof(RawParticipant),
            Capture = Marshal.GetFunctionPointerForDelegate(OnCapture),
            Restore = Marshal.GetFunctionPointerForDelegate(OnRestore),
            Discard = Marshal.GetFunctionPointerForDelegate(OnDiscard),
        };

        private readonly Dictionary<int, Follower> followers = new Dictionary<int, Follower>();
        private int nextFollower;

        private IntPtr UdOf(int number) { return (IntPtr)((long)cell.Index << 32 | (uint)number); }

        private static Lua Of(IntPtr ud, out Follower follower)
        {
            Lua lua = cells[(int)(ud.ToInt64() >> 32)].Active;
            follower = null;
            if (lua != null)
                lua.followers.TryGetValue((int)ud.ToInt64(), out follower);
            return follower == null ? null : lua;
        }

        internal void Follow(IParticipant participant)
        {
            Required(participant, "participant");
            IntPtr L = Enter();
            try
            {
                int number = ++nextFollower;
                followers[number] = new Follower { Participant = participant };
                RawParticipant entries = Entries;
                Status status = Native.rlua_add_participant(L, &entries, UdOf(number));
                if (status == Status.Ok)
                    return;
                followers.Remove(number);
                throw Failure(L, status);
            }
            finally { Leave(); }
        }

        internal bool Unfollow(IParticipant participant)
        {
            IntPtr L = Enter();
            try
            {
                foreach (KeyValuePair<int, Follower> each in followers)
                {
                    if (!ReferenceEquals(each.Value.Participant, participant))
                        continue;
                    RawParticipant entries = Entries;
                    Plain(L, Native.rlua_remove_participant(L, &entries, UdOf(each.Key)));
                    followers.Remove(each.Key);
                    return true;
                }
                return false;
            }
            finally { Leave(); }
        }

        [MonoPInvokeCallback(typeof(CaptureEntry))]
        private static int CaptureParticipant(IntPtr ud, long frame, IntPtr* token)
        {
            Lua lua = Of(ud, out Follower follower);
            if (lua == null)
                return 1;
            lua.depth++;
            try
            {
                object kept = follower.Participant.Capture(frame);
                follower.Tokens[++follower.NextToken] = kept;
                *token = (IntPtr)follower.NextToken;
                return 0;
            }
            catch (Exception e)
            {
                lua.failure = e;
                return 1;
            }
            finally { lua.depth--; }
        }

        [MonoPInvokeCallback(typeof(TokenEntry))]
        private static void RestoreParticipant(IntPtr ud, IntPtr token)
        {
            Lua lua = Of(ud, out Follower follower);
            if (lua == null)
                return;
            lua.depth++;
            try { follower.Participant.Restore(follower.Tokens[token.ToInt64()]); }
            catch (Exception e) { lua.failure = lua.failure ?? e; }
            finally { lua.depth--; }
        }

        [MonoPInvokeCallback(typeof(TokenEntry))]
        private static void DiscardParticipant(IntPtr ud, IntPtr token)
        {
            Lua lua = Of(ud, out Follower follower);
            if (lua == null)
                return;
            lua.depth++;
            try
            {
                object kept = follower.Tokens[token.ToInt64()];
                follower.Tokens.Remove(token.ToInt64());
                follower.Participant.Discard(kept);
            }
            catch (Exception e) { Report("a Discard", e); }
            finally { lua.depth--; }
        }
    }
}
