//! Mathematical functions have the same bits on every machine and in every build.
//!
//! A golden table: each function over random arguments and hard cases, hashed. The functions are
//! correctly rounded, so a hash changes only if a result was wrong before or is wrong now. Where
//! the machine has both copies (x86-64 with fused multiply-add), both have to give it.

use rlua::lua::{rlua_c_fma, rlua_c_math};
use std::ffi::c_int;

/// Name, number of parameters, hash; in the order of `rlua_c_math`.
const FUNCTIONS: [(&str, usize, u64); 18] = [
    ("sin", 1, 0x9e20_4eb3_43a6_4bb2),
    ("cos", 1, 0x58a2_3c98_0fae_a757),
    ("tan", 1, 0x8bd1_aae0_b7c0_3e13),
    ("asin", 1, 0x0cc0_9fcf_8b8d_cef7),
    ("acos", 1, 0x11e3_282a_126a_d55c),
    ("atan", 1, 0xdf94_ae52_aae7_cca2),
    ("exp", 1, 0x0e49_6560_011c_04e5),
    ("log", 1, 0xbefe_94eb_b92c_8de5),
    ("log2", 1, 0x7bda_3439_1c03_936f),
    ("log10", 1, 0x93ac_2309_9e2b_77ca),
    ("sinh", 1, 0x1dbd_2b40_226a_9023),
    ("cosh", 1, 0xcf20_1377_9250_98a8),
    ("tanh", 1, 0x1e7d_4503_ecd9_c95c),
    ("floor", 1, 0x2129_f9ff_9425_5a93),
    ("ceil", 1, 0x83bf_c3d4_6a11_5deb),
    ("atan2", 2, 0xf340_873d_cc58_ebc9),
    ("pow", 2, 0xae69_ca2e_3636_817a),
    ("fmod", 2, 0x4042_4aec_0b5f_98f3),
];

/// Arguments by function at random: half of them spread over all exponents, half where it matters.
const RANDOM: usize = 20_000;

fn call(copy: c_int, function: usize, x: f64, y: f64) -> Option<f64> {
    let mut result = 0.0;
    // SAFETY: the place is ours; the function checks both numbers.
    (unsafe { rlua_c_math(copy, function as c_int, x, y, &mut result) } != 0).then_some(result)
}

/// xorshift64*.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// From 0 to 1.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    fn any(&mut self) -> f64 {
        f64::from_bits(self.next())
    }

    /// Evenly within `size` on both sides of zero.
    fn within(&mut self, size: f64) -> f64 {
        (self.unit() * 2.0 - 1.0) * size
    }
}

/// Values at which functions turn, and their neighbours, with both signs.
fn hard() -> Vec<f64> {
    use std::f64::consts::*;
    let mut found = vec![
        0.0,
        f64::INFINITY,
        f64::NAN,
        f64::MAX,
        f64::MIN_POSITIVE,
        5e-324,
        1e-310,
        1e-300,
        1e-160,
        1e-20,
        1e-16,
        1e-8,
        0.1,
        0.25,
        0.5,
        0.75,
        1.0,
        1.5,
        2.0,
        2.5,
        3.0,
        4.0,
        5.0,
        7.0,
        8.0,
        10.0,
        16.0,
        27.0,
        32.0,
        53.0,
        64.0,
        81.0,
        100.0,
        125.0,
        1000.0,
        1023.0,
        1024.0,
        1074.0,
        1075.0,
        1e10,
        1e22,
        1e23,
        1e100,
        1e300,
        6381956970095103.0 * 2f64.powi(797),
        E,
        PI,
        LN_2,
        LN_10,
        LOG2_E,
        LOG10_E,
        SQRT_2,
        709.782712893384,
        710.475860073944,
        745.1332191019412,
        4503599627370495.5,
        4503599627370496.0,
        9007199254740992.0,
        9.223372036854776e18,
        1.1102230246251565e-16,
        2.220446049250313e-16,
        // Where correct rounding is hardest, from the literature.
        0.00056103711148734,
        FRAC_PI_3,
        22.0,
        11.0,
        355.0,
        103993.0,
        0.9999999999999999,
        0.3413,
        7.542577458559e-10,
    ];
    for multiple in 1..400 {
        found.push(f64::from(multiple) * FRAC_PI_4);
        found.push(f64::from(multiple) * LN_2);
    }
    for exponent in -1074..1024 {
        if exponent % 7 == 0 || (-64..64).contains(&exponent) {
            found.push(2f64.powi(exponent.max(-1022)) * 2f64.powi((exponent + 1022).min(0)));
        }
    }
    for power in 0..=22 {
        found.push(10f64.powi(power));
    }
    let neighbours: Vec<f64> =
        found.iter().flat_map(|x| [x.next_down(), *x, x.next_up()]).collect();
    neighbours.iter().flat_map(|x| [*x, -*x]).collect()
}

