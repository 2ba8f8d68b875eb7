//! A hub that answers anything: replies of HTTP, one a connection, with a zero byte between them. What arrives lies in the
//! cache and nowhere else.
#![no_main]

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{LazyLock, Mutex};
use std::time::Duration;
use std::{fs, thread};

use fpt_fuzz::{Scratch, told};
use fpt_hub::{FileSet, Hub, HubConfig, ModelId};
use libfuzzer_sys::fuzz_target;

/// What is still to be answered, the last first.
static REPLIES: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());
static SCRATCH: LazyLock<Scratch> = LazyLock::new(|| Scratch::new("hub"));
static ENDPOINT: LazyLock<String> = LazyLock::new(|| {
    let server = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = server.local_addr().expect("an address");
    thread::spawn(move || server.incoming().flatten().for_each(answer));
    format!("http://{address}")
});

/// Whatever is asked.
fn answer(mut stream: TcpStream) {
    let mut request = Vec::new();
    let mut part = [0; 1024];
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read(&mut part) {
            Ok(length) if length > 0 => request.extend_from_slice(&part[..length]),
            _ => return,
        }
    }
    let reply = REPLIES.lock().expect("the replies").pop();
    _ = stream.write_all(&reply.unwrap_or_default());
    _ = stream.shutdown(Shutdown::Both);
}

fuzz_target!(|bytes: &[u8]| {
    // A redirect to another host would leave this machine.
    if bytes.windows(2).any(|pair| pair == b"//") {
        return;
    }
    let replies = bytes.split(|&byte| byte == 0);
    *REPLIES.lock().expect("the replies") = replies.rev().map(<[u8]>::to_vec).collect();
    let cache = SCRATCH.path("cache");
    _ = fs::remove_dir_all(&cache);
    let config = HubConfig {
        endpoint: ENDPOINT.clone(),
        retries: 1,
        retry_delay: Duration::ZERO,
        max_wait: Duration::ZERO,
        timeout: Duration::from_secs(2),
        ..HubConfig::new(&cache)
    };
    let hub = told(Hub::new(config)).expect("an address");
    let model = told(ModelId::parse("fast/t5-tiny")).expect("a name");
    if let Some(snapshot) = told(hub.fetch(&model, &FileSet::t5(), &mut |_| {})) {
        assert!(snapshot.dir.starts_with(&cache) && snapshot.dir.join("config.json").exists());
    }
});
