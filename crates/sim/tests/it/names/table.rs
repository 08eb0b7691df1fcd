//! The page that maps the seed's names to ours says what is there.

use std::fs;
use std::path::Path;

#[test]
fn the_page_has_each_name_and_its_test() {
    let page = include_str!("../../../../../docs/sim-seed-api.md");
    let rows: Vec<Vec<&str>> =
        page.lines().filter(|line| line.starts_with("| ")).map(|line| line.split('`').collect()).collect();
    for name in NAMES.split_whitespace() {
        let row = rows.iter().find(|row| row.get(1) == Some(&name));
        assert!(row.is_some(), "no row for {name}");
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let mut tests = 0;
    for row in rows.iter().filter(|row| row.len() >= 4) {
        let (file, test) = (row[row.len() - 4], row[row.len() - 2]);
        let source = fs::read_to_string(root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"));
        assert!(source.contains(&format!("#[test]\nfn {test}() {{")), "no test {test} in {file}");
        tests += 1;
    }
    assert!(tests >= NAMES.split_whitespace().count() + 9, "{tests} rows with a test");
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
