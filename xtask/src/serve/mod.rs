//! A loopback file server for the page: GET and HEAD of files below named folders, nothing else.
//! It never serves a path outside them (also through `..`, encodings or symbolic links), never
//! lists folders, never listens beyond 127.0.0.1, and keeps no connection open. Not for the open
//! internet: any static host serves there what `site` writes.

mod mime;
mod path;
mod request;

use crate::{TaskError, TaskResult};
use request::Method;
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// First port tried when none is given.
const FIRST_PORT: u16 = 8080;

/// How many ports are tried before giving up.
const PORTS_TRIED: u16 = 200;

/// A client that says nothing for this long is dropped.
const SILENCE: Duration = Duration::from_secs(10);

/// What is served, and how.
pub struct Site {
    /// Pairs of URL prefix and folder: `("", web)`, `("bench-data/", target/bench)`. The longest
    /// prefix that fits a path wins.
    pub mounts: Vec<(&'static str, PathBuf)>,
    /// Send COOP and COEP, so that the page is cross-origin isolated.
    pub isolation: bool,
}

/// A server whose port is already taken, not yet answering.
pub struct Server {
    listener: TcpListener,
    site: Arc<Site>,
}

impl Server {
    /// Takes the given port, or the first free one from 8080.
    pub fn bind(site: Site, port: Option<u16>) -> TaskResult<Server> {
        let listener = match port {
            Some(port) => TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(|error| {
                TaskError::Usage(format!("port {port} cannot be used: {error}"))
            })?,
            None => (FIRST_PORT..FIRST_PORT + PORTS_TRIED)
                .find_map(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).ok())
                .ok_or_else(|| {
                    let last = FIRST_PORT + PORTS_TRIED - 1;
                    TaskError::Usage(format!("no free port from {FIRST_PORT} to {last}"))
                })?,
        };
        Ok(Server {
            listener,
            site: Arc::new(site),
        })
    }

    /// `http://127.0.0.1:PORT/`
    pub fn url(&self) -> TaskResult<String> {
        let address = self.listener.local_addr();
        let address = address.map_err(|error| TaskError::Failed(format!("no address: {error}")))?;
        Ok(format!("http://{address}/"))
    }

    /// Answers until the process ends. One thread per connection: a browser opens six.
    pub fn run(self) -> ! {
        loop {
            if let Ok((stream, _)) = self.listener.accept() {
                let site = Arc::clone(&self.site);
                // A client that hangs up is no error of ours.
                std::thread::spawn(move || drop(answer(stream, &site)));
            }
        }
    }

    /// Answers from a background thread until the process ends; returns the address.
    pub fn spawn(self) -> TaskResult<String> {
        let url = self.url()?;
        std::thread::spawn(move || self.run());
        Ok(url)
    }
}

fn answer(mut stream: TcpStream, site: &Site) -> io::Result<()> {
    stream.set_read_timeout(Some(SILENCE))?;
    stream.set_write_timeout(Some(SILENCE))?;
    let request = request::read(&mut stream);
    respond(&mut stream, site, request)?;
    stream.flush()?;
    // Close in order: say that nothing follows, then read what the client still had to send, or
    // it may see a reset instead of the answer.
    stream.shutdown(Shutdown::Write)?;
    let mut rest = [0u8; 4096];
    for _ in 0..64 {
        if stream.read(&mut rest)? == 0 {
            break;
        }
    }
    Ok(())
}

fn respond(
    out: &mut TcpStream,
    site: &Site,
    request: Result<request::Request, request::Refusal>,
) -> io::Result<()> {
    let request = match request {
        Ok(request) => request,
        Err(refusal) => return refuse(out, site, refusal, true),
    };
    let with_body = request.method == Method::Get;
    let Some(file) = path::resolve(&site.mounts, &request.path) else {
        return refuse(out, site, request::Refusal::NotFound, with_body);
    };
    let Ok(mut source) = File::open(&file) else {
        return refuse(out, site, request::Refusal::NotFound, with_body);
    };
    let len = source.metadata()?.len();
    head(out, site, "200 OK", mime::of(&file), len, "")?;
    if with_body {
        // A file that shrank meanwhile ends the answer early; the client sees the length differ.
        io::copy(&mut Read::by_ref(&mut source).take(len), out)?;
    }
    Ok(())
}

fn refuse(
    out: &mut TcpStream,
    site: &Site,
    refusal: request::Refusal,
    with_body: bool,
) -> io::Result<()> {
    let (status, extra) = refusal.status();
    let body = format!("{status}\n");
    head(
        out,
        site,
        status,
        "text/plain; charset=utf-8",
        body.len() as u64,
        extra,
    )?;
    if with_body {
        out.write_all(body.as_bytes())
    } else {
        Ok(())
    }
}

fn head(
    out: &mut TcpStream,
    site: &Site,
    status: &str,
    mime: &str,
    len: u64,
    extra: &str,
) -> io::Result<()> {
    let isolation = if site.isolation {
        "Cross-Origin-Opener-Policy: same-origin\r\nCross-Origin-Embedder-Policy: require-corp\r\n"
    } else {
        ""
    };
    write!(
        out,
        "HTTP/1.1 {status}\r\nContent-Type: {mime}\r\nContent-Length: {len}\r\n\
         Cache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n\
         Cross-Origin-Resource-Policy: same-origin\r\n{isolation}{extra}Connection: close\r\n\r\n"
    )
}

#[cfg(test)]
mod tests;
