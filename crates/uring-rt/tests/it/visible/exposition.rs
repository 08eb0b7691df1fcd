//! A reader of Prometheus' text format that knows nothing of who writes it, from the format's description:
//! <https://prometheus.io/docs/instrumenting/exposition_formats/>.

use std::collections::BTreeMap;

use samestep_uring_rt::prometheus_page;

use crate::machine::ALL;

/// Samples by name and labels, as they stand in the text.
pub(crate) type Samples = BTreeMap<(String, Labels), String>;

pub(crate) type Labels = Vec<(String, String)>;

/// Name, labels and value.
type Sample = (String, Labels, String);

/// A family's name, its kind, and its samples so far.
#[derive(Debug)]
struct Family<'a> {
    name: &'a str,
    kind: &'a str,
    samples: Vec<Sample>,
}

/// Reads a page, or says what is wrong with it.
pub(crate) fn read(text: &str) -> Result<Samples, String> {
    if !text.ends_with('\n') {
        return Err("the last line does not end".into());
    }
    let mut families: Vec<Family> = Vec::new();
    let mut help: Option<&str> = None;
    for line in text.lines() {
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, _) = rest.split_once(' ').ok_or(format!("no help: {line}"))?;
            help = Some(name);
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').ok_or(format!("no type: {line}"))?;
            if help.take() != Some(name) || !["counter", "gauge", "histogram"].contains(&kind) {
                return Err(format!("help and type do not fit: {line}"));
            }
            if !is_name(name) || families.iter().any(|family| family.name == name) {
                return Err(format!("no name, or twice: {line}"));
            }
            if (kind == "counter") != name.ends_with("_total") {
                return Err(format!("a counter and nothing else ends in _total: {line}"));
            }
            families.push(Family { name, kind, samples: Vec::new() });
        } else {
            let family = families.last_mut().filter(|_| help.is_none());
            let family = family.ok_or(format!("a sample before its family: {line}"))?;
            let sample = read_sample(line).ok_or(format!("no sample: {line}"))?;
            let suffix = sample.0.strip_prefix(family.name).ok_or(format!("of another family: {line}"))?;
            let suffixes: &[&str] =
                if family.kind == "histogram" { &["_bucket", "_sum", "_count"] } else { &[""] };
            if !suffixes.contains(&suffix) {
                return Err(format!("of another family: {line}"));
            }
            family.samples.push(sample);
        }
    }
    let mut all = Samples::new();
    for family in families {
        if family.kind == "histogram" {
            check_histogram(&family)?;
        }
        for (name, labels, value) in family.samples {
            if all.insert((name.clone(), labels.clone()), value).is_some() {
                return Err(format!("{name} {labels:?} twice"));
            }
        }
    }
    Ok(all)
}

/// `name{label="value",..} number`.
fn read_sample(line: &str) -> Option<Sample> {
    let (name, rest) = line.split_at(line.find(['{', ' '])?);
    let (mut labels, mut rest) = (Vec::new(), rest);
    if let Some(mut inner) = rest.strip_prefix('{') {
        loop {
            let (label, after) = inner.split_once("=\"")?;
            let mut value = String::new();
            let mut chars = after.char_indices();
            let end = loop {
                match chars.next()? {
                    (at, '"') => break at,
                    (_, '\\') => value.push(match chars.next()?.1 {
                        'n' => '\n',
                        escaped @ ('\\' | '"') => escaped,
                        _ => return None,
                    }),
                    (_, char) => value.push(char),
                }
            };
            if !is_name(label) || label.contains(':') {
                return None;
            }
            labels.push((label.to_owned(), value));
            let after = &after[end + 1..];
            match after.strip_prefix(',') {
                Some(next) => inner = next,
                None => break rest = after.strip_prefix('}')?,
            }
        }
    }
    let value = rest.strip_prefix(' ')?;
    value.parse::<f64>().ok()?;
    is_name(name).then_some((name.to_owned(), labels, value.to_owned()))
}

