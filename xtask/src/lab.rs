//! `lab`: from a fresh clone to the page in one command. Builds the modules and serves `web/`.

use crate::flags::Given;
use crate::serve::{Server, Site};
use crate::{TaskResult, process, wasm, workspace};
use std::process::Command;

/// Builds, takes a port, prints the address and serves until stopped.
pub fn run(given: &Given) -> TaskResult {
    let port = given
        .number("--port", 1, 65535)?
        .and_then(|port| u16::try_from(port).ok());
    wasm::build(false, false)?;
    let site = Site {
        mounts: vec![("", workspace::root().join("web"))],
        isolation: !given.has("--no-isolation"),
    };
    let server = Server::bind(site, port)?;
    let url = server.url()?;
    println!("The lab is at {url}  (Ctrl-C stops)");
    if given.has("--open") && !open_browser(&url) {
        println!("No browser could be started; open the address by hand.");
    }
    server.run()
}

/// Asks the desktop to open the address.
fn open_browser(url: &str) -> bool {
    ["xdg-open", "open", "wslview"].iter().any(|name| {
        process::find_program(name)
            .is_some_and(|program| Command::new(program).arg(url).spawn().is_ok())
    })
}
