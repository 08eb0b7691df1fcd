//! SevenDB tests on our outbox.
