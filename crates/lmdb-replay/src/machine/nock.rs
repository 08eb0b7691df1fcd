//! Urbit's kernel on the reference Nock machine.

use std::rc::Rc;

use samestep_noun::{CueError, CueLimits, Nock, NockError, NockLimits, Noun, TraceReport, Watch, live_bytes};

use crate::machine::{FailureKind, Machine, Reclaim};
use crate::rock::{Rock, RockError};

/// Tells whether to go on, from time to time while an event runs.
pub type NockWatch = Rc<dyn Fn() -> Watch>;

/// How much the kernel and one event may take.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Budget {
    /// Bytes that the kernel and all that an event makes may take together. Vere's loom.
    pub memory_bytes_max: usize,
    /// Reductions for one event.
    pub fuel: u64,
}

/// 2 GiB as Vere's default loom, and fuel without end.
impl Default for Budget {
    fn default() -> Self {
        Self { memory_bytes_max: 1 << 31, fuel: u64::MAX }
    }
}

impl Budget {
    /// At most `bytes` of memory, otherwise the default.
    pub fn with_memory_bytes_max(mut self, bytes: usize) -> Self {
        self.memory_bytes_max = bytes;
        self
    }

    /// At most `fuel` reductions for one event, otherwise the default.
    pub fn with_fuel(mut self, fuel: u64) -> Self {
        self.fuel = fuel;
        self
    }
}

/// A kernel, driven as Vere drives Arvo, with no jets: right for any kernel, and quick enough for small ones.
///
/// Payloads are jams. The lifecycle formula `[2 [0 3] 0 2]` on the list of boot events gives a gate whose axis 7 is
/// the kernel; an event runs the gate at the kernel's axis 23, whose product is effects, which are dropped, and the
/// next kernel. A crash is an error with its trace: no `%crud` is made of it, and no `wish` is asked for.
pub struct NockMachine {
    budget: Budget,
    watch: Option<NockWatch>,
    state: Option<Rock>,
    /// The state before the last poke.
    before: Option<Rock>,
}

impl NockMachine {
    /// A machine without a kernel yet.
    pub fn new(budget: Budget) -> Self {
        Self { budget, watch: None, state: None, before: None }
    }

    /// Asks `watch` from time to time whether to go on: deadlines and interrupts are its affair.
    pub fn with_watch(mut self, watch: NockWatch) -> Self {
        self.watch = Some(watch);
        self
    }

    /// The kernel, once there is one.
    pub fn kernel(&self) -> Option<&Noun> {
        self.state.as_ref().map(|rock| &rock.kernel)
    }

    /// The state as a rock, once there is one.
    pub fn rock(&self) -> Option<&Rock> {
        self.state.as_ref()
    }

    /// Applies a job that is a noun already, and gives its effects.
    ///
    /// # Errors
    ///
    /// As [`Machine::poke`].
    pub fn work(&mut self, job: &Noun) -> Result<Noun, NockMachineError> {
        let rock = self.state.as_ref().ok_or(NockMachineError::NotBooted)?;
        let product = self.call(&rock.kernel, POKE_ARM, job)?;
        let (effects, next) = product.as_pair().ok_or(NockMachineError::BadProduct)?;
        self.before = self.state.take();
        let (hashboard, cold) = self.before.as_ref().map(Rock::jets).unwrap_or_default();
        self.state = Some(Rock { kernel: next.clone(), hashboard, cold });
        Ok(effects.clone())
    }

    /// Reads from the kernel: the gate at its axis 22, called with `sample`.
    ///
    /// # Errors
    ///
    /// [`NockMachineError`].
    pub fn peek(&self, sample: &Noun) -> Result<Noun, NockMachineError> {
        self.call(self.kernel().ok_or(NockMachineError::NotBooted)?, PEEK_ARM, sample)
    }

    /// Compares the nouns that live on this thread with those that the state holds.
    ///
    /// Meaningful where nothing else on the thread holds nouns: then a difference is a leak.
    pub fn leaks(&self) -> LeakReport {
        let state = [self.state.as_ref(), self.before.as_ref()];
        let nouns = state.into_iter().flatten().flat_map(|rock| [&rock.kernel, &rock.hashboard, &rock.cold]);
        LeakReport { live_bytes: live_bytes(), reachable_bytes: samestep_noun::reachable_bytes(nouns) }
    }

    /// Evaluates the arm at `axis`, and the gate that it gives with `sample`.
    fn call(&self, kernel: &Noun, axis: u64, sample: &Noun) -> Result<Noun, NockMachineError> {
        let arm = kernel.at(axis).ok_or(NockMachineError::NotAKernel { axis })?;
        let gate = self.run(kernel, arm)?;
        let Some([battery, _, context]) = gate.as_tuple() else {
            return Err(NockMachineError::NotAGate { axis });
        };
        self.run(&Noun::cell(battery, Noun::cell(sample, context)), battery)
    }

    fn cue(&self, payload: &[u8]) -> Result<Noun, NockMachineError> {
        Ok(Noun::cue_within(payload, &CueLimits::new(self.bytes_left()))?)
    }

    fn run(&self, subject: &Noun, formula: &Noun) -> Result<Noun, NockMachineError> {
        let limits =
            NockLimits::default().with_fuel(self.budget.fuel).with_memory_bytes_max(self.bytes_left());
        let mut nock = Nock::new(limits);
        if let Some(watch) = &self.watch {
            nock = nock.with_watch(|| watch());
        }
        Ok(nock.run(subject, formula)?)
    }