/// All arguments of a function.
fn arguments(function: usize) -> Vec<(f64, f64)> {
    let (name, parameters, _) = FUNCTIONS[function];
    let mut random = Random(0x5eed_0000_0000_0001 + function as u64);
    let hard = hard();
    let mut found = Vec::new();
    if parameters == 1 {
        found.extend(hard.iter().map(|x| (*x, 0.0)));
    } else {
        // Every one with some of the others, and some with all.
        let few: Vec<f64> =
            hard.iter().copied().step_by(331).chain([0.5, 2.0, 3.0, -1.0]).collect();
        for x in &hard {
            found.extend(few.iter().flat_map(|y| [(*x, *y), (*y, *x)]));
        }
    }
    let (x, y) = match name {
        "asin" | "acos" => (1.0, 0.0),
        "exp" | "sinh" | "cosh" => (750.0, 0.0),
        "tanh" => (25.0, 0.0),
        "log" | "log2" | "log10" | "floor" | "ceil" => (1e6, 0.0),
        "pow" => (30.0, 40.0),
        "fmod" => (1e9, 1e3),
        _ => (100.0, 100.0),
    };
    for _ in 0..RANDOM / 2 {
        found.push((random.any(), random.any()));
        found.push((random.within(x), random.within(y)));
        if parameters == 2 {
            // Exact powers, and quotients near one.
            let small = (random.next() % 2000) as f64 / 8.0;
            found.push((small, (random.next() % 41) as f64 / 4.0 - 5.0));
            let near = random.unit() + 0.5;
            found.push((near, near * (1.0 + random.within(1e-9))));
            found.push((1.0 + random.within(1e-6), random.within(1e9)));
        }
    }
    found
}

