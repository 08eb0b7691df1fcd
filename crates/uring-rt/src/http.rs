//! As much of HTTP/1.1 as a page that is read needs (RFC 9112): one request without a body, one answer, and the end.
//!
//! Knows no socket: bytes in, a request or a refusal out. Whatever comes, it looks at [`HEAD_BYTES_MAX`] bytes at most.
//! Requests are taken apart by httparse.

/// What the bytes that came so far are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// The begin of a request.
    Incomplete,
    /// A request for a page.
    Request {
        /// Of the page, without what follows a question mark.
        path: String,
        /// Whether it is to be shown, or only told about.
        body: Body,
    },
    /// None that is answered.
    Refused(Status),
}

/// Whether an answer has a body.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Body {
    Sent,
    /// For `HEAD`: only its length is told.
    Withheld,
}

/// How a request went.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Status {
    Ok,
    BadRequest,
    NotFound,
    MethodNotAllowed,
    RequestTimeout,
    HeadTooLarge,
    VersionNotSupported,
}

impl Status {
    /// Number and words.
    pub(crate) fn line(self) -> &'static str {
        match self {
            Self::Ok => "200 OK",
            Self::BadRequest => "400 Bad Request",
            Self::NotFound => "404 Not Found",
            Self::MethodNotAllowed => "405 Method Not Allowed",
            Self::RequestTimeout => "408 Request Timeout",
            Self::HeadTooLarge => "431 Request Header Fields Too Large",
            Self::VersionNotSupported => "505 HTTP Version Not Supported",
        }
    }
}

/// Looks at all bytes that came so far. Those of another protocol are told apart at once, rather than waited for.
pub(crate) fn parse(bytes: &[u8]) -> Parsed {
    let seen = &bytes[..bytes.len().min(HEAD_BYTES_MAX)];
    let mut fields = [httparse::EMPTY_HEADER; FIELDS_MAX];
    let mut request = httparse::Request::new(&mut fields);
    match request.parse(seen) {
        Ok(httparse::Status::Complete(_)) => judge(&request).unwrap_or_else(Parsed::Refused),
        Ok(httparse::Status::Partial) if seen.len() < HEAD_BYTES_MAX => Parsed::Incomplete,
        Ok(httparse::Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
            Parsed::Refused(Status::HeadTooLarge)
        }
        Err(httparse::Error::Version) => Parsed::Refused(Status::VersionNotSupported),
        Err(_) => Parsed::Refused(Status::BadRequest),
    }
}

/// An answer, whole: after it the connection ends.
pub(crate) fn answer(status: Status, text: &str, body: Body) -> Vec<u8> {
    let allow = if status == Status::MethodNotAllowed { "Allow: GET, HEAD\r\n" } else { "" };
    let (line, len) = (status.line(), text.len());
    let head = format!(
        "HTTP/1.1 {line}\r\nContent-Type: {CONTENT_TYPE}\r\nContent-Length: {len}\r\n{allow}Connection: close\r\n\r\n"
    );
    let mut answer = head.into_bytes();
    if body == Body::Sent {
        answer.extend_from_slice(text.as_bytes());
    }
    answer
}

/// What is asked for, or why that is refused.
fn judge(request: &httparse::Request<'_, '_>) -> Result<Parsed, Status> {
    let hosts = request.headers.iter().filter(|field| field.name.eq_ignore_ascii_case("host")).count();
    if hosts > 1 || (hosts == 0 && request.version != Some(0)) {
        return Err(Status::BadRequest);
    }
    let path = request.path.and_then(path_of).ok_or(Status::BadRequest)?;
    let body = match request.method {
        Some("GET") => Body::Sent,
        Some("HEAD") => Body::Withheld,
        _ => return Err(Status::MethodNotAllowed),
    };
    Ok(Parsed::Request { path, body })
}

/// Of `/path?query`, or of the same with `http://host` in front.
fn path_of(target: &str) -> Option<String> {
    let target = match target.split_once("://") {
        Some((_, rest)) if !target.starts_with('/') => &rest[rest.find('/')?..],
        _ => target,
    };
    let path = target.split_once('?').map_or(target, |(path, _)| path);
    (path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic())).then(|| path.to_owned())
}

