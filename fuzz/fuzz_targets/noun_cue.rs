//! Any bytes cued within little memory: an error, or a noun that jams to what cues to it again.
#![no_main]

use libfuzzer_sys::fuzz_target;
use samestep_noun::{CueLimits, Noun, live_bytes};

fuzz_target!(|data: &[u8]| {
    const LIMIT: usize = 1 << 22;
    let before = live_bytes();
    if let Ok(noun) = Noun::cue_within(data, &CueLimits::new(LIMIT)) {
        assert!(live_bytes() - before <= LIMIT);
        let jam = noun.jam();
        let again = Noun::cue_within(&jam, &CueLimits::new(LIMIT)).expect("what was jammed is a jam");
        assert!(again == noun);
        assert_eq!(again.mug(), noun.mug());
        assert_eq!(again.jam(), jam);
        assert!(noun.to_string().len() < 50_000);
    }
    assert_eq!(live_bytes(), before);
});
