//! Replies, read as they arrive (RESP2, <https://redis.io/docs/latest/develop/reference/protocol-spec/>).

use std::fmt;

use bytes::{Bytes, BytesMut};

/// The longest line: a simple string, an error, a number.
const MAX_LINE: usize = 64 << 10;
/// The longest bulk string: what redis allows.
const MAX_BULK: usize = 512 << 20;
/// The most elements in all arrays of one reply.
const MAX_ELEMENTS: usize = 16 << 20;
/// The deepest array in an array.
const MAX_DEPTH: usize = 32;

#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reply {
    Simple(Bytes),
    Error(Bytes),
    Integer(i64),
    Bulk(Bytes),
    Null,
    Array(Vec<Reply>),
}

/// What the server sent is not RESP2, or beyond all bounds.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Violation(String);

/// Makes replies of the bytes of one epoch, however they are cut.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    /// The beginning of an element that is not whole.
    rest: BytesMut,
    /// How long `rest` must be for another try to make sense.
    wanted: usize,
    /// Arrays that are not whole, the outermost first.
    open: Vec<Open>,
    /// Elements that all arrays of this reply have or announce.
    elements: usize,
}

#[derive(Debug)]
struct Open {
    items: Vec<Reply>,
    len: usize,
}

/// What stands at the beginning of some bytes.
enum Element {
    /// This, in so many bytes.
    Whole(Reply, usize),
    /// An array of so many elements begins, after so many bytes.
    Array(usize, usize),
    /// So many bytes would be needed to tell.
    Unfinished(usize),
}

impl Decoder {
    /// Appends the replies that `data` completes to `replies`. After an error the decoder is of
    /// no use.
    pub(super) fn decode(
        &mut self,
        data: Bytes,
        replies: &mut Vec<Reply>,
    ) -> Result<(), Violation> {
        let mut data = data;
        if !self.rest.is_empty() {
            self.rest.extend_from_slice(&data);
            if self.rest.len() < self.wanted {
                return Ok(());
            }
            data = self.rest.split().freeze();
        }
        let mut at = 0;
        loop {
            let (reply, len) = match element(&data, at)? {
                Element::Whole(reply, len) => (reply, len),
                Element::Array(0, len) => (Reply::Array(Vec::new()), len),
                Element::Array(count, len) => {
                    self.open(count)?;
                    at += len;
                    continue;
                }
                Element::Unfinished(wanted) => {
                    self.wanted = wanted;
                    break;
                }
            };
            at += len;
            replies.extend(self.close(reply));
        }
        self.rest.extend_from_slice(&data[at..]);
        Ok(())
    }

    fn open(&mut self, len: usize) -> Result<(), Violation> {
        self.elements = self.elements.saturating_add(len);
        if self.elements > MAX_ELEMENTS {
            let elements = self.elements;
            return Err(Violation(format!(
                "a reply of {elements} elements; allowed: {MAX_ELEMENTS}"
            )));
        }
        if self.open.len() == MAX_DEPTH {
            return Err(Violation(format!("arrays more than {MAX_DEPTH} deep")));
        }
        // What is announced may never come.
        self.open.push(Open { items: Vec::with_capacity(len.min(64)), len });
        Ok(())
    }

    /// Puts `reply` where it belongs; returns the reply that this completes.
    fn close(&mut self, mut reply: Reply) -> Option<Reply> {
        while let Some(mut open) = self.open.pop() {
            open.items.push(reply);
            if open.items.len() < open.len {
                self.open.push(open);
                return None;
            }
            reply = Reply::Array(open.items);
        }
        self.elements = 0;
        Some(reply)
    }
}

