//! The page in a real browser: at two sizes, light and dark, by keyboard, by screen reader, and without its script.

mod devtools;

use std::path::PathBuf;

use serde_json::json;

use crate::browser::devtools::Browser;
use crate::command::Workspace;

/// A page on a run in which lanes diverged, early and late, failed, and were skipped.
fn failing() -> (Workspace, PathBuf) {
    let workspace = Workspace::new();
    let lanes = "--lane control/ --lane planted/late --lane planted/local-time --lane unruly/panicking \
                 --lane unruly/skipping --lane unruly/skipping-sometimes";
    workspace
        .run(&format!("{lanes} --iterations 40 --report page.html"))
        .check(1, &["FAILED   planted/late"]);
    let path = workspace.path().join("page.html");
    (workspace, path)
}

fn passing() -> (Workspace, PathBuf) {
    let workspace = Workspace::new();
    let tame = [("SAMESTEP_FIXTURE", "tame")];
    workspace.run_with("--bless --iterations 2", &tame).check(0, &[]);
    workspace.run_with("--iterations 100 --report page.html", &tame).check(0, &["same: 1 held"]);
    let path = workspace.path().join("page.html");
    (workspace, path)
}

/// Whether the element is between the edges of another, or of the window.
const IN_VIEW: &str = "(() => {
  const row = document.querySelector('#lane-planted-late tr.first').getBoundingClientRect();
  const frame = document.querySelector('#lane-planted-late .scroll').getBoundingClientRect();
  return row.height > 0 && row.top >= frame.top && row.bottom <= frame.bottom;
})()";

