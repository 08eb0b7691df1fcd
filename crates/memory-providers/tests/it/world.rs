use std::cell::RefCell;
use std::future::pending;
use std::rc::Rc;
use std::time::Duration;

use samestep_memory_providers::MemoryWorld;
use samestep_provider_traits::{Providers, RandomProvider, TaskProvider, TimeProvider};

#[test]
fn time_jumps_and_stands_still_otherwise() {
    let world = MemoryWorld::new(1);
    world.block_on(|world| async move {
        let year = Duration::from_secs(365 * 86_400);
        let wall_clock = world.time().wall_clock();
        world.time().sleep(year).await;
        assert_eq!(world.time().now(), year);
        assert_eq!(world.time().wall_clock(), wall_clock + year);
        world.task().yield_now().await;
        assert_eq!(world.time().now(), year);
    });
}

#[test]
#[should_panic(expected = "these wait: the program, reader, writer")]
fn a_deadlock_is_reported_with_the_names_of_those_who_wait() {
    let _ = MemoryWorld::new(1).block_on(|world| async move {
        drop(world.task().spawn("reader", pending::<()>()));
        world.task().spawn("writer", pending::<()>()).await
    });
}

#[test]
fn tasks_go_on_in_the_next_program() {
    let world = MemoryWorld::new(1);
    let (tasks, time) = (world.providers().task().clone(), world.providers().time().clone());
    let task = tasks.spawn("slow", async move {
        time.sleep(Duration::from_secs(1)).await;
        7
    });
    world.block_on(|world| async move { world.task().yield_now().await });
    assert_eq!(world.block_on(|_| task), Ok(7));
}

#[test]
fn dropping_a_world_drops_its_tasks_oldest_first() {
    struct Tell(u32, Rc<RefCell<Vec<u32>>>);
    impl Drop for Tell {
        fn drop(&mut self) {
            self.1.borrow_mut().push(self.0);
        }
    }
    let (world, dropped) = (MemoryWorld::new(1), Rc::new(RefCell::new(Vec::new())));
    world.block_on(|world| {
        let dropped = Rc::clone(&dropped);
        async move {
            for number in 0..3 {
                let tell = Tell(number, Rc::clone(&dropped));
                let held = world.clone();
                drop(world.task().spawn("holder", async move {
                    pending::<()>().await;
                    drop((tell, held));
                }));
            }
            world.task().yield_now().await;
        }
    });
    drop(world);
    assert_eq!(*dropped.borrow(), [0, 1, 2]);
}

#[test]
fn one_seed_gives_one_run() {
    let run = |seed| {
        MemoryWorld::new(seed).block_on(|world| async move {
            let draws: Vec<u64> = (0..8).map(|_| world.random().next_u64()).collect();
            (draws, world.random().fork("disk").next_u64())
        })
    };
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}
