fn main() {
    let args: Vec<String> = std::env::args().collect();
    let (what, each): (&str, u64) = (&args[1], args[2].parse().unwrap());
    let start = std::time::Instant::now();
    let count = match what {
        "heap" => heap(1000, each),
        "ours" => ours(1000, each),
        "spawn" => spawn(each),
        _ => panic!(),
    };
    let t = start.elapsed();
    println!("{what}: {count} in {t:?}: {:.1} ns each, {:.2} M/s", t.as_nanos() as f64 / count as f64, count as f64 / t.as_secs_f64() / 1e6);
}

struct Draw(u64);
impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let v = self.0;
        let v = (v ^ (v >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let v = (v ^ (v >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        v ^ (v >> 31)
    }
    fn micros(&mut self) -> u64 {
        1 + ((self.next() as u128 * 1_000_000) >> 64) as u64
    }
}

fn heap(tasks: u64, each: u64) -> u64 {
    use std::cmp::Reverse;
    let mut heap = std::collections::BinaryHeap::new();
    let mut draws: Vec<_> = (0..tasks).map(|t| (Draw(t), 0)).collect();
    let mut seq = 0;
    for t in 0..tasks {
        heap.push(Reverse((draws[t as usize].0.micros() * 1000, seq, t)));
        seq += 1;
    }
    let mut n = 0;
    while let Some(Reverse((time, _, t))) = heap.pop() {
        n += 1;
        let (draw, done) = &mut draws[t as usize];
        *done += 1;
        if *done < each {
            heap.push(Reverse((time + draw.micros() * 1000, seq, t)));
            seq += 1;
        }
    }
    n
}

fn ours(tasks: u64, each: u64) -> u64 {
    use samestep_provider_traits::TimeProvider;
    let world = samestep_sim::SimWorld::with_config(samestep_sim::WorldConfig::new(1).polls_per_instant_max(1 << 40));
    let node = world.add_node("node", std::net::IpAddr::from([10, 0, 0, 1]));
    let time = *world.providers(node).time();
    for t in 0..tasks {
        drop(world.spawn(Some(node), "t", async move {
            let mut draw = Draw(t);
            for _ in 0..each {
                time.sleep(std::time::Duration::from_micros(draw.micros())).await;
            }
        }));
    }
    world.run_until_empty();
    tasks * each
}

fn spawn(each: u64) -> u64 {
    use samestep_provider_traits::TaskProvider;
    let world = samestep_sim::SimWorld::with_config(samestep_sim::WorldConfig::new(1).polls_per_instant_max(1 << 40));
    let node = world.add_node("node", std::net::IpAddr::from([10, 0, 0, 1]));
    let tasks = *world.providers(node).task();
    drop(world.spawn(Some(node), "t", async move {
        for _ in 0..each {
            tasks.spawn("x", async {}).await.unwrap();
        }
    }));
    world.run_until_empty();
    each
}
