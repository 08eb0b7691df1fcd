//! Sets of processors.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// Some processors, by the system's numbers for them. As text `0-3,8`, the way the system writes them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CpuSet(BTreeSet<u32>);

/// What is no set of processors.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no set of processors, as 0-3,8 is")]
pub struct NoCpuSet {
    /// The part of the text that is none.
    pub text: String,
}

impl CpuSet {
    /// Whether a processor is in it.
    pub fn contains(&self, cpu: u32) -> bool {
        self.0.contains(&cpu)
    }

    /// The numbers, ascending.
    pub fn iter(&self) -> impl Iterator<Item = u32> + '_ {
        self.0.iter().copied()
    }

    /// How many.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromIterator<u32> for CpuSet {
    fn from_iter<I: IntoIterator<Item = u32>>(cpus: I) -> Self {
        Self(cpus.into_iter().collect())
    }
}

impl FromStr for CpuSet {
    type Err = NoCpuSet;

    fn from_str(text: &str) -> Result<Self, NoCpuSet> {
        let text = text.trim();
        let mut cpus = BTreeSet::new();
        for part in text.split(',').filter(|_| !text.is_empty()) {
            let refused = || NoCpuSet { text: part.to_owned() };
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            let number = |digits: &str| digits.parse().ok().filter(|cpu: &u32| *cpu < CPUS_MAX);
            let (first, last) = number(first).zip(number(last)).ok_or_else(refused)?;
            if first > last {
                return Err(refused());
            }
            cpus.extend(first..=last);
        }
        Ok(Self(cpus))
    }
}

impl fmt::Display for CpuSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut cpus = self.iter().peekable();
        let mut comma = "";
        while let Some(first) = cpus.next() {
            let mut last = first;
            while cpus.peek() == Some(&(last + 1)) {
                last = cpus.next().unwrap_or(last);
            }
            write!(f, "{comma}{first}")?;
            if last > first {
                write!(f, "-{last}")?;
            }
            comma = ",";
        }
        Ok(())
    }
}

/// More the kernel has not.
const CPUS_MAX: u32 = 1 << 16;

#[cfg(test)]
mod tests {
    use super::CpuSet;

    #[test]
    fn sets_are_read_and_written_as_the_system_does() {
        for (text, cpus) in
            [("0-3,8\n", vec![0, 1, 2, 3, 8]), ("5", vec![5]), ("", vec![]), ("7,0-1", vec![0, 1, 7])]
        {
            let set: CpuSet = text.parse().unwrap();
            assert_eq!(set.iter().collect::<Vec<_>>(), cpus, "{text}");
            assert_eq!(set.to_string().parse(), Ok(set));
        }
        assert_eq!("7,0-1,2".parse::<CpuSet>().unwrap().to_string(), "0-2,7");
        for text in ["a", "3-1", "1,", "-1", "1-", "0-4294967295", "99999999999"] {
            text.parse::<CpuSet>().unwrap_err();
        }
    }
}
