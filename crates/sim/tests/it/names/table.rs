//! The pages that say which test shows what say so of tests that are there.

use std::fs;
use std::path::Path;

#[test]
fn the_page_has_each_name_and_its_test() {
    let page = include_str!("../../../../../docs/sim-seed-api.md");
    for name in NAMES.split_whitespace() {
        let mut rows = page.lines().filter(|line| line.starts_with(&format!("| `{name}` | ")));
        assert!(rows.next().is_some_and(|row| tests_of(row) == 1), "no row with a test for {name}");
    }
    let faults = page.lines().skip_while(|line| !line.starts_with("| Mechanism")).skip(2);
    let faults: Vec<&str> = faults.take_while(|line| line.starts_with("| ")).collect();
    assert_eq!(faults.iter().filter(|row| tests_of(row) == 1).count(), 9, "{faults:?}");
}

/// Each row of a capability has a test that is there, and each gate.
#[test]
fn the_page_of_capabilities_has_tests() {
    let page = include_str!("../../../../../docs/sim-parity.md");
    let rows = page.lines().filter(|line| line.starts_with("| ") && !line.ends_with("| Test |"));
    let without: Vec<&str> = rows.filter(|row| tests_of(row) == 0).collect();
    assert_eq!(without, [""; 0]);
    for gate in 1..=10 {
        assert!(page.lines().any(|line| line.starts_with(&format!("| {gate}. "))), "no gate {gate}");
    }
}

/// How many tests a row names. Each is a file and a function, one behind the other, and is there.
fn tests_of(row: &str) -> usize {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let quoted: Vec<&str> = row.split('`').skip(1).step_by(2).collect();
    let is_source = |name: &str| Path::new(name).extension().is_some_and(|extension| extension == "rs");
    let tests = quoted.windows(2).filter(|two| is_source(two[0]));
    tests
        .map(|two| {
            let (file, test) = (two[0], two[1]);
            let source =
                fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
            let is_there = source.split("#[test]").skip(1).any(|rest| {
                let is_attribute = |line: &&str| line.trim().is_empty() || line.trim().starts_with("#[");
                let name = rest.lines().find(|line| !is_attribute(line)).unwrap_or_default();
                name.trim() == format!("fn {test}() {{")
            });
            assert!(is_there, "no test {test} in {file}");
        })
        .count()
}

/// What the documentation of moonpool-sim 0.2 names.
const NAMES: &str = "
    ConnectionStateChange Event EventQueue NetworkOperation ScheduledEvent SimWorld SleepFuture WeakSimWorld
    get_current_sim_seed reset_sim_rng set_sim_seed sim_random sim_random_range sim_random_range_or_default
    IterationControl SimulationBuilder SimulationMetrics SimulationReport TokioReport TokioRunner WorkloadTopology
    AssertionStats InvariantCheck StateRegistry
    buggify_init buggify_reset get_assertion_results panic_on_assertion_violations reset_assertion_results
    validate_assertion_contracts
    ChaosConfiguration ConnectFailureMode NetworkConfiguration SimNetworkProvider sample_duration
    SimRandomProvider SimTimeProvider
    chaos network providers runner sim
    always_assert buggify buggify_with_prob sometimes_assert
    Endpoint JsonCodec NetworkAddress TokioNetworkProvider TokioTaskProvider TokioTimeProvider UID
    CodecError NetworkAddressParseError SimulationError WellKnownToken WELL_KNOWN_RESERVED_COUNT
    MessageCodec NetworkProvider RandomProvider TaskProvider TcpListenerTrait TimeProvider
    SimulationResult
";