    fn bytes_left(&self) -> usize {
        self.budget.memory_bytes_max.saturating_sub(live_bytes())
    }
}

impl Machine for NockMachine {
    type Error = NockMachineError;

    /// Any number of events from the length of the lifecycle on: it takes dated ones too.
    fn boot(&mut self, payloads: &[Vec<u8>]) -> Result<(), NockMachineError> {
        (self.state, self.before) = (None, None);
        let events: Vec<Noun> = payloads.iter().map(|payload| self.cue(payload)).collect::<Result<_, _>>()?;
        let lifecycle = Noun::from((2, (0, 3), 0, 2));
        let gate = self.run(&Noun::list(events), &lifecycle)?;
        let kernel = gate.at(KERNEL).ok_or(NockMachineError::NotAKernel { axis: KERNEL })?;
        self.state = Some(Rock::new(kernel.clone()));
        Ok(())
    }

    fn poke(&mut self, _: u64, payload: &[u8]) -> Result<(), NockMachineError> {
        let job = self.cue(payload)?;
        // The effects belong to the world at the time of the event.
        self.work(&job).map(drop)
    }

    /// The mug of the kernel, or 0 without one.
    fn mug(&mut self) -> u32 {
        self.kernel().map_or(0, Noun::mug)
    }

    /// A rock.
    fn snapshot(&mut self) -> Result<Vec<u8>, NockMachineError> {
        Ok(self.state.as_ref().ok_or(NockMachineError::NotBooted)?.encode())
    }

    /// Takes a rock.
    fn restore(&mut self, _: u64, state: &[u8]) -> Result<(), NockMachineError> {
        (self.state, self.before) = (None, None);
        self.state = Some(Rock::decode(state, &CueLimits::new(self.bytes_left()))?);
        Ok(())
    }

    fn revert(&mut self) -> bool {
        match self.before.take() {
            None => false,
            before => {
                self.state = before;
                true
            }
        }
    }

    /// Pack forgets the state before the last event; meld also shares all equal parts of the kernel.
    fn reclaim(&mut self, how: Reclaim) -> Result<(), NockMachineError> {
        self.before = None;
        if how == Reclaim::Meld
            && let Some(rock) = self.state.take()
        {
            let jam = rock.encode();
            // Both are never in memory at once, so a kernel that fitted fits again.
            drop(rock);
            self.state = Some(Rock::decode(&jam, &CueLimits::new(usize::MAX))?);
        }
        Ok(())
    }

    fn failure_kind(error: &NockMachineError) -> FailureKind {
        match error {
            NockMachineError::Cue(CueError::MemoryLimit { .. })
            | NockMachineError::Nock(NockError::OutOfMemory { .. })
            | NockMachineError::Rock(RockError::Cue(CueError::MemoryLimit { .. })) => FailureKind::Memory,
            NockMachineError::Cue(_) => FailureKind::Unreadable,
            // Fuel is a deadline that is counted, not measured.
            NockMachineError::Nock(NockError::Deadline { .. } | NockError::OutOfFuel { .. }) => {
                FailureKind::Deadline
            }
            NockMachineError::Nock(NockError::Interrupted { .. }) => FailureKind::Interrupt,
            _ => FailureKind::Crash,
        }
    }
}

impl std::fmt::Debug for NockMachine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NockMachine").field("budget", &self.budget).finish_non_exhaustive()
    }
}

/// Why the kernel could not be driven on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NockMachineError {
    /// The jam of an event is damaged.
    #[error("the event is no noun")]
    Cue(#[from] CueError),
    /// The kernel crashed, or a budget was spent. The message has the trace.
    #[error(transparent)]
    Nock(#[from] NockError),
    /// A state could not be taken.
    #[error(transparent)]
    Rock(#[from] RockError),
    /// There is no kernel yet: boot or restore first.
    #[error("there is no kernel yet: boot, or restore a state")]
    NotBooted,
    /// What should be a kernel has nothing at an axis where kernels have something.
    #[error("no kernel: there is nothing at axis {axis}")]
    NotAKernel {
        /// The axis.
        axis: u64,
    },
    /// An arm of the kernel gave no gate.
    #[error("the kernel's arm at axis {axis} gave no gate")]
    NotAGate {
        /// The axis.
        axis: u64,
    },
    /// An event gave no pair of effects and kernel.
    #[error("the event gave no effects and kernel")]
    BadProduct,
}

impl NockMachineError {
    /// Where the kernel failed, if it is the kernel that did.
    pub fn trace(&self) -> Option<&TraceReport> {
        match self {
            Self::Nock(
                NockError::Crash { trace, .. }
                | NockError::OutOfFuel { trace, .. }
                | NockError::OutOfMemory { trace, .. }
                | NockError::Deadline { trace }
                | NockError::Interrupted { trace },
            ) => Some(trace),
            _ => None,
        }
    }
}

/// What nouns of a thread take, and what can be accounted for, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LeakReport {
    /// What living nouns take.
    pub live_bytes: usize,
    /// What the state takes.
    pub reachable_bytes: usize,
}

impl LeakReport {
    /// Whether all that lives belongs to the state.
    pub fn is_clean(&self) -> bool {
        self.live_bytes == self.reachable_bytes
    }
}

/// The kernel in what the lifecycle makes.
const KERNEL: u64 = 7;
/// The kernel's arm for reading.
const PEEK_ARM: u64 = 22;
/// The kernel's poke arm.
const POKE_ARM: u64 = 23;
