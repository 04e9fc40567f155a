//! Reads one HTTP request head: method and path, nothing else matters to a file server. Limits
//! come before memory: a head above 16 KiB is refused. Source: RFC 9112, sections 3 and 5.

use std::io::Read;

/// Longest request head accepted; browsers stay below 4 KiB on a page without cookies.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// The two methods that are served.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Method {
    /// Head and body.
    Get,
    /// Head alone.
    Head,
}

/// A request that can be looked up.
#[derive(PartialEq, Debug)]
pub struct Request {
    /// GET or HEAD.
    pub method: Method,
    /// The path as sent, without query, still percent-encoded.
    pub path: String,
}

/// Why a request is not answered with a file.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Refusal {
    /// Not HTTP, or no path that starts with a slash.
    Malformed,
    /// A method other than GET and HEAD.
    Method,
    /// The head is too long.
    TooLong,
    /// No such file, or none that may be served.
    NotFound,
}

impl Refusal {
    /// Status line's end and extra header lines.
    pub fn status(self) -> (&'static str, &'static str) {
        match self {
            Refusal::Malformed => ("400 Bad Request", ""),
            Refusal::Method => ("405 Method Not Allowed", "Allow: GET, HEAD\r\n"),
            Refusal::TooLong => ("431 Request Header Fields Too Large", ""),
            Refusal::NotFound => ("404 Not Found", ""),
        }
    }
}

/// Reads up to the empty line that ends the head.
pub fn read(stream: &mut impl Read) -> Result<Request, Refusal> {
    let mut head = Vec::new();
    let mut chunk = [0u8; 1024];
    while !head.windows(4).any(|four| four == b"\r\n\r\n") {
        if head.len() > HEAD_BYTES_MAX {
            return Err(Refusal::TooLong);
        }
        match stream.read(&mut chunk) {
            Ok(0) | Err(_) => return Err(Refusal::Malformed),
            Ok(len) => head.extend_from_slice(&chunk[..len]),
        }
    }
    let head = std::str::from_utf8(&head).map_err(|_| Refusal::Malformed)?;
    parse_line(head.split("\r\n").next().unwrap_or_default())
}

fn parse_line(line: &str) -> Result<Request, Refusal> {
    let mut words = line.split(' ');
    let (Some(method), Some(target), Some(version), None) =
        (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Refusal::Malformed);
    };
    if !version.starts_with("HTTP/1.") {
        return Err(Refusal::Malformed);
    }
    let method = match method {
        "GET" => Method::Get,
        "HEAD" => Method::Head,
        _ => return Err(Refusal::Method),
    };
    let path = target.split(['?', '#']).next().unwrap_or_default();
    if !path.starts_with('/') {
        return Err(Refusal::Malformed);
    }
    Ok(Request {
        method,
        path: path.into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn request_lines() {
        let get = |path: &str| {
            Ok(Request {
                method: Method::Get,
                path: path.into(),
            })
        };
        let rows = [
            ("GET / HTTP/1.1", get("/")),
            ("GET /a%20b.js?x=1 HTTP/1.0", get("/a%20b.js")),
            (
                "HEAD /x HTTP/1.1",
                Ok(Request {
                    method: Method::Head,
                    path: "/x".into(),
                }),
            ),
            ("POST / HTTP/1.1", Err(Refusal::Method)),
            ("get / HTTP/1.1", Err(Refusal::Method)),
            ("GET http://other/ HTTP/1.1", Err(Refusal::Malformed)),
            ("GET /a b HTTP/1.1", Err(Refusal::Malformed)),
            ("GET / HTTP/2", Err(Refusal::Malformed)),
            ("", Err(Refusal::Malformed)),
        ];
        for (line, expected) in rows {
            assert_eq!(parse_line(line), expected, "{line}");
        }
    }

    #[test]
    fn heads_end_or_are_refused() {
        let long = [
            b"GET / HTTP/1.1\r\nX: ".as_slice(),
            &[b'a'; 2 * HEAD_BYTES_MAX],
        ]
        .concat();
        assert_eq!(read(&mut long.as_slice()), Err(Refusal::TooLong));
        assert_eq!(
            read(&mut b"GET / HTTP/1.1\r\n".as_slice()),
            Err(Refusal::Malformed)
        );
        assert_eq!(
            read(&mut b"\xff\xfe\r\n\r\n".as_slice()),
            Err(Refusal::Malformed)
        );
        assert!(read(&mut b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".as_slice()).is_ok());
    }
}
