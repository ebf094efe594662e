//! System calls of a ping-pong on each runtime, beside those of a loop on the same runtime's own
//! socket, which is the least there can be.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use bytes::Bytes;
use rebelay::{Config, Item, Receiver, Sender};
use smol::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::server::Port;
use crate::{Result, process};

const SIZE: usize = 64;
const MESSAGE: Bytes = Bytes::from_static(&[7; SIZE]);

/// Exchanges in the shorter of two runs; the longer has twice as many, and the difference is
/// theirs alone.
const EXCHANGES: usize = 200;

const RUNTIMES: [&str; 3] = ["tokio", "smol", "async-std"];

pub(crate) fn report() -> Result<()> {
    let port = Port::new()?;
    // strace slows the client so much that a fast answer would be there before it waits for it.
    let _server = port.serve("late")?;
    println!("calls: system calls of each ping-pong of {SIZE} B whose answer is waited for");
    for runtime in RUNTIMES {
        for peer in ["loop", "rebelay"] {
            let (few, many) = (EXCHANGES, EXCHANGES * 2);
            let counted = (count(peer, runtime, few, &port)?, count(peer, runtime, many, &port)?);
            let (Some(few), Some(many)) = counted else {
                println!("skipped: strace not found");
                return Ok(());
            };
            let (mut sum, mut calls) = (0.0, String::new());
            for (name, count) in many {
                let more = count.saturating_sub(few.get(&name).copied().unwrap_or(0));
                let each = more as f64 / EXCHANGES as f64;
                sum += each;
                if each >= 0.01 {
                    calls += &format!("  {name} {each:.2}");
                }
            }
            println!("{runtime:<12}{peer:<12}{sum:>6.2}:{calls}");
        }
    }
    Ok(())
}

/// The calls of one run by name; `None`: there is no strace.
fn count(
    peer: &str,
    runtime: &str,
    exchanges: usize,
    port: &Port,
) -> Result<Option<BTreeMap<String, usize>>> {
    let exchanges = exchanges.to_string();
    let words = [peer, runtime, &exchanges, &port.text()];
    let Some(table) = process::watched(&["strace", "-f", "-c"], "ping", &words)? else {
        return Ok(None);
    };
    // Of a line "% time, seconds, usecs/call, calls, [errors,] syscall".
    let calls = table.lines().filter_map(|line| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let name = fields.last().filter(|name| **name != "total")?;
        Some((name.to_string(), fields.get(3)?.parse().ok()?))
    });
    Ok(Some(calls.collect()))
}

pub(crate) fn run(words: &[&str]) -> Result<()> {
    let [peer, runtime, exchanges, address] = words else {
        return Err("peer, runtime, exchanges, address".into());
    };
    let (count, address) = (exchanges.parse()?, address.parse::<SocketAddr>()?);
    let config = Config::default();
    match (*runtime, *peer) {
        ("tokio", "loop") => process::runtime("current")?
            .block_on(async { tokio::spawn(on_tokio(address, count)).await? }),
        ("tokio", _) => process::runtime("current")?.block_on(async {
            let handles = rebelay::tokio::connect(address, config).await?;
            tokio::spawn(ours(handles, count)).await?
        }),
        ("smol", "loop") => smol::block_on(smol::spawn(async move {
            let stream = smol::net::TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            by_hand(stream, count).await
        })),
        ("smol", _) => smol::block_on(smol::spawn(async move {
            ours(rebelay::smol::connect(address, config).await?, count).await
        })),
        (_, "loop") => async_std::task::block_on(async_std::task::spawn(async move {
            let stream = async_std::net::TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            by_hand(stream, count).await
        })),
        _ => async_std::task::block_on(async_std::task::spawn(async move {
            ours(rebelay::async_std::connect(address, config).await?, count).await
        })),
    }
}

async fn on_tokio(address: SocketAddr, count: usize) -> Result<()> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    let mut stream = tokio::net::TcpStream::connect(address).await?;
    stream.set_nodelay(true)?;
    let mut answer = [0; SIZE];
    for _ in 0..count {
        stream.write_all(&MESSAGE).await?;
        stream.read_exact(&mut answer).await?;
    }
    Ok(())
}

async fn by_hand(mut stream: impl AsyncRead + AsyncWrite + Unpin, count: usize) -> Result<()> {
    let mut answer = [0; SIZE];
    for _ in 0..count {
        stream.write_all(&MESSAGE).await?;
        stream.read_exact(&mut answer).await?;
    }
    Ok(())
}

async fn ours((sender, mut receiver): (Sender, Receiver), count: usize) -> Result<()> {
    let Some(Item::Up { .. }) = receiver.recv().await else { return Err("not up".into()) };
    for _ in 0..count {
        sender.send(MESSAGE).await?;
        let mut got = 0;
        while got < SIZE {
            match receiver.recv().await {
                Some(Item::Data(data)) => got += data.len(),
                other => return Err(format!("{other:?}").into()),
            }
        }
    }
    Ok(())
}
