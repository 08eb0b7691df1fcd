//! Runs to look at: as a trace for Perfetto, as one page of HTML, as a text of what each task waits for.

mod dump;
mod html;
mod mark;
mod perfetto;
mod timeline;

pub use timeline::Timeline;

#[cfg(test)]
mod tests;