/// FNV-1a over the bits of all results; every NaN is one.
fn hash(copy: c_int, function: usize) -> Option<u64> {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for (x, y) in arguments(function) {
        let result = call(copy, function, x, y)?;
        let bits = if result.is_nan() { 0x7ff8 << 48 } else { result.to_bits() };
        for byte in bits.to_le_bytes() {
            hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
    Some(hash)
}

#[test]
fn results_are_those_of_the_golden_table() {
    let mut wrong = Vec::new();
    for (function, (name, _, golden)) in FUNCTIONS.iter().enumerate() {
        let found = hash(0, function).expect("every machine has the plain copy");
        if found != *golden {
            wrong.push(format!("{name}: 0x{found:016x}"));
        }
    }
    assert!(wrong.is_empty(), "other bits than in the table:\n{}", wrong.join("\n"));
}

#[test]
fn both_copies_give_the_same_bits() {
    if call(1, 0, 0.0, 0.0).is_none() {
        println!("not run: this machine has one copy only");
        return;
    }
    for (function, (name, ..)) in FUNCTIONS.iter().enumerate() {
        for (x, y) in arguments(function) {
            let results = [0, 1].map(|copy| call(copy, function, x, y).unwrap());
            let same = results[0].to_bits() == results[1].to_bits()
                || results.iter().all(|result| result.is_nan());
            assert!(same, "{name}({x:e}, {y:e}): {results:?}");
        }
    }
}

#[test]
fn a_wrong_bit_is_seen() {
    let sound = hash(0, 0).unwrap();
    assert_ne!(sound, hash(0, 1).unwrap());
    assert!(call(0, FUNCTIONS.len(), 1.0, 1.0).is_none(), "the table has fewer functions than C");
    assert!(call(2, 0, 1.0, 1.0).is_none());
}

#[test]
#[cfg_attr(windows, ignore = "the platform's rounds twice")]
fn the_emulated_fused_multiply_add_rounds_once() {
    let mut random = Random(0x00f3_a000_0000_0001);
    let hard: Vec<f64> = hard().into_iter().step_by(41).collect();
    let check = |a: f64, b: f64, c: f64| {
        // SAFETY: pure.
        let emulated = unsafe { rlua_c_fma(a, b, c) };
        // The platform's, which is right where the tests run (glibc).
        let exact = a.mul_add(b, c);
        let same = emulated.to_bits() == exact.to_bits() || emulated.is_nan() && exact.is_nan();
        assert!(same, "fma({a:e}, {b:e}, {c:e}): {emulated:e}, not {exact:e}");
    };
    for a in &hard {
        for b in &hard {
            for c in &hard {
                check(*a, *b, *c);
            }
        }
    }
    for _ in 0..300_000 {
        let (a, b, c) = (random.any(), random.any(), random.any());
        check(a, b, c);
        // What is left of a product when nearly all of it cancels.
        check(a, b, -(a * b));
        check(a, b, -(a * b).next_up());
        let (a, b) = (random.within(4.0), random.within(1e-3));
        check(a, b, random.within(1e-2));
        check(a, b, -(a * b));
        check(a, b, (a * b) * random.within(1e17));
        check(a * 1e-155, b * 1e-155, random.within(1e-310));
        check(a * 1e-155, b * 1e-155, -(a * 1e-155 * (b * 1e-155)));
    }
}

/// fmod by the plainest way: a bit at a time.
fn fmod_by_bits(x: f64, y: f64) -> f64 {
    if x.is_nan() || y.is_nan() || x.is_infinite() || y == 0.0 {
        return f64::NAN;
    }
    let (mut rest, size) = (x.abs(), y.abs());
    if size.is_infinite() {
        return x;
    }
    while rest >= size {
        let mut part = size;
        while part <= rest / 2.0 {
            part *= 2.0;
        }
        rest -= part;
    }
    rest.copysign(x)
}

#[test]
fn fmod_is_exact() {
    let fmod = FUNCTIONS.iter().position(|(name, ..)| *name == "fmod").unwrap();
    for (x, y) in arguments(fmod) {
        let found = call(0, fmod, x, y).unwrap();
        let rust = x % y;
        let same = |a: f64, b: f64| a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan();
        assert!(same(found, rust), "fmod({x:e}, {y:e}): {found:e}, not {rust:e}");
        if x.abs() < 1e16 && y.abs() > 1e-9 {
            let slow = fmod_by_bits(x, y);
            assert!(same(found, slow), "fmod({x:e}, {y:e}): {found:e}, not {slow:e}");
        }
    }
}

#[test]
fn floor_and_ceil_are_the_platforms() {
    for (name, platform) in [("floor", f64::floor as fn(f64) -> f64), ("ceil", f64::ceil)] {
        let function = FUNCTIONS.iter().position(|(other, ..)| *other == name).unwrap();
        for (x, _) in arguments(function) {
            let found = call(0, function, x, 0.0).unwrap();
            let same = found.to_bits() == platform(x).to_bits() || found.is_nan() && x.is_nan();
            assert!(same, "{name}({x:e}): {found:e}");
        }
    }
}
