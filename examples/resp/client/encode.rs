//! Requests, written as RESP arrays of bulk strings.

use bytes::Bytes;

/// One allocation a request: the length is known before.
pub(super) fn request(parts: &[&[u8]]) -> Bytes {
    let bulk = |part: &&[u8]| 1 + digits(part.len()) + 2 + part.len() + 2;
    let size = 1 + digits(parts.len()) + 2 + parts.iter().map(bulk).sum::<usize>();
    let mut request = Vec::with_capacity(size);
    header(&mut request, b'*', parts.len());
    for part in parts {
        header(&mut request, b'$', part.len());
        request.extend_from_slice(part);
        request.extend_from_slice(b"\r\n");
    }
    request.into()
}

fn header(request: &mut Vec<u8>, kind: u8, number: usize) {
    request.push(kind);
    for place in (0..digits(number)).rev() {
        request.push(b'0' + (number / 10_usize.pow(place as u32) % 10) as u8);
    }
    request.extend_from_slice(b"\r\n");
}

/// How long `number` is in decimal.
fn digits(number: usize) -> usize {
    number.checked_ilog10().map_or(1, |log| log as usize + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_is_an_array_of_bulk_strings() {
        assert_eq!(request(&[b"PING"]), &b"*1\r\n$4\r\nPING\r\n"[..]);
        assert_eq!(
            request(&[b"SET", b"", b"0123456789"]),
            &b"*3\r\n$3\r\nSET\r\n$0\r\n\r\n$10\r\n0123456789\r\n"[..]
        );
    }

    #[test]
    fn numbers_are_written_as_they_are() {
        for number in [0, 1, 9, 10, 99, 100, 101, 1_048_576, usize::MAX] {
            let mut written = Vec::new();
            header(&mut written, b'$', number);
            assert_eq!(written, format!("${number}\r\n").into_bytes());
            assert_eq!(digits(number), number.to_string().len());
        }
    }
}
