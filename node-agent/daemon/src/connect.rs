//! Connecting to the first of several addresses that answers.

use std::{io, net::IpAddr, time::Duration};

use tokio::{net::TcpStream, select, task::JoinSet, time::sleep};

use crate::outside;

/// Pause before the next address is tried besides those that have not answered yet (RFC 8305, section 5).
const STAGGER: Duration = Duration::from_millis(250);
/// Most addresses that are tried.
const MAX: usize = 8;

/// Connects to `port` of the first address that answers. A family that this machine has not costs nothing, one that leads
/// nowhere a quarter of a second.
pub(crate) async fn tcp(addresses: &[IpAddr], port: u16) -> io::Result<TcpStream> {
    let mut addresses = addresses.iter().take(MAX);
    let mut attempts = JoinSet::new();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "there is no address");
    loop {
        match addresses.next() {
            Some(address) => drop(attempts.spawn(outside::connect((*address, port).into()))),
            None if attempts.is_empty() => return Err(last),
            None => {}
        }
        // The next one is tried as soon as one has failed.
        select! {
            Some(ended) = attempts.join_next() => match ended {
                Ok(Ok(stream)) => return Ok(stream),
                Ok(Err(error)) => last = error,
                Err(error) => last = io::Error::other(error),
            },
            () = sleep(STAGGER), if addresses.len() > 0 => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use tokio::{
        net::{TcpListener, TcpSocket},
        time::{Instant, timeout},
    };

    use super::*;

    #[tokio::test]
    async fn an_address_that_does_not_answer_delays_the_others_only() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        // Its backlog is full, so that the kernel drops further requests to connect.
        let silent = TcpSocket::new_v4().unwrap();
        silent.bind(SocketAddr::from(([127, 0, 0, 2], port))).unwrap();
        let silent = silent.listen(0).unwrap();
        let to = silent.local_addr().unwrap();
        let mut held = Vec::new();
        while let Ok(Ok(stream)) = timeout(Duration::from_millis(100), TcpStream::connect(to)).await
        {
            held.push(stream);
        }

        let addresses = [[127, 0, 0, 2], [127, 0, 0, 1]].map(IpAddr::from);
        let stream =
            timeout(Duration::from_secs(10), tcp(&addresses, port)).await.unwrap().unwrap();

        assert_eq!(stream.peer_addr().unwrap(), listener.local_addr().unwrap());
    }

    /// The clock stands, so that no pause of [`tcp`] is hidden: nothing is sent to a group by TCP.
    #[tokio::test(start_paused = true)]
    async fn an_address_that_cannot_be_reached_delays_nothing() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let to = listener.local_addr().unwrap();
        let began = Instant::now();

        let stream = tcp(&[[224, 0, 0, 1].into(), to.ip()], to.port()).await.unwrap();

        assert_eq!(stream.peer_addr().unwrap(), to);
        assert_eq!(began.elapsed(), Duration::ZERO);
    }

    #[tokio::test]
    async fn without_an_answer_the_last_error_is_returned() {
        let free = lab::free_port().unwrap();
        let refused = tcp(&[free.ip()], free.port()).await.unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        assert_eq!(tcp(&[], 1).await.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