fn is_name(name: &str) -> bool {
    let is_first = |char: char| char.is_ascii_alphabetic() || char == '_' || char == ':';
    name.starts_with(is_first) && name.chars().all(|char| is_first(char) || char.is_ascii_digit())
}

/// Buckets ascend, count all that are below, and end with all there are.
fn check_histogram(family: &Family) -> Result<(), String> {
    let mut series: BTreeMap<Labels, Vec<(f64, u64)>> = BTreeMap::new();
    for (name, labels, value) in &family.samples {
        if name.ends_with("_bucket") {
            let (bounds, labels): (Vec<_>, Vec<_>) =
                labels.iter().cloned().partition(|(name, _)| name == "le");
            let [(_, bound)] = &bounds[..] else { return Err(format!("a bucket without bound: {labels:?}")) };
            let bound = bound.parse().map_err(|_| format!("no bound: {bound}"))?;
            let count = value.parse().map_err(|_| format!("no count: {value}"))?;
            series.entry(labels).or_default().push((bound, count));
        }
    }
    for (labels, buckets) in series {
        let ascends = buckets.is_sorted_by(|(low, few), (high, many)| low < high && few <= many);
        let (bound, total) = buckets[buckets.len() - 1];
        let other = |suffix| {
            let name = format!("{}{suffix}", family.name);
            let found = family.samples.iter().find(|(other, of, _)| *other == name && *of == labels);
            found.map(|(_, _, value)| value.clone())
        };
        let total = Some(total.to_string());
        if !ascends || bound != f64::INFINITY || other("_count") != total || other("_sum").is_none() {
            return Err(format!("{} {labels:?}: {buckets:?}", family.name));
        }
    }
    Ok(())
}

/// The reader itself: what a page may not have it does not read.
#[test]
fn the_reader_reads_no_garbage() {
    let good = "# HELP a_total A.\n# TYPE a_total counter\na_total{b=\"c\\\"\\n\"} 1\na_total{b=\"d\"} 2\n";
    let labels = vec![("b".to_owned(), "c\"\n".to_owned())];
    assert_eq!(read(good).unwrap()[&("a_total".to_owned(), labels)], "1");
    for (from, to) in [
        ("2\n", "2"),
        ("{b=\"d\"}", "{b=\"c\\\"\\n\"}"),
        ("a_total{b=\"d\"}", "b_total"),
        ("# HELP a_total A.\n", ""),
        ("{b=\"d\"}", "{b=d}"),
        ("{b=\"d\"}", "{b=\"d}"),
        ("counter", "thing"),
        (" 2", " two"),
    ] {
        assert!(good.contains(from));
        read(&good.replace(from, to)).unwrap_err();
    }
    read(&format!("{good}{good}")).unwrap_err();
    let histogram = "# HELP h H.\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_bucket{le=\"+Inf\"} 2\nh_sum 3\nh_count 2\n";
    read(histogram).unwrap();
    for (from, to) in
        [("+Inf", "7"), ("h_count 2", "h_count 1"), ("} 1\n", "} 3\n"), ("le=\"1\"", "le=\"x\"")]
    {
        assert!(histogram.contains(from));
        read(&histogram.replace(from, to)).unwrap_err();
    }
}

/// Several shards on one page, in each of which everything is counted.
#[test]
fn a_page_of_several_shards_has_each_family_once() {
    for machine in ALL {
        let Some(runtime) = machine.runtime() else { continue };
        runtime.block_on(async {});
        let stats = runtime.stats();
        let page = prometheus_page([("0", &stats), ("a \"name\"\\\n", &stats)]);
        let samples = read(&page).unwrap_or_else(|wrong| panic!("{wrong}\n{page}"));
        for shard in ["0", "a \"name\"\\\n"] {
            let labels = vec![("shard".to_owned(), shard.to_owned())];
            let turns = stats.turns.to_string();
            assert_eq!(samples[&("samestep_uring_turns_total".to_owned(), labels)], turns);
        }
    }
}
