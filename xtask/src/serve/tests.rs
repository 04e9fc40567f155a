//! The server over a real socket: what it serves, and hostile requests it must refuse.

use super::*;
use std::path::Path;

/// A site in a fresh folder of the system's temporary place, removed at the end.
struct TestSite {
    folder: PathBuf,
    url: String,
}

impl TestSite {
    fn new(name: &str, isolation: bool) -> io::Result<TestSite> {
        let folder = std::env::temp_dir().join(format!("serve-{name}-{}", std::process::id()));
        let web = folder.join("web");
        std::fs::create_dir_all(web.join("sub"))?;
        std::fs::create_dir_all(folder.join("data"))?;
        std::fs::write(web.join("index.html"), "<p>home</p>")?;
        std::fs::write(web.join("sub/a b.js"), "// a\nexport {};")?;
        std::fs::write(web.join("m.wasm"), b"\0asm")?;
        std::fs::write(web.join(".hidden"), "hidden")?;
        std::fs::write(folder.join("secret.txt"), "secret")?;
        std::fs::write(folder.join("data/x.slm"), "package")?;
        #[cfg(unix)]
        {
            std::os::unix::fs::symlink(folder.join("secret.txt"), web.join("link.txt"))?;
            std::os::unix::fs::symlink(&folder, web.join("up"))?;
            std::os::unix::fs::symlink(web.join("m.wasm"), web.join("inside.wasm"))?;
        }
        let site = Site {
            mounts: vec![("", web), ("bench-data/", folder.join("data"))],
            isolation,
        };
        let server = Server::bind(site, None).and_then(Server::spawn);
        let url = server.map_err(|_| io::Error::other("no free port"))?;
        Ok(TestSite { folder, url })
    }

    /// Sends raw bytes; returns head and body.
    fn ask(&self, request: &str) -> io::Result<(String, String)> {
        let host = self.url.trim_start_matches("http://").trim_end_matches('/');
        let mut stream = TcpStream::connect(host)?;
        stream.write_all(request.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
        Ok((head.to_string(), body.to_string()))
    }

    fn get(&self, path: &str) -> io::Result<(String, String)> {
        self.ask(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"))
    }
}

impl Drop for TestSite {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

#[test]
fn files_are_served_with_their_types() -> io::Result<()> {
    let site = TestSite::new("types", true)?;
    let rows = [
        ("/", "text/html; charset=utf-8", "<p>home</p>"),
        ("/?seed=1#x", "text/html; charset=utf-8", "<p>home</p>"),
        (
            "/sub/a%20b.js",
            "text/javascript; charset=utf-8",
            "// a\nexport {};",
        ),
        ("/m.wasm", "application/wasm", "\0asm"),
        ("/bench-data/x.slm", "application/octet-stream", "package"),
    ];
    for (path, mime, text) in rows {
        let (head, body) = site.get(path)?;
        assert!(head.starts_with("HTTP/1.1 200 "), "{path}: {head}");
        assert!(
            head.contains(&format!("Content-Type: {mime}\r\n")),
            "{path}: {head}"
        );
        assert!(
            head.contains(&format!("Content-Length: {}\r\n", text.len())),
            "{path}: {head}"
        );
        assert!(
            head.contains("X-Content-Type-Options: nosniff"),
            "{path}: {head}"
        );
        assert_eq!(body, text, "{path}");
    }
    Ok(())
}

#[test]
fn isolation_headers_follow_the_flag() -> io::Result<()> {
    for isolation in [true, false] {
        let site = TestSite::new(&format!("isolation-{isolation}"), isolation)?;
        for path in ["/", "/missing"] {
            let (head, _) = site.get(path)?;
            for name in ["Cross-Origin-Opener-Policy", "Cross-Origin-Embedder-Policy"] {
                assert_eq!(head.contains(name), isolation, "{path}: {head}");
            }
        }
    }
    Ok(())
}

#[test]
fn nothing_outside_is_served() -> io::Result<()> {
    let site = TestSite::new("hostile", true)?;
    let paths = [
        "/../secret.txt",
        "/..%2fsecret.txt",
        "/%2e%2e/secret.txt",
        "/%2e%2e%2fsecret.txt",
        "/sub/../../secret.txt",
        "/..%5csecret.txt",
        "/..\\secret.txt",
        "/%252e%252e/secret.txt",
        "//etc/passwd",
        "/%2fetc/passwd",
        "/.hidden",
        "/link.txt",
        "/up/secret.txt",
        "/bench-data/../secret.txt",
        "/bench-data/%2e%2e/web/index.html",
        "/sub",
        "/sub/",
        "/index.html/",
        "/m.wasm%00.js",
        "/%",
        "/%zz",
        "/missing",
        "/bench-data",
        "/...",
    ];
    for path in paths {
        let (head, body) = site.get(path)?;
        assert!(head.starts_with("HTTP/1.1 404 "), "{path}: {head}");
        assert!(
            !body.contains("secret") && !body.contains("root:"),
            "{path}: {body}"
        );
    }
    #[cfg(unix)]
    assert!(site.get("/inside.wasm")?.0.starts_with("HTTP/1.1 200 "));
    Ok(())
}

#[test]
fn only_get_and_head_are_answered() -> io::Result<()> {
    let site = TestSite::new("methods", true)?;
    for method in [
        "POST", "PUT", "DELETE", "OPTIONS", "TRACE", "CONNECT", "BREW",
    ] {
        let (head, _) = site.ask(&format!("{method} / HTTP/1.1\r\nHost: x\r\n\r\n"))?;
        assert!(head.starts_with("HTTP/1.1 405 "), "{method}: {head}");
        assert!(head.contains("Allow: GET, HEAD"), "{method}: {head}");
    }
    let (head, body) = site.ask("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n")?;
    assert!(head.contains("Content-Length: 11"), "{head}");
    assert_eq!(body, "");
    let (head, body) = site.ask("HEAD /missing HTTP/1.1\r\nHost: x\r\n\r\n")?;
    assert!(
        head.starts_with("HTTP/1.1 404 ") && body.is_empty(),
        "{head}"
    );
    for garbage in [
        "\r\n\r\n",
        "GET\r\n\r\n",
        "GET http://x/ HTTP/1.1\r\n\r\n",
        "\0\0\r\n\r\n",
    ] {
        assert!(
            site.ask(garbage)?.0.starts_with("HTTP/1.1 400 "),
            "{garbage:?}"
        );
    }
    assert!(
        site.get("/")?.0.starts_with("HTTP/1.1 200 "),
        "still answers after all that"
    );
    Ok(())
}

#[test]
fn a_taken_port_is_left_alone() -> io::Result<()> {
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let port = taken.local_addr()?.port();
    let site = || Site {
        mounts: vec![("", Path::new(".").to_path_buf())],
        isolation: true,
    };
    assert!(Server::bind(site(), Some(port)).is_err());
    let free = Server::bind(site(), None).and_then(|server| server.url());
    assert!(free.is_ok_and(|url| url.starts_with("http://127.0.0.1:8")));
    Ok(())
}
