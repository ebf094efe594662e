//! What reaches a socket is the caller's own memory: a long message is not copied on its way.
#![allow(clippy::unwrap_used, reason = "a test that panics has failed")]

mod support;

use std::future::ready;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};

use bytes::Bytes;
use smol::future::zip;
use smol::io::AsyncWrite;
use support::pipe::Silent;
use support::talk::{quick, written};

/// Address and length of every slice that was offered.
type Offers = Arc<Mutex<Vec<(usize, usize)>>>;

/// A stream that takes up to `most` bytes at once and notes where they lay.
struct Recorder {
    most: usize,
    offers: Offers,
}

impl AsyncWrite for Recorder {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut offers = self.offers.lock().unwrap();
        offers.extend(slices.iter().map(|slice| (slice.as_ptr() as usize, slice.len())));
        let offered: usize = slices.iter().map(|slice| slice.len()).sum();
        Poll::Ready(Ok(offered.min(self.most)))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// What a socket that takes `most` bytes at once is offered of `messages`.
fn offered(messages: &[Bytes], most: usize) -> Vec<(usize, usize)> {
    let offers = Offers::default();
    let recording = Arc::clone(&offers);
    let dial = move || {
        let offers = Arc::clone(&recording);
        ready(Ok((Silent, Recorder { most, offers })))
    };
    let (sender, _receiver, driver) = rebelay::io::connect(dial, quick()).unwrap();
    let client = async {
        sender.wait_connected().await.unwrap();
        for message in messages {
            let ticket = sender.send(message.clone()).await.unwrap();
            written(&sender, ticket).await;
        }
        sender.close().await
    };
    smol::future::block_on(zip(driver, client));
    offers.lock().unwrap().clone()
}

#[test]
fn a_long_message_is_offered_to_the_socket_from_the_callers_memory() {
    let messages = [1, 2].map(|number| Bytes::from(vec![number; 64 << 10]));
    let expected = messages.each_ref().map(|message| (message.as_ptr() as usize, message.len()));
    assert_eq!(offered(&messages, usize::MAX), expected);
}

#[test]
fn the_rest_of_a_long_message_is_offered_from_the_callers_memory_too() {
    const PART: usize = 24 << 10;
    let message = Bytes::from(vec![7; 64 << 10]);
    let at = |start: usize| (message.as_ptr() as usize + start, message.len() - start);
    assert_eq!(offered(std::slice::from_ref(&message), PART), [at(0), at(PART), at(2 * PART)]);
}

#[test]
fn a_short_message_is_copied() {
    let message = Bytes::from(vec![7; 64]);
    let offers = offered(std::slice::from_ref(&message), usize::MAX);
    assert_eq!(offers.len(), 1);
    assert_ne!(offers[0].0, message.as_ptr() as usize);
}
