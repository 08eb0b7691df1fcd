//! The page of a run in a headless browser: at two sizes, by keyboard, by mouse.

use std::path::Path;

use serde_json::Value;

use super::devtools::Browser;

/// Opens the page, and tries all that a reader of it does.
pub(super) fn try_page(path: &Path) {
    let Some(mut browser) = Browser::start() else { return };
    for (width, height) in [(1280, 800), (390, 844)] {
        browser.resize(width, height);
        browser.open(path);
        assert_eq!(browser.complaints(), Vec::<String>::new());
        fits(&mut browser, width);
        walks_by_keys(&mut browser);
        zooms(&mut browser);
        is_dragged(&mut browser);
        filters(&mut browser);
        assert_eq!(browser.complaints(), Vec::<String>::new());
    }
}

fn number(browser: &mut Browser, expression: &str) -> f64 {
    let value = browser.evaluate(expression);
    value.as_f64().unwrap_or_else(|| panic!("{expression} is {value}"))
}

fn text(browser: &mut Browser, expression: &str) -> String {
    browser.evaluate(expression).as_str().unwrap_or_default().to_owned()
}

/// Nothing stands out of the page, the lanes are named, and what failed is chosen and in view.
fn fits(browser: &mut Browser, width: u32) {
    assert!(number(browser, "document.documentElement.scrollWidth") <= f64::from(width));
    let lanes = "[...byId('lanes').children].map(lane => lane.textContent).join()";
    assert!(text(browser, lanes).ends_with("node-0,node-1,node-2,user"), "{}", text(browser, lanes));
    assert_eq!(browser.evaluate("chosen[KIND] === CHECK"), Value::Bool(true));
    assert_eq!(browser.evaluate("chosen[TIME] >= from && chosen[TIME] <= from + span"), Value::Bool(true));
    // Something is drawn where the chosen mark is.
    let ink = "(() => {
        const x = Math.round(xOf(chosen[TIME])), y = Math.round(yOf(chosen[LANE]));
        const scale = window.devicePixelRatio || 1;
        const pixels = pen.getImageData((x - 9) * scale, (y - 9) * scale, 18 * scale, 18 * scale).data;
        return pixels.filter((_, place) => place % 4 === 3).filter(alpha => alpha > 0).length;
    })()";
    assert!(number(browser, ink) > 20.0, "{} dots", number(browser, ink));
}

/// The chart is reached by the tab key; arrows go from event to event, and letters do what the buttons do.
fn walks_by_keys(browser: &mut Browser) {
    browser.evaluate("document.activeElement.blur()");
    let mut tabs = 0;
    while browser.evaluate("document.activeElement === chart") != Value::Bool(true) {
        browser.press("Tab");
        tabs += 1;
        assert!(tabs < 40, "the tab key does not reach the chart");
    }
    let at = |browser: &mut Browser| number(browser, "visible.indexOf(chosen)");
    let before = at(browser);
    browser.press("ArrowLeft");
    browser.press("ArrowLeft");
    assert!((at(browser) - (before - 2.0)).abs() < 0.5, "{} after {before}", at(browser));
    let details = text(browser, "byId('details').textContent");
    let expected = text(browser, "String(chosen[NUMBER])");
    assert!(details.contains(&expected), "{expected} is not in {details}");
    assert_eq!(browser.evaluate("document.querySelectorAll('#list [aria-current]').length"), 1);
    browser.press("ArrowRight");
    assert!((at(browser) - (before - 1.0)).abs() < 0.5);
    browser.press("f");
    assert!((at(browser) - before).abs() < 0.5);
    // A row of the list is chosen by keys as well.
    browser.evaluate("byId('list').querySelector('button').focus()");
    browser.press("Enter");
    assert_eq!(
        browser.evaluate("chosen === visible[Math.max(visible.indexOf(chosen), 0)]"),
        Value::Bool(true)
    );
    assert!(at(browser) < before, "{} after {before}", at(browser));
    browser.evaluate("chart.focus()");
    browser.press("f");
}

/// Keys, buttons and the wheel zoom; the wheel keeps what is under it where it is.
fn zooms(browser: &mut Browser) {
    browser.evaluate("chart.focus()");
    browser.press("0");
    let whole = number(browser, "span");
    assert!(number(browser, "from") < 0.0 && number(browser, "from + span") > number(browser, "data.end"));
    browser.press("+");
    browser.press("+");
    assert!((number(browser, "span") / whole - 0.25).abs() < 1e-9);
    browser.press("-");
    assert!((number(browser, "span") / whole - 0.5).abs() < 1e-9);
    browser.evaluate("byId('in').click()");
    assert!((number(browser, "span") / whole - 0.25).abs() < 1e-9);
    browser.evaluate("byId('all').click()");
    assert!((number(browser, "span") / whole - 1.0).abs() < 1e-9);
    let at = middle(browser);
    let under = "timeOf(chart.clientWidth / 2)";
    let before = number(browser, under);
    browser.mouse("mouseWheel", at, -600.0);
    // The event of a wheel is handled before the next frame.
    browser.evaluate("new Promise(requestAnimationFrame)");
    let zoomed = number(browser, "span") / whole;
    assert!((0.3..0.6).contains(&zoomed), "{zoomed} of the whole");
    assert!((number(browser, under) - before).abs() < whole * 0.01);
    browser.press("0");
}

/// The chart goes along with the mouse.
fn is_dragged(browser: &mut Browser) {
    let (x, y) = middle(browser);
    let (before, span) = (number(browser, "from"), number(browser, "span"));
    let share = 60.0 / number(browser, "chart.clientWidth - 2 * LEFT");
    browser.mouse("mousePressed", (x, y), 0.0);
    browser.mouse("mouseMoved", (x - 20.0, y), 0.0);
    browser.mouse("mouseMoved", (x - 60.0, y), 0.0);
    browser.mouse("mouseReleased", (x - 60.0, y), 0.0);
    let moved = (number(browser, "from") - before) / span;
    assert!((moved - share).abs() < 0.02, "{moved} in place of {share}");
    browser.evaluate("showAll()");
}

/// What is typed is what is listed, and kinds are switched on and off.
fn filters(browser: &mut Browser) {
    let all = number(browser, "visible.length");
    browser.evaluate("byId('find').focus()");
    for letter in ["l", "e", "a", "d", "s"] {
        browser.press(letter);
    }
    let found = number(browser, "visible.length");
    assert!(found > 0.0 && found < all, "{found} of {all}");
    let has_it =
        "visible.every(mark => (mark[TEXT] + data.lanes[mark[LANE]]).toLowerCase().includes('leads'))";
    assert_eq!(browser.evaluate(has_it), Value::Bool(true));
    browser.evaluate("byId('find').value = ''; filter()");
    let boxes = "document.querySelectorAll('#kinds input')";
    browser.evaluate(&format!("{boxes}.forEach(box => {{ if (box.checked) box.click(); }})"));
    assert_eq!(browser.evaluate("visible.length"), 0);
    browser.evaluate(&format!("{boxes}.forEach(box => box.click())"));
    assert!(number(browser, "visible.length") >= all);
}

/// The middle of the chart, in the page.
fn middle(browser: &mut Browser) -> (f64, f64) {
    browser.evaluate("chart.scrollIntoView({ block: 'center' })");
    let place = |browser: &mut Browser, side: &str, size: &str| {
        number(browser, &format!("canvas.getBoundingClientRect().{side} + chart.{size} / 2"))
    };
    (place(browser, "left", "clientWidth"), place(browser, "top", "clientHeight"))
}
