//! A headless browser, spoken to over the DevTools protocol in its pipe form: JSON messages that end in a zero byte.

use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use tempfile::TempDir;

/// A browser with one page open.
pub(crate) struct Browser {
    child: Child,
    requests: File,
    replies: BufReader<File>,
    session: String,
    last_id: u64,
    /// What the browser told without being asked.
    events: Vec<Value>,
    _folder: TempDir,
}

impl Browser {
    /// Starts the browser that this machine has, or gives `None` and says so.
    pub(crate) fn start() -> Option<Self> {
        let Some(program) = find() else {
            assert!(!is_required(), "SAMESTEP_REQUIRE=all, and no browser was found: install chromium");
            eprintln!("skipped: no chromium or chrome here, so the page was looked at by nobody");
            return None;
        };
        let folder = tempfile::tempdir().unwrap();
        let pipes = ["requests", "replies"].map(|name| folder.path().join(name));
        assert!(Command::new("mkfifo").args(&pipes).status().unwrap().success());
        // The browser reads from descriptor 3 and writes to 4; a shell can put them there without `unsafe`.
        let child = Command::new("sh")
            .arg("-c")
            .arg("requests=$1 replies=$2; shift 2; exec \"$@\" 3<\"$requests\" 4>\"$replies\"")
            .arg("sh")
            .args(&pipes)
            .arg(program)
            .args(["--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"])
            .args(["--no-first-run", "--remote-debugging-pipe"])
            .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
            .arg("about:blank")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let requests = OpenOptions::new().write(true).open(&pipes[0]).unwrap();
        let replies = BufReader::new(File::open(&pipes[1]).unwrap());
        let (session, events) = (String::new(), Vec::new());
        let mut browser = Self { child, requests, replies, session, last_id: 0, events, _folder: folder };
        let target = browser.call("Target.createTarget", &json!({"url": "about:blank"}))["targetId"].clone();
        let attached = browser.call("Target.attachToTarget", &json!({"targetId": target, "flatten": true}));
        attached["sessionId"].as_str().unwrap().clone_into(&mut browser.session);
        for domain in ["Page", "Network", "Runtime"] {
            browser.call(&format!("{domain}.enable"), &json!({}));
        }
        Some(browser)
    }

    /// Opens a file, and waits until it is loaded.
    pub(crate) fn open(&mut self, path: &Path) {
        self.events.clear();
        self.call("Page.navigate", &json!({"url": format!("file://{}", path.display())}));
        while !self.events.iter().any(|event| event["method"] == "Page.loadEventFired") {
            let event = self.read();
            self.events.push(event);
        }
    }

    /// Makes the window this large, in CSS pixels.
    pub(crate) fn resize(&mut self, width: u32, height: u32) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.call("Emulation.setDeviceMetricsOverride", &size);
    }

    /// Presses and releases a key: the one called so, or that of a character.
    pub(crate) fn press(&mut self, key: &str) {
        let code = match key {
            "Tab" => 9,
            "Enter" => 13,
            " " => 32,
            "ArrowLeft" => 37,
            "ArrowRight" => 39,
            _ => 0,
        };
        let text = match key {
            "Enter" => "\r",
            key if key.len() == 1 => key,
            _ => "",
        };
        for kind in ["keyDown", "keyUp"] {
            let event =
                json!({"type": kind, "key": key, "code": key, "text": text, "windowsVirtualKeyCode": code});
            self.call("Input.dispatchKeyEvent", &event);
        }
    }

    /// Does something with the mouse at a point of the page: `mousePressed`, `mouseMoved`, `mouseReleased`, `mouseWheel`.
    pub(crate) fn mouse(&mut self, what: &str, (x, y): (f64, f64), wheel: f64) {
        let buttons = u8::from(what == "mousePressed" || what == "mouseMoved");
        let event = json!({
            "type": what, "x": x, "y": y, "button": "left", "buttons": buttons, "clickCount": 1,
            "deltaX": 0, "deltaY": wheel,
        });
        self.call("Input.dispatchMouseEvent", &event);
    }

    /// What a JavaScript expression gives in the page.
    #[track_caller]
    pub(crate) fn evaluate(&mut self, expression: &str) -> Value {
        let result = self.call(
            "Runtime.evaluate",
            &json!({"expression": expression, "returnByValue": true, "awaitPromise": true}),
        );
        assert_eq!(result["exceptionDetails"], Value::Null, "{expression}");
        result["result"]["value"].clone()
    }

    /// Addresses that the page asked for since it was opened, and errors that its script made.
    pub(crate) fn complaints(&self) -> Vec<String> {
        let told = |event: &Value| match event["method"].as_str()? {
            "Network.requestWillBeSent" => {
                let url = event["params"]["request"]["url"].as_str()?;
                (!url.starts_with("file:") && !url.starts_with("data:")).then(|| url.to_owned())
            }
            "Runtime.exceptionThrown" => Some(event["params"].to_string()),
            _ => None,
        };
        self.events.iter().filter_map(told).collect()
    }

    /// Calls a method of the protocol and waits for its result.
    #[track_caller]
    fn call(&mut self, method: &str, params: &Value) -> Value {
        self.last_id += 1;
        let mut message = json!({"id": self.last_id, "method": method, "params": params});
        if !self.session.is_empty() {
            message["sessionId"] = json!(self.session);
        }
        self.requests.write_all(format!("{message}\0").as_bytes()).unwrap();
        loop {
            let mut reply = self.read();
            if reply["id"] == self.last_id {
                assert_eq!(reply["error"], Value::Null, "{method}");
                return reply["result"].take();
            }
            self.events.push(reply);
        }
    }

    fn read(&mut self) -> Value {
        let mut bytes = Vec::new();
        self.replies.read_until(0, &mut bytes).unwrap();
        assert_eq!(bytes.pop(), Some(0), "the browser has gone away");
        serde_json::from_slice(&bytes).unwrap()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[expect(clippy::disallowed_methods, reason = "which browser there is depends on the machine")]
fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let named = ["chromium", "chromium-browser", "google-chrome", "chrome"];
    let in_path = std::env::split_paths(&path).flat_map(|folder| named.map(|name| folder.join(name)));
    let on_macos = PathBuf::from("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome");
    in_path.chain([on_macos]).find(|program| program.is_file())
}

#[expect(clippy::disallowed_methods, reason = "a switch of CI's")]
fn is_required() -> bool {
    std::env::var("SAMESTEP_REQUIRE").is_ok_and(|value| value == "all")
}