/// The least contrast of any text with what is behind it, by WCAG 2.2.
const CONTRAST: &str = "(() => {
  const parse = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const [red, green, blue, alpha = 1] = parse(getComputedStyle(at).backgroundColor);
      if (alpha > 0) return [red, green, blue];
    }
  };
  const light = (color) => {
    const [red, green, blue] = color.map((part) => {
      const share = part / 255;
      return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  let least = 21;
  for (const element of document.querySelectorAll('body *:not(script)')) {
    if (![...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim())) continue;
    const pair = [light(parse(getComputedStyle(element).color).slice(0, 3)), light(behind(element))];
    least = Math.min(least, (Math.max(...pair) + 0.05) / (Math.min(...pair) + 0.05));
  }
  return least;
})()";

#[test]
fn a_failing_run() {
    let (_workspace, path) = failing();
    let Some(mut browser) = Browser::start() else { return };
    browser.resize(1280, 900);
    browser.open(&path);
    assert_eq!(
        browser.evaluate("document.querySelector('h1').textContent"),
        "Not the same: 5 of 7 lanes failed"
    );
    assert_eq!(browser.evaluate(IN_VIEW), true);
    let marked = browser.evaluate("document.querySelector('#lane-planted-late tr.first').innerText");
    let marked = marked.as_str().unwrap();
    assert!(marked.contains("701") && marked.matches("created|at=2001-09-09T").count() == 2, "{marked}");
    assert_eq!(browser.complaints(), [""; 0]);
}

#[test]
fn nothing_is_wider_than_the_window() {
    let (_workspace, path) = failing();
    let Some(mut browser) = Browser::start() else { return };
    for (width, height) in [(1280, 900), (360, 740)] {
        browser.resize(width, height);
        browser.open(&path);
        let widest = browser.evaluate("document.documentElement.scrollWidth").as_u64().unwrap();
        assert!(widest <= width.into(), "{widest} at {width} pixels");
        assert_eq!(browser.evaluate(IN_VIEW), true, "at {width} pixels");
    }
}

#[test]
fn light_and_dark_can_be_read() {
    let (_workspace, path) = failing();
    let Some(mut browser) = Browser::start() else { return };
    let mut pages = Vec::new();
    for scheme in ["light", "dark"] {
        browser.prefer(scheme);
        browser.open(&path);
        pages.push(browser.evaluate("getComputedStyle(document.body).backgroundColor"));
        let least = browser.evaluate(CONTRAST).as_f64().unwrap();
        assert!(least >= 4.5, "{scheme}: {least}");
    }
    assert_eq!(pages, [json!("rgb(255, 255, 255)"), json!("rgb(20, 23, 28)")]);
}

#[test]
fn the_keyboard_reaches_every_run() {
    let (_workspace, path) = failing();
    let Some(mut browser) = Browser::start() else { return };
    browser.open(&path);
    let is_in_matrix = "document.activeElement.getAttribute('role') === 'gridcell'";
    for _ in 0..40 {
        browser.press("Tab");
        if browser.evaluate(is_in_matrix) == true {
            break;
        }
    }
    assert_eq!(browser.evaluate(is_in_matrix), true, "Tab gets there");
    let mut detail = |keys: &[&str]| {
        for key in keys {
            browser.press(key);
        }
        browser.evaluate("document.getElementById('detail').textContent").as_str().unwrap().to_owned()
    };
    let first = detail(&["ArrowRight", "ArrowLeft"]);
    assert!(first.starts_with("canary/hash-order, iteration 0: transcript A, digest "), "{first}");
    assert!(first.contains("time zone (TZ): UTC; locale"), "{first}");
    let other = detail(&["ArrowDown", "ArrowDown", "ArrowDown", "End"]);
    assert!(other.starts_with("planted/local-time, iteration 39: transcript "), "{other}");
    let last = detail(&["PageDown", "ArrowDown", "ArrowRight"]);
    assert!(
        last.starts_with("unruly/skipping-sometimes, iteration 39: skipped: seven is too many"),
        "{last}"
    );
}

#[test]
fn a_screen_reader_hears_names() {
    let (_workspace, path) = failing();
    let Some(mut browser) = Browser::start() else { return };
    browser.open(&path);
    let told = browser.accessible();
    let named = |role: &'static str| {
        let of_role = told.iter().filter(move |(other, _)| other == role);
        of_role.map(|(_, name)| name.as_str())
    };
    assert_eq!(named("heading").next(), Some("Not the same: 5 of 7 lanes failed"));
    assert_eq!(named("main").count(), 1);
    assert_eq!(named("grid").collect::<Vec<_>>(), ["Every run"]);
    assert!(named("region").any(|name| name == "both transcripts of planted/late"), "{told:?}");
    assert!(named("rowheader").any(|name| name == "first difference, 701"), "{told:?}");
    assert_eq!(named("gridcell").count(), 7 * 40);
    for role in ["region", "article", "heading", "link", "gridcell", "columnheader", "rowheader"] {
        assert!(named(role).all(|name| !name.trim().is_empty()), "a nameless {role}");
    }
}

#[test]
fn without_its_script_everything_stands_there() {
    let (_workspace, path) = failing();
    let Some(mut browser) = Browser::start() else { return };
    browser.call("Emulation.setScriptExecutionDisabled", &json!({"value": true}));
    browser.open(&path);
    let told = browser.accessible();
    let is_told = |text: &str| told.iter().any(|(_, name)| name.contains(text));
    for text in ["Not the same", "first difference, 701", "created|at=2001-09-09T", "the planted panic"] {
        assert!(is_told(text), "{text}");
    }
}

#[test]
fn a_passing_run() {
    let (_workspace, path) = passing();
    let Some(mut browser) = Browser::start() else { return };
    for (width, height) in [(1280, 900), (360, 740)] {
        browser.resize(width, height);
        browser.open(&path);
        assert_eq!(browser.evaluate("document.title"), "Same: 1 lanes held");
        assert_eq!(browser.evaluate("document.querySelectorAll('.failure').length"), 0);
        assert_eq!(browser.evaluate("document.querySelectorAll('.matrix td.a').length"), 100);
        let widest = browser.evaluate("document.documentElement.scrollWidth").as_u64().unwrap();
        assert!(widest <= width.into(), "{widest} at {width} pixels");
        assert_eq!(browser.complaints(), [""; 0]);
    }
}