/// What stands in `data` from `at` on.
fn element(data: &Bytes, at: usize) -> Result<Element, Violation> {
    let bytes = &data[at..];
    let Some(end) = line_end(bytes)? else { return Ok(Element::Unfinished(0)) };
    let line = &bytes[1..end];
    let text = || data.slice(at + 1..at + end);
    let after = end + 2;
    let reply = match bytes[0] {
        b'+' => Reply::Simple(text()),
        b'-' => Reply::Error(text()),
        b':' => Reply::Integer(number(line).ok_or_else(|| malformed("integer", line))?),
        b'$' => match length(line, "bulk string", MAX_BULK)? {
            None => Reply::Null,
            Some(len) => {
                let whole = after + len + 2;
                if bytes.len() < whole {
                    return Ok(Element::Unfinished(whole));
                }
                if &bytes[after + len..whole] != b"\r\n" {
                    return Err(Violation::new("a bulk string that does not end where it should"));
                }
                return Ok(Element::Whole(
                    Reply::Bulk(data.slice(at + after..at + after + len)),
                    whole,
                ));
            }
        },
        b'*' => match length(line, "array", MAX_ELEMENTS)? {
            None => Reply::Null,
            Some(len) => return Ok(Element::Array(len, after)),
        },
        kind => return Err(malformed("kind of reply", &[kind])),
    };
    Ok(Element::Whole(reply, after))
}

/// Where the line ends that the bytes begin with; `None`: not yet.
fn line_end(bytes: &[u8]) -> Result<Option<usize>, Violation> {
    let Some(end) = bytes.iter().take(MAX_LINE).position(|byte| *byte == b'\r') else {
        if bytes.len() >= MAX_LINE {
            return Err(Violation(format!("a line of more than {MAX_LINE} bytes")));
        }
        return Ok(None);
    };
    match bytes.get(end + 1) {
        None => Ok(None),
        Some(b'\n') if end > 0 => Ok(Some(end)),
        Some(_) => Err(malformed("end of line", &bytes[..end + 2])),
    }
}

/// The length that `line` announces; `None`: null.
fn length(line: &[u8], what: &str, limit: usize) -> Result<Option<usize>, Violation> {
    if line == b"-1" {
        return Ok(None);
    }
    let len = number(line).and_then(|len| usize::try_from(len).ok());
    match len.filter(|len| *len <= limit) {
        Some(len) => Ok(Some(len)),
        None => {
            let line = line.escape_ascii();
            Err(Violation(format!("{what} of length {line}; allowed: -1 to {limit}")))
        }
    }
}

fn number(line: &[u8]) -> Option<i64> {
    std::str::from_utf8(line).ok()?.parse().ok()
}

fn malformed(what: &str, bytes: &[u8]) -> Violation {
    let shown = bytes[..bytes.len().min(64)].escape_ascii();
    Violation(format!("no {what} of RESP2: {shown}"))
}

