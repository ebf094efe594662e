//! smoke
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]
mod support;
use rebelay::*;
use support::runtimes::Runtime as _;
use support::runtimes::*;
use support::server::*;

async fn echo<R: support::runtimes::Runtime>() {
    let server = Server::start(Peer::echo);
    let (tx, mut rx) = R::connect(server.address().into(), Config::default()).await.unwrap();
    assert!(matches!(rx.recv().await, Some(Item::Up { .. })));
    for i in 0..1000 {
        let t = tx.send(format!("hello {i}")).await.unwrap();
        let mut got = Vec::new();
        let want = format!("hello {i}");
        while got.len() < want.len() {
            match rx.recv().await.unwrap() {
                Item::Data(d) => got.extend_from_slice(&d),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(got, want.as_bytes());
        assert!(matches!(tx.outcome(t).await, Some(Outcome::Written { .. })));
    }
    let ledger = tx.close().await;
    println!("{}: {ledger}", R::NAME);
    assert_eq!(ledger.written, 1000);
}
#[test]
fn all() {
    for f in [
        TokioCurrent::run as fn(std::pin::Pin<Box<dyn Future<Output = ()>>>),
        TokioMulti::run,
        Smol::run,
        AsyncStd::run,
        Brought::run,
    ]
    .iter()
    .enumerate()
    {
        let t = std::time::Instant::now();
        match f.0 {
            0 => TokioCurrent::run(echo::<TokioCurrent>()),
            1 => TokioMulti::run(echo::<TokioMulti>()),
            2 => Smol::run(echo::<Smol>()),
            3 => AsyncStd::run(echo::<AsyncStd>()),
            _ => Brought::run(echo::<Brought>()),
        }
        println!("{:?}", t.elapsed());
    }
}
