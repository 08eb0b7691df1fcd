//! Checks the events of one data file, one by one.

use samestep_noun::Noun;

use crate::data_file::DataFile;
use crate::epochs::Layout;
use crate::error::ReadError;
use crate::vere::event::{EventError, StoredEvent};
use crate::vere::finding::Problem;
use crate::vere::job::{Job, JobError};

/// A check of events in progress.
pub(super) struct Events {
    /// The number that comes next, if it is known.
    expected: Option<u64>,
    last: u64,
    /// How many events boot the ship: later ones are jobs.
    life: u64,
    count: u64,
    /// The date of the last job, and its number.
    now: Option<(u128, u64)>,
    /// The last event with a mug.
    mugged: Option<u64>,
    problems: Vec<Problem>,
}

impl Events {
    pub(super) fn new(first: Option<u64>, last: u64, life: u64) -> Self {
        Self { expected: first, last, life, count: 0, now: None, mugged: None, problems: Vec::new() }
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    pub(super) fn into_problems(self) -> Vec<Problem> {
        self.problems
    }

    /// Reads all events, around damaged pages. `progress` is told every number.
    pub(super) fn walk(&mut self, file: &DataFile, progress: &mut dyn FnMut(u64)) -> Result<(), Problem> {
        let unreadable = |error: &ReadError| Problem::Unreadable { why: super::chain(error) };
        let table = file.table(Layout::VERE.events_table.as_bytes()).map_err(|error| unreadable(&error))?;
        let Some(table) = table else { return Ok(()) };
        let mut events = file.events(table).map_err(|error| unreadable(&error))?;
        loop {
            match events.next_event() {
                Ok(Some(event)) => {
                    self.event(event.number, event.value);
                    progress(event.number);
                }
                Ok(None) => return Ok(()),
                // The check of the pages has told of the page; here it is gone around.
                Err(ReadError::Damaged { lost, .. }) => match lost.last {
                    Some(last) if Some(last) >= self.expected && last < self.last => {
                        self.expected = Some(last + 1);
                        events.seek(last + 1);
                    }
                    _ => return Ok(()),
                },
                Err(error) => return Err(unreadable(&error)),
            }
        }
    }

    fn event(&mut self, number: u64, value: &[u8]) {
        if let Some(first) = self.expected.filter(|expected| number > *expected) {
            self.problems.push(Problem::Gap { first, last: number - 1 });
        }
        self.expected = Some(number.saturating_add(1));
        self.count += 1;
        match StoredEvent::decode(value) {
            Ok(event) => {
                self.mug(number, event.mug);
                self.noun(number, event.jam);
            }
            Err(problem) => self.problem(number, problem),
        }
    }

    fn problem(&mut self, number: u64, problem: EventError) {
        self.problems.push(Problem::Event { number, problem });
    }

    /// Events of the boot sequence are any nouns, later ones are jobs with a date.
    fn noun(&mut self, number: u64, jam: &[u8]) {
        if number <= self.life {
            if let Err(error) = Noun::cue(jam) {
                self.problems.push(Problem::Job { number, why: JobError::from(error).to_string() });
            }
            return;
        }
        match Job::cue(jam) {
            Ok(job) => {
                if let Some((_, before)) = self.now.filter(|(now, _)| job.now < *now) {
                    self.problems.push(Problem::Date { number, before });
                }
                self.now = Some((job.now, number));
            }
            Err(error) => self.problems.push(Problem::Job { number, why: error.to_string() }),
        }
    }

    /// Boot events have no mug. Once there was one, there is always one.
    fn mug(&mut self, number: u64, mug: u32) {
        match (mug, self.mugged) {
            (0, Some(before)) if number > self.life => {
                self.problems.push(Problem::MugZero { number, before });
            }
            (0, _) => {}
            _ => self.mugged = Some(number),
        }
    }
}