impl Violation {
    pub(super) fn new(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the server broke the protocol: {}", self.0)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "whatever fails here fails the test")]
mod tests {
    use super::*;

    fn decode(pieces: &[&[u8]]) -> Result<Vec<Reply>, Violation> {
        let (mut decoder, mut replies) = (Decoder::default(), Vec::new());
        for piece in pieces {
            decoder.decode(Bytes::copy_from_slice(piece), &mut replies)?;
        }
        Ok(replies)
    }

    fn bulk(text: &'static str) -> Reply {
        Reply::Bulk(Bytes::from_static(text.as_bytes()))
    }

    const STREAM: &[u8] =
        b"+OK\r\n-ERR no\r\n:-42\r\n$5\r\na\r\nbc\r\n$0\r\n\r\n$-1\r\n*-1\r\n*0\r\n\
        *3\r\n*2\r\n:1\r\n*1\r\n$1\r\nx\r\n$-1\r\n*0\r\n+\r\n";

    fn replies() -> Vec<Reply> {
        let inner = Reply::Array(vec![Reply::Integer(1), Reply::Array(vec![bulk("x")])]);
        vec![
            Reply::Simple("OK".into()),
            Reply::Error("ERR no".into()),
            Reply::Integer(-42),
            bulk("a\r\nbc"),
            bulk(""),
            Reply::Null,
            Reply::Null,
            Reply::Array(vec![]),
            Reply::Array(vec![inner, Reply::Null, Reply::Array(vec![])]),
            Reply::Simple("".into()),
        ]
    }

    #[test]
    fn replies_are_the_same_wherever_they_are_cut() {
        for first in 0..=STREAM.len() {
            for second in first..=STREAM.len() {
                let pieces = [&STREAM[..first], &STREAM[first..second], &STREAM[second..]];
                assert_eq!(decode(&pieces), Ok(replies()), "cut at {first} and {second}");
            }
        }
        let bytes: Vec<&[u8]> = STREAM.chunks(1).collect();
        assert_eq!(decode(&bytes), Ok(replies()));
    }

    #[test]
    fn a_long_value_is_not_copied_where_it_arrives_whole() {
        let data = Bytes::from([b"$4096\r\n", &[7; 4096][..], b"\r\n"].concat());
        let (mut decoder, mut replies) = (Decoder::default(), Vec::new());
        decoder.decode(data.clone(), &mut replies).unwrap();
        let Some(Reply::Bulk(value)) = replies.pop() else { panic!("no value") };
        assert_eq!(value.as_ptr(), data[7..].as_ptr());
    }

    #[test]
    fn what_is_not_resp2_is_an_error_and_says_why() {
        let cases: [(&[u8], &str); 12] = [
            (b"%1\r\n", "no kind of reply of RESP2: %"),
            (b"\r\n", "no end of line of RESP2: \\r\\n"),
            (b"+a\rb\r\n", "no end of line of RESP2: +a\\rb"),
            (b":1x\r\n", "no integer of RESP2: 1x"),
            (b":\r\n", "no integer of RESP2: "),
            (b":9223372036854775808\r\n", "no integer of RESP2: 9223372036854775808"),
            (b"$-2\r\n", "bulk string of length -2; allowed: -1 to 536870912"),
            (b"$536870913\r\n", "bulk string of length 536870913; allowed: -1 to 536870912"),
            (b"$18446744073709551616\r\n", "bulk string of length 18446744073709551616; "),
            (b"$1\r\nabc", "a bulk string that does not end where it should"),
            (b"*16777217\r\n", "array of length 16777217; allowed: -1 to 16777216"),
            (b"*9000000\r\n*9000000\r\n", "a reply of 18000000 elements; allowed: 16777216"),
        ];
        for (bytes, why) in cases {
            let text = decode(&[bytes]).unwrap_err().to_string();
            assert!(text.contains(why), "{text}");
        }
    }

    #[test]
    fn lines_and_depth_are_bounded() {
        let line = [b"+", &[b'a'; MAX_LINE][..]].concat();
        assert!(decode(&[&line[..MAX_LINE - 1]]).is_ok());
        assert!(decode(&[&line]).is_err());
        let deep = b"*1\r\n".repeat(MAX_DEPTH);
        assert!(decode(&[&deep, b":1\r\n"]).is_ok_and(|replies| replies.len() == 1));
        assert!(decode(&[&deep, b"*1\r\n"]).is_err());
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let mut rng = rebelay::core::SplitMix64::new(1);
        let alphabet = b"+-:$*\r\n0123456789a";
        for _ in 0..20_000 {
            let length = rng.up_to(40);
            let pick = |_| alphabet[rng.up_to(alphabet.len() as u64 - 1) as usize];
            let bytes: Vec<u8> = (0..length).map(pick).collect();
            let _ = decode(&[&bytes]);
            let mut spoilt = STREAM.to_vec();
            let place = rng.up_to(spoilt.len() as u64 - 1) as usize;
            spoilt[place] = alphabet[rng.up_to(alphabet.len() as u64 - 1) as usize];
            let _ = decode(&[&spoilt[..place], &spoilt[place..]]);
        }
    }
}
