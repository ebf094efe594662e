//! `TCP_INFO` of tcp(7), of which three fields are wanted.
//!
//! The kernel documents `struct tcp_info` by its definition alone (`include/uapi/linux/tcp.h`),
//! which only ever grows at its end, and fills it in `tcp_get_info` (`net/ipv4/tcp.c`).

use std::ffi::c_int;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use rebelay_core::Evidence;

/// Where `tcpi_state` lies in `struct tcp_info`, in bytes: a `u8`.
const STATE: usize = 0;
/// Where `tcpi_bytes_acked` lies: a `u64`, since Linux 4.1. The SYN counts as one byte.
const BYTES_ACKED: usize = 120;
/// Where `tcpi_notsent_bytes` lies: a `u32`, since Linux 4.6. What was taken
/// (`tcp_sock.write_seq`) less what was transmitted (`snd_nxt`).
const NOTSENT_BYTES: usize = 144;
/// The beginning of `struct tcp_info`, as far as the last of these fields.
const TCP_INFO_LEN: usize = NOTSENT_BYTES + size_of::<u32>();

/// The state `TCP_CLOSE`. The kernel pushes nothing out in it (`__tcp_push_pending_frames`) and
/// does not leave it unless the socket is connected again.
const TCP_CLOSE: u8 = 7;

/// What the operating system says about the bytes that `socket` took, or `None` if it says
/// nothing.
///
/// It is final once the connection was reset or timed out, or both ends have closed: then the
/// same is said until the descriptor is closed. After the peer's FIN alone it is not final.
///
/// There is none about
///
/// - a connection that was not established yet, or was accepted and has nothing acknowledged
///   yet, or was undone by connect(2) to `AF_UNSPEC`, which leaves counters without meaning;
/// - a socket that is not TCP, or is multipath TCP, which tells about its first path alone;
/// - a kernel before Linux 4.6, and other systems.
///
/// The bytes are those of TCP's stream. If the kernel encrypts on this socket (`TCP_ULP`), they
/// are not the ones that were written: do not ask.
///
/// Two system calls that wait for nothing, together about a microsecond.
pub fn evidence(socket: impl AsFd) -> Option<Evidence> {
    let socket = socket.as_fd();
    let mut protocol = [0; size_of::<c_int>()];
    let protocol = option(socket, libc::SOL_SOCKET, libc::SO_PROTOCOL, &mut protocol)?;
    if c_int::from_ne_bytes(field(protocol, 0)?) != libc::IPPROTO_TCP {
        return None;
    }
    let mut info = [0; TCP_INFO_LEN];
    let info = option(socket, libc::IPPROTO_TCP, libc::TCP_INFO, &mut info)?;
    if u64::from_ne_bytes(field(info, BYTES_ACKED)?) == 0 {
        return None;
    }
    Some(Evidence {
        untransmitted: u32::from_ne_bytes(field(info, NOTSENT_BYTES)?).into(),
        is_final: field(info, STATE)? == [TCP_CLOSE],
    })
}

/// The field that begins at byte `at`, if the kernel knows it.
fn field<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..)?.first_chunk().copied()
}

/// getsockopt(2) into `value`: the bytes that the kernel wrote there, or `None` if it failed.
#[allow(unsafe_code, reason = "no safe wrapper reads TCP_INFO")]
fn option<'a>(
    socket: BorrowedFd<'_>,
    level: c_int,
    name: c_int,
    value: &'a mut [u8],
) -> Option<&'a [u8]> {
    let mut len = libc::socklen_t::try_from(value.len()).ok()?;
    // SAFETY: the descriptor is open for as long as it is borrowed. The kernel copies `len` bytes
    // or fewer to `value`, which is that long and borrowed by nobody else, and then says in `len`
    // how many; it keeps neither pointer. It copies bytes, and any byte is a `u8`: there is
    // nothing to align and nothing that could be invalid.
    let status = unsafe {
        libc::getsockopt(socket.as_raw_fd(), level, name, value.as_mut_ptr().cast(), &raw mut len)
    };
    if status != 0 {
        return None;
    }
    value.get(..usize::try_from(len).ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The C libraries know the beginning of the structure.
    #[cfg(target_os = "linux")]
    #[test]
    fn the_fields_lie_where_the_c_library_says() {
        use std::mem::offset_of;
        assert_eq!(offset_of!(libc::tcp_info, tcpi_state), STATE);
        // What lies between are two `u64`: the pacing rate and its maximum.
        assert_eq!(offset_of!(libc::tcp_info, tcpi_total_retrans) + 4 + 16, BYTES_ACKED);
        // One `u64` and two `u32`: received bytes, and segments either way.
        assert_eq!(BYTES_ACKED + 8 + 8 + 4 + 4, NOTSENT_BYTES);
    }

    #[test]
    fn a_kernel_that_knows_less_gives_no_field() {
        let older = [7; NOTSENT_BYTES];
        assert_eq!(field(&older, BYTES_ACKED), Some([7; 8]));
        assert_eq!(field::<4>(&older, NOTSENT_BYTES), None);
        assert_eq!(field::<4>(&older[..3], NOTSENT_BYTES), None);
    }
}