/// A request that is longer, up to its empty line, is refused.
pub(crate) const HEAD_BYTES_MAX: usize = 8 * 1024;
/// A request with more fields is, too.
const FIELDS_MAX: usize = 64;
/// As Prometheus names its text format.
const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Body, HEAD_BYTES_MAX, Parsed, Status, parse};

    fn check(request: &str, expected: &Parsed) {
        assert_eq!(parse(request.as_bytes()), *expected, "{request:?}");
    }

    fn page(path: &str) -> Parsed {
        Parsed::Request { path: path.into(), body: Body::Sent }
    }

    #[test]
    fn requests_are_read() {
        check("GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n", &page("/metrics"));
        check("GET /metrics?name[]=x HTTP/1.1\r\nhOST: a\r\nAccept: */*\r\n\r\nrest", &page("/metrics"));
        check("GET http://a:1/tasks HTTP/1.1\r\nHost: a:1\r\n\r\n", &page("/tasks"));
        check("GET / HTTP/1.0\r\n\r\n", &page("/"));
        let head = Parsed::Request { path: "/metrics".into(), body: Body::Withheld };
        check("HEAD /metrics HTTP/1.1\r\nHost: a\r\n\r\n", &head);
    }

    #[test]
    fn all_else_is_refused() {
        for (status, request) in [
            (Status::MethodNotAllowed, "POST /metrics HTTP/1.1\r\nHost: a\r\n\r\n"),
            (Status::MethodNotAllowed, "get /metrics HTTP/1.1\r\nHost: a\r\n\r\n"),
            (Status::VersionNotSupported, "GET /metrics HTTP/2.0\r\nHost: a\r\n\r\n"),
            (Status::BadRequest, "GET /metrics HTTP/1.1\r\n\r\n"),
            (Status::BadRequest, "GET /metrics HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"),
            (Status::BadRequest, "GET /metrics\r\nHost: a\r\n\r\n"),
            (Status::BadRequest, "GET  /metrics HTTP/1.1\r\nHost: a\r\n\r\n"),
            (Status::BadRequest, "GET metrics HTTP/1.1\r\nHost: a\r\n\r\n"),
            (Status::BadRequest, "GET http://host HTTP/1.1\r\nHost: a\r\n\r\n"),
            (Status::BadRequest, "GET /a\tb HTTP/1.1\r\nHost: a\r\n\r\n"),
            (Status::BadRequest, "GET / HTTP/1.1\r\nHost : a\r\n\r\n"),
            (Status::BadRequest, "GET / HTTP/1.1\r\nHost: a\r\n folded\r\n\r\n"),
            (Status::VersionNotSupported, "GET / HTTQ/1.1\r\nHost: a\r\n\r\n"),
            (Status::BadRequest, "GET / HTTP/1.11\r\nHost: a\r\n\r\n"),
            (Status::BadRequest, "GET / HTTP/1.1\r\nHost: a\r\nb\0: c\r\n\r\n"),
            (Status::BadRequest, " "),
            // The begin of TLS.
            (Status::BadRequest, "\u{16}\u{3}\u{1}"),
        ] {
            check(request, &Parsed::Refused(status));
        }
    }

    #[test]
    fn a_head_without_end_is_refused_when_it_is_too_long() {
        let mut request = b"GET / HTTP/1.1\r\nHost: ".to_vec();
        request.resize(HEAD_BYTES_MAX - 1, b'a');
        assert_eq!(parse(&request), Parsed::Incomplete);
        request.push(b'a');
        assert_eq!(parse(&request), Parsed::Refused(Status::HeadTooLarge));
        request.extend_from_slice(b"\r\n\r\n");
        assert_eq!(parse(&request), Parsed::Refused(Status::HeadTooLarge));
    }

    proptest! {
        /// Nothing panics, and what a request is does not change as more comes.
        #[test]
        fn any_bytes_are_read(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            for end in 0..bytes.len() {
                let before = parse(&bytes[..end]);
                if before != Parsed::Incomplete {
                    prop_assert_eq!(before, parse(&bytes));
                    return Ok(());
                }
            }
        }

        /// However a request comes in pieces, it is whole at its end and not before.
        #[test]
        fn requests_come_in_pieces(end in 1..42_usize) {
            let request = "GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n";
            let begin = &request.as_bytes()[..end];
            prop_assert_eq!(parse(begin), if end == 42 { page("/metrics") } else { Parsed::Incomplete });
        }
    }
}
