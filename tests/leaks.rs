//! Connections leave nothing open. A test binary of its own with one test: file descriptors are
//! counted for the whole process.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that panics has failed")]
#![allow(clippy::wildcard_enum_match_arm, reason = "what a test does not expect is one case")]

mod support;

use std::time::{Duration, Instant};

use support::runtimes::{AsyncStd, Brought, Runtime, Smol, TokioCurrent, TokioMulti};
use support::server::{Peer, Server};
use support::talk::{data, quick, up};

#[test]
fn g13_a_hundred_connections_leave_no_descriptor_open() {
    let tests: [fn(); 5] = [
        leaks_nothing::<TokioCurrent>,
        leaks_nothing::<TokioMulti>,
        leaks_nothing::<Smol>,
        leaks_nothing::<AsyncStd>,
        leaks_nothing::<Brought>,
    ];
    for test in tests {
        test();
    }
}

fn leaks_nothing<R: Runtime>() {
    let server = Server::start(Peer::echo);
    R::run(async {
        // What a runtime opens when it is first used stays open.
        talk::<R>(&server, true).await;
        talk::<R>(&server, false).await;
        server.ended(2).await;
        let before = descriptors();
        for number in 0..100 {
            talk::<R>(&server, number % 2 == 0).await;
        }
        server.ended(102).await;
        let patience = Instant::now() + Duration::from_secs(30);
        while descriptors() > before {
            let now = descriptors();
            assert!(Instant::now() < patience, "{}: {before} became {now}", R::NAME);
            smol::Timer::after(Duration::from_millis(1)).await;
        }
    });
}

async fn talk<R: Runtime>(server: &Server, closes: bool) {
    let (sender, mut receiver) = R::connect(server.address().into(), quick()).await.unwrap();
    up(&mut receiver).await;
    sender.send("hello").await.unwrap();
    assert_eq!(data(&mut receiver, 5).await, b"hello");
    if closes {
        sender.close().await;
    }
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}
