//! Every order in which up to four blocks can complete, with up to two faults anywhere: a small
//! world is cloned at each choice, so what is tried is tried on the very same pump.

use highwater::flow::{Digesting, Holes, Length, Marks, Patience, Shape, Side, Visibility};

use crate::op::{Asked, Kind, Outcome};
use crate::plan::{Faults, Interleaving, Plan};
use crate::subject::Subject;
use crate::world::World;
use crate::{Check, ensure, verdict};

const BLOCK: u32 = 8;

/// How much was tried.
#[derive(Default)]
struct Tried {
    orders: u64,
    steps: u64,
}

/// Four blocks, the last one not full.
fn plan(name: &str, blocks: u64, slots: u16) -> Plan {
    let ring = u64::from(slots) * u64::from(BLOCK);
    let source_bytes = blocks * u64::from(BLOCK) - 3;
    let low = (name == "low mark").then_some(0);
    let target = if name == "ordered" { Side::ORDERED } else { Side::SEEKABLE };
    let direct = Side { align: if name == "direct" { 4 } else { 1 }, ..Side::SEEKABLE };
    let shape = Shape {
        block_bytes: BLOCK,
        slots,
        marks: Marks::new(ring, low, u64::from(BLOCK), ring).expect("the marks agree"),
        source: if name == "ordered" { Side::ORDERED } else { direct },
        target: if name == "direct" { direct } else { target },
        length: match name {
            "growing" => Length::Expected(source_bytes.saturating_sub(u64::from(BLOCK))),
            "expected" => Length::Expected(source_bytes),
            "unknown" => Length::Unknown,
            _ => Length::Exact(source_bytes),
        },
        sparse: false,
        holes: Holes::Zeros,
        find_zeros: false,
        fill_blocks: false,
        filled_by_caller: false,
        visibility: match name {
            "ahead" => Visibility::Ahead { step: 16 },
            "ordered" => Visibility::Fixed,
            _ => Visibility::ByWrites,
        },
        digesting: match name {
            "digested" => Digesting::BesideWrite,
            _ => Digesting::Off,
        },
        limit_bytes_per_s: None,
        patience: Patience::default(),
    };
    Plan {
        seed: 7,
        shape,
        source_bytes,
        holes: Vec::new(),
        zero_runs: Vec::new(),
        change: None,
        cancel_at_step: None,
        interleaving: Interleaving::Ring,
        faults: Faults::default(),
        bad: Vec::new(),
        target_room: None,
        room_comes_ns: 0,
        grain_bytes: 1,
        chunk_bytes: 1,
        taken_by_caller: false,
        polite: true,
        read_ns: 0,
        write_ns: 0,
    }
}

/// Submits all that the pump wants, as a ring does.
fn submit(world: &mut World) -> Check {
    let mut asked = true;
    while asked {
        asked = false;
        while world.ask_write()? == Asked::Begun {
            asked = true;
            let last = world.ops.len() - 1;
            if world.ops[last].kind != Kind::Write {
                world.complete(last, Outcome::Full)?;
            }
        }
        while world.ask_read()? == Asked::Begun {
            asked = true;
        }
        asked |= world.ask_digest()? == Asked::Begun;
    }
    Ok(())
}

/// Tries each operation in flight as the next to complete.
fn explore(mut world: World, plan: &Plan, faults_left: u32, tried: &mut Tried) -> Check {
    submit(&mut world).map_err(|wrong| world.tell(wrong))?;
    if world.subject.is_finished() {
        tried.orders += 1;
        tried.steps += world.steps;
        world.model.nothing_waits_for_a_digest().map_err(|wrong| world.tell(wrong))?;
        return verdict::at_the_end(&mut world, plan).map_err(|wrong| world.tell(wrong));
    }
    ensure!(!world.ops.is_empty(), "{}", world.tell("a deadlock".into()));
    for nth in 0..world.ops.len() {
        let half = world.ops[nth].transfer.len.div_ceil(2);
        for outcome in [Outcome::Full, Outcome::Short(half), Outcome::Interrupted, Outcome::Fails(libc::EIO)]
        {
            let cost = u32::from(outcome != Outcome::Full);
            if cost > faults_left || cost > 0 && world.ops[nth].kind == Kind::Digest {
                break;
            }
            let mut next = world.clone();
            next.complete(nth, outcome).map_err(|wrong| next.tell(wrong))?;
            explore(next, plan, faults_left - cost, tried)?;
        }
    }
    Ok(())
}

fn check(name: &str, blocks: u64, slots: u16, faults: u32) {
    let plan = plan(name, blocks, slots);
    let mut tried = Tried::default();
    let mut world = World::new(&plan, Subject::new(plan.shape.clone(), None));
    if let Err(wrong) = explore(world.clone(), &plan, faults, &mut tried) {
        // Once more, with every event told.
        world.trace = Some(Vec::new());
        let told = explore(world, &plan, faults, &mut tried).err().unwrap_or(wrong);
        panic!("{name}, {blocks} blocks in {slots} slots:\n{plan:#?}\n{told}");
    }
    let Tried { orders, steps } = tried;
    println!("{name}, {blocks} blocks, {slots} slots, {faults} faults: {orders} orders, {steps} steps");
}

const NAMES: [&str; 9] =
    ["digested", "fixed length", "expected", "growing", "unknown", "ahead", "low mark", "ordered", "direct"];

#[test]
fn every_order_of_up_to_three_blocks_with_two_faults() {
    for name in NAMES {
        for (blocks, slots) in [(1, 1), (2, 1), (2, 2), (3, 2), (3, 3)] {
            check(name, blocks, slots, 2);
        }
    }
}

/// With two faults, eight million orders: where that takes a few seconds.
#[test]
fn every_order_of_four_blocks() {
    for name in NAMES {
        // Digests multiply the orders.
        let faults = if cfg!(debug_assertions) || name == "digested" { 1 } else { 2 };
        for slots in [2, 3, 4] {
            check(name, 4, slots, faults);
        }
    }
}
