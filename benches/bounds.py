"""What snapshots may cost, as ratios to full copies: bound, measured, met.

Not here: any measuring (world.py, throughput.py).
"""
from table import show


class Table:
    """Rows of the bounds. Those that were not measured are only counted."""

    def __init__(self):
        self.rows = []
        self.met = self.missing = 0

    def add(self, what, bound, measured, note="", below="at most"):
        if measured is None:
            self.missing += 1
            return
        met = measured < bound if below == "under" else measured <= bound
        self.met += met
        self.rows.append([what, f"{below} {bound:g}", f"{measured:.3f}",
                          "met" if met else "NOT MET", note])

    def show(self, tracker):
        show(f"Bounds, tracker {tracker}: medians of one run",
             ["what", "bound", "measured", "", "beside it"], self.rows)
        print(f"\n{self.met} of {len(self.rows)} met, {self.missing} not measured")


def find(rows, way, **wanted):
    """The row of that way with these fields, or nothing."""
    for row in rows or []:
        if row["way"] == way and all(str(row.get(k)) == str(v) for k, v in wanted.items()):
            return row
    return {}


def beside(row):
    if not row:
        return ""
    return (f"{row['cost_ns'] / 1e3:.2f} us; ring {row['ratio_copy_ring']:.3f}, "
            f"best copy {row['ratio_copy_best']:.3f}")


def add_captures(table, rows, way):
    def bound(kib, permille, allocate, limit, copy="copy_ring"):
        row = find(rows, way, world_kib=kib, touched_permille=permille, allocate=allocate,
                   pattern="scattered")
        name = "the ring" if copy == "copy_ring" else "the best copy"
        with_tables = ", three new tables an entity" if allocate else ""
        table.add(f"{kib // 1024} MiB, {permille / 10:g} % touched{with_tables}: of {name}", limit,
                  row.get(f"ratio_{copy}"), beside(row))

    for kib in (1024, 4096, 16384, 65536):
        bound(kib, 10, 0, 0.08 if kib == 1024 else 0.05)
        if kib > 1024:
            bound(kib, 10, 0, 0.10, "copy_best")
        bound(kib, 1, 0, 0.02)
        bound(kib, 50, 0, 0.20)
        bound(kib, 1000, 0, 1.30)
    for kib in (4096, 16384):
        bound(kib, 10, 1, 0.25)


def add_frames(table, rows, way):
    row = find(rows, way, world_kib=4096, allocate=1, pacing="default")
    share = float(row["total_ns_max"]) / float(row["total_ns_median"]) if row else None
    note = f"{float(row['total_ns_median']) / 1e3:.0f} us, {row['frames']} frames" if row else ""
    table.add("4 MiB, three new tables an entity: worst frame + capture of the median", 3, share,
              note)


def add_rollbacks(table, results, way):
    results = results or {}
    for allocate, suffix in ((0, ""), (1, ", three new tables an entity")):
        for kib in (4096, 16384, 65536):
            for n, limit in ((1, 0.10), (8, 0.35)):
                row = find(results.get("rollback"), way, world_kib=kib, n=n, allocate=allocate)
                table.add(f"{kib // 1024} MiB, rollback({n}){suffix}: of the ring", limit,
                          row.get("ratio_copy_ring"), beside(row))
            row = find(results.get("netcode"), way, world_kib=kib, allocate=allocate)
            table.add(f"{kib // 1024} MiB, rollback(8) and 8 frames{suffix}: of the ring", 0.15,
                      row.get("ratio_copy_ring"), beside(row))


def add_quiet(table, results, way):
    costs = [row["cost_ns"] / 1e3 for row in results.get("untouched", []) if row["way"] == way]
    table.add("an untouched VM, us", 0.3, max(costs, default=None), "the slowest world", "under")
    row = find(results.get("idle"), way)
    table.add("an idle VM among many, cold, us", 0.6,
              row["cold_snap_ns"] / 1e3 if row else None,
              f"{row['vms']:.0f} VMs; pass by pass {row['next_snap_ns'] / 1e3:.2f}" if row else "",
              "under")


def add_scripts(table, throughput):
    """For a library with marks; one without them has another bound, 0.84."""
    summary = (throughput.get("summaries") or {}).get("all") or {}
    note = "as `make throughput` left it"
    mean = summary.get("geometric_mean")
    table.add("scripts against stock Lua, geometric mean", 0.87, mean, note)
    table.add("scripts against stock Lua, the slowest", 1.05, summary.get("max"), note)


def show_bounds(results, way, throughput):
    table = Table()
    add_captures(table, results.get("capture"), way)
    add_frames(table, results.get("frames"), way)
    add_rollbacks(table, results.get("rollback"), way)
    add_quiet(table, results, way)
    add_scripts(table, throughput)
    table.show(way)
