//! What only the operating system can say or do. Elsewhere than on Linux nothing is pinned, CPU
//! time is unknown and servers copy what they send back or drop.

#[cfg(target_os = "linux")]
mod linux {
    use std::fs::{self, File};
    use std::io::{self, Write};
    use std::net::TcpStream;
    use std::time::Duration;

    use rustix::fs::{MemfdFlags, memfd_create, sendfile};
    use rustix::net::{RecvFlags, recv};
    use rustix::pipe::{SpliceFlags, fcntl_setpipe_size, pipe, splice};
    use rustix::thread::{CpuSet, Pid, sched_getaffinity, sched_setaffinity};
    use rustix::time::{ClockId, clock_gettime};

    /// All threads of this process, and those they start, run on one core until this is dropped.
    /// Runtimes with threads of their own cannot be pinned in any other way.
    pub(crate) struct Pinned(CpuSet);

    impl Pinned {
        pub(crate) fn new() -> io::Result<Self> {
            let before = sched_getaffinity(None)?;
            let mut one = CpuSet::new();
            if let Some(core) = (0..CpuSet::MAX_CPU).find(|&core| before.is_set(core)) {
                one.set(core);
            }
            set_all(&one)?;
            Ok(Self(before))
        }
    }

    impl Drop for Pinned {
        fn drop(&mut self) {
            if let Err(error) = set_all(&self.0) {
                eprintln!("rebelay-bench: threads stay on one core: {error}");
            }
        }
    }

    fn set_all(cores: &CpuSet) -> io::Result<()> {
        for thread in fs::read_dir("/proc/self/task")? {
            let id = thread?.file_name().to_str().and_then(|name| name.parse().ok());
            match sched_setaffinity(id.and_then(Pid::from_raw), cores) {
                // A thread may end before its turn.
                Ok(()) | Err(rustix::io::Errno::SRCH) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// How long this thread has run, in and out of the kernel.
    pub(crate) fn cpu_time() -> Option<Duration> {
        Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).ok()
    }

    /// How long all threads of this process have run.
    pub(crate) fn cpu_time_of_all() -> Option<Duration> {
        Duration::try_from(clock_gettime(ClockId::ProcessCPUTime)).ok()
    }

    /// Receives into nothing, as tcp(7) has it: the kernel drops the bytes without copying them.
    pub(crate) fn discard(stream: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(recv(stream, buffer, RecvFlags::TRUNC)?.1)
    }

    /// Sends `left` bytes out of a file in memory: the kernel's own pages, which it does not copy.
    pub(crate) fn flood(stream: &TcpStream, mut left: u64) -> io::Result<()> {
        const SIZE: usize = 1 << 20;

        let file = memfd_create(c"flood", MemfdFlags::empty())?;
        File::from(file.try_clone()?).write_all(&vec![7; SIZE])?;
        while left > 0 {
            let most = SIZE.min(usize::try_from(left).unwrap_or(SIZE));
            left -= sendfile(stream, &file, Some(&mut 0), most)? as u64;
        }
        Ok(())
    }

    /// Sends everything back, through a pipe: the kernel moves its pages and copies nothing.
    pub(crate) fn echo(stream: &TcpStream) -> io::Result<()> {
        const ROOM: usize = 1 << 20;

        let (read, write) = pipe()?;
        fcntl_setpipe_size(&write, ROOM)?;
        loop {
            let mut left = splice(stream, None, &write, None, ROOM, SpliceFlags::MOVE)?;
            if left == 0 {
                return Ok(());
            }
            while left > 0 {
                left -= splice(&read, None, stream, None, left, SpliceFlags::MOVE)?;
            }
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod other {
    use std::io::{self, Read};
    use std::net::TcpStream;
    use std::time::Duration;

    pub(crate) struct Pinned;

    impl Pinned {
        pub(crate) fn new() -> io::Result<Self> {
            Ok(Self)
        }
    }

    pub(crate) fn cpu_time() -> Option<Duration> {
        None
    }

    pub(crate) fn cpu_time_of_all() -> Option<Duration> {
        None
    }

    pub(crate) fn discard(mut stream: &TcpStream, buffer: &mut [u8]) -> io::Result<usize> {
        stream.read(buffer)
    }

    pub(crate) fn flood(mut stream: &TcpStream, left: u64) -> io::Result<()> {
        io::copy(&mut io::repeat(7).take(left), &mut stream).map(drop)
    }

    pub(crate) fn echo(mut stream: &TcpStream) -> io::Result<()> {
        let mut reader = io::BufReader::with_capacity(256 << 10, stream);
        io::copy(&mut reader, &mut stream).map(drop)
    }
}

#[cfg(target_os = "linux")]
pub(crate) use linux::{Pinned, cpu_time, cpu_time_of_all, discard, echo, flood};
#[cfg(not(target_os = "linux"))]
pub(crate) use other::{Pinned, cpu_time, cpu_time_of_all, discard, echo, flood};
